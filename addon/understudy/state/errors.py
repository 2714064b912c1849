"""The errors of the state on disk. Every message says what to do next and holds no token."""

from pathlib import Path


class StateError(Exception):
    """The state on disk cannot be read or written."""


class StoreCorrupt(StateError):
    """The pool cannot be read as it is. Nothing of it was thrown away: `kept` is where it lies now."""

    def __init__(self, message: str, kept: Path) -> None:
        super().__init__(message)
        self.kept = kept


class StoreNewer(StateError):
    """The pool was written by another version of Understudy. It was left alone."""

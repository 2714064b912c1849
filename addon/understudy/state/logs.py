"""The logs of proxies in the background: files of ours that go on in a new one once they are large; a few are kept."""

import os
from itertools import pairwise
from pathlib import Path

from understudy.state import files
from understudy.state.errors import StateError

LARGEST = 5 * 1024 * 1024
"""Bytes from which on a log is put aside."""
KEPT = 3
"""How many of those that were put aside are kept."""
OUTPUTS = (1, 2)
"""Where a process writes to."""


def folder(home: Path) -> Path:
    """Where they are."""
    return home / "logs"


def opened(path: Path) -> int:
    """The log to write on, for its owner alone; a large one is put aside first. Raises StateError, OSError."""
    with files.locked(path):
        if path.exists() and path.stat().st_size > LARGEST:
            names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
            for newer, older in reversed(list(pairwise(names))):
                if newer.exists():
                    newer.replace(older)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def bound(home: Path) -> None:
    """Has this process go on in a new log where it writes to one of ours that has grown too large. To be called often.

    Nothing that is written is lost. Where there can be no new one, it goes on in the old. Blocking file work.
    """
    try:
        if os.fstat(OUTPUTS[0]).st_size > LARGEST and (path := _written(home)) is not None:
            _go_on(path)
    except (StateError, OSError):
        pass  # The next time may have more luck.


def _written(home: Path) -> Path | None:
    """The log that this process writes to, by its first name: it, or another process, may have put it aside."""
    ours = os.fstat(OUTPUTS[0])
    logs = (*folder(home).glob("*.log*"), *home.glob("service.log*"))
    found = (path for path in logs if os.path.samestat(path.lstat(), ours))
    path = next(found, None)
    return path and path.with_name(f"{path.name.partition('.log')[0]}.log")


def _go_on(path: Path) -> None:
    old, file = os.fstat(OUTPUTS[0]), opened(path)
    try:
        for output in OUTPUTS:
            if os.path.samestat(os.fstat(output), old):
                os.dup2(file, output)
    finally:
        os.close(file)

"""A string that never shows itself: tokens travel through the program in this type."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A token. `repr`, `str` and formatting hide it; `reveal()` is what the wire and the store call."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The token itself. To be called where it is written to the wire or to the store, nowhere else."""
        return self._value

    def __str__(self) -> str:
        return "<secret>"

    def __bool__(self) -> bool:
        return bool(self._value)

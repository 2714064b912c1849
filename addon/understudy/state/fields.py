"""Values out of our own JSON files: a reader raises ValueError for what is not as it was written."""

from collections.abc import Mapping

from understudy.wire.numbers import END_OF_TIME

Object = Mapping[str, object]


def as_object(value: object) -> Object:
    """An object."""
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def as_list(value: object, length: int | None = None) -> list[object]:
    """A list, of so many values where `length` says so."""
    if not isinstance(value, list) or length not in (None, len(value)):
        raise ValueError("expected a list" if length is None else f"expected a list of {length}")
    return value


def as_text(value: object, name: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"expected text as {name}")
    return value


def as_number(value: object, name: str) -> float:
    """A number that may be a time, a count or a percentage."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < END_OF_TIME:
        raise ValueError(f"expected a plausible number as {name}")
    return value


def as_count(value: object, name: str) -> int:
    """A whole number, zero or more."""
    if not isinstance(value, int):
        raise ValueError(f"expected a count as {name}")
    return int(as_number(value, name))


def text(value: Object, name: str, default: str | None = None) -> str:
    """The text in the field `name`. `default`: for a field that earlier files do not have."""
    return as_text(value.get(name, default), name)


def flag(value: Object, name: str) -> bool:
    """A truth value."""
    found = value.get(name)
    if not isinstance(found, bool):
        raise ValueError(f"expected true or false as {name}")
    return found


def number(value: Object, name: str, default: float | None = None) -> float:
    """A number. `default`: for a field that earlier files do not have."""
    return as_number(value.get(name, default), name)


def number_or_none(value: Object, name: str) -> float | None:
    """A number, or None where it is null or not there."""
    return None if value.get(name) is None else number(value, name)


def count(value: Object, name: str) -> int:
    """A whole number, zero or more."""
    return as_count(value.get(name), name)


def count_or_none(value: Object, name: str) -> int | None:
    """A whole number, or None where it is null or not there."""
    found = number_or_none(value, name)
    return None if found is None else int(found)

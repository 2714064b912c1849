"""JSON read strictly, with the text of each part kept: what we do not change goes on as it came."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A value and the exact text it was read from."""

    value: object
    raw: str


def loads(data: bytes | str) -> object:
    """The value of a JSON text (RFC 8259). Raises ValueError for whatever is none, NaN and excessive depth included."""
    text = _text(data)
    part, end = _value(text, _skip(text, 0))
    _expect_end(text, end)
    return part.value


def members(data: bytes | str) -> dict[str, Part]:
    """The members of a JSON object in their order; of a name that comes twice the last counts. Raises ValueError."""
    text = _text(data)
    at = _skip(text, 0)
    found: dict[str, Part] = {}
    if text[at : at + 1] != "{":
        raise ValueError("not a JSON object")
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        _expect_end(text, at + 1)
        return found
    while True:
        name, at = _name(text, at)
        found[name], at = _value(text, at)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            _expect_end(text, at + 1)
            return found
        at = _skip(text, _expect(text, at, ","))


def elements(text: str) -> list[Part]:
    """The elements of a JSON array. Raises ValueError."""
    at = _skip(text, _expect(text, _skip(text, 0), "["))
    found: list[Part] = []
    if text[at : at + 1] != "]":
        while True:
            part, at = _value(text, at)
            found.append(part)
            at = _skip(text, at)
            if text[at : at + 1] == "]":
                break
            at = _skip(text, _expect(text, at, ","))
    _expect_end(text, at + 1)
    return found


def dump_object(raws: Mapping[str, str]) -> str:
    """A JSON object from the texts of its members."""
    # Of what may be large there is one copy, and none on the way.
    pieces = [piece for name, raw in raws.items() for piece in (",", json.dumps(name), ":", raw)]
    return "".join(("{", *pieces[1:], "}"))


def dump_array(raws: Sequence[str]) -> str:
    """A JSON array from the texts of its elements."""
    pieces = [piece for raw in raws for piece in (",", raw)]
    return "".join(("[", *pieces[1:], "]"))


def _reject(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


_decoder = json.JSONDecoder(parse_constant=_reject, parse_float=_finite)
_SPACE = re.compile(r"[ \t\n\r]*+")


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8-sig")


def _skip(text: str, at: int) -> int:
    if text[at : at + 1] > " ":
        return at
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"expected {character!r} at character {at}")
    return at + 1


def _expect_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError(f"unexpected text at character {at}")


def _value(text: str, at: int) -> tuple[Part, int]:
    try:
        value, end = _decoder.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return Part(value, text[at:end]), end


def _name(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        raise ValueError(f"expected a member's name at character {at}")
    name, at = _decoder.raw_decode(text, at)
    return name, _skip(text, _expect(text, _skip(text, at), ":"))

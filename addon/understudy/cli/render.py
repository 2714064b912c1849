"""How things look on a terminal: tables, bars and times, in characters that it can show and that do nothing to it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from understudy.wire.text import DAY, safe_text

COLUMNS = 80
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Look:
    """The characters to draw with. `steps`: a cell of a bar from nearly empty to full."""

    steps: str
    empty: str
    cut: str


UNICODE = Look(steps="▏▎▍▌▋▊▉█", empty="░", cut="…")
ASCII = Look(steps="#", empty="-", cut="~")


def look_of(stream: TextIO) -> Look:
    """What `stream` can show: blocks where its encoding has them, else ASCII."""
    try:
        (UNICODE.steps + UNICODE.empty + UNICODE.cut).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def bar(percent: float, width: int, look: Look) -> str:
    """A bar of `width` cells for 0 to 100 percent. Anything above nothing shows, and only 100 % looks full."""
    steps = len(look.steps)
    filled = round(min(max(percent, 0.0), 100.0) / 100 * width * steps)
    if percent > 0:
        filled = max(filled, 1)
    if percent < 100:
        filled = min(filled, width * steps - 1)
    whole, rest = divmod(filled, steps)
    cells = look.steps[-1] * whole + (look.steps[rest - 1] if rest else "")
    return cells + look.empty * (width - len(cells))


def fit(text: str, width: int, look: Look) -> str:
    """`text`, made safe, in exactly `width` cells."""
    shown = safe_text(text, width + 1)
    if not shown.isascii():
        shown = shown.encode("ascii", "replace").decode()
    return shown.ljust(width) if len(shown) <= width else shown[: width - 1] + look.cut


def table(rows: Sequence[Sequence[str]], look: Look, columns: int = COLUMNS) -> list[str]:
    """Lines with the rows' cells below each other, in `columns` at most: the widest are cut. The first is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        widths[widths.index(max(widths))] -= 1
    return ["  ".join(fit(cell, width, look) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def wrapped(text: str, indent: int = 0) -> list[str]:
    """`text`, made safe, in lines of `COLUMNS`; those after the first are indented by so many cells."""
    return textwrap.wrap(safe_text(text, 2000), COLUMNS, subsequent_indent=" " * indent, break_on_hyphens=False)


def duration(seconds: float) -> str:
    """`2 h 10 min`, `3 d 4 h`, `45 s`: the two largest units, of which the lesser is left out where it is nothing."""
    left = max(0, int(seconds))
    if left < MINUTE:
        return f"{left} s"
    units = (("d", left // DAY), ("h", left % DAY // HOUR), ("min", left % HOUR // MINUTE))
    first = next(index for index, (_, count) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count)


def age(seconds: float) -> str:
    """How long ago: `just now`, `3 min ago`."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"

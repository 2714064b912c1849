"""Server-sent events (WHATWG HTML, 9.2.6), found in a body that arrives in pieces; every byte of it is kept."""

import re
from dataclasses import dataclass

from understudy.wire.jsontext import loads, members

EVENT_LIMIT = 64 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"

# What the backend really sends, several to a chunk at best. Possessive, so that a partial event costs one pass.
_COMMON = re.compile(rb"(?:event: ?([^\r\n]*+)\n)?data: ?([^\r\n]*+)\n\n")
# Atomic, so that the CR LF of one line is never taken for two line ends.
_BLANK_LINE = re.compile(rb"(?>\r\n?|\n)(?>\r\n?|\n)")
_LONGEST_BLANK_LINE = 4
_LEADING_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Event:
    """An event. `type`: its `event` field, else the `type` of its JSON data; empty where there is no data.

    `data`: the data lines, joined. `raw`: its exact bytes, the blank line that ends it included.
    """

    type: str
    data: bytes
    raw: bytes


class Decoder:
    """Takes a body piece by piece, cut anywhere; gives the events as they become whole.

    The `raw` of all events, joined, is the body. Comments and blank lines of their own are events without a type.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        """`limit`: bytes that one event may have."""
        self._limit = limit
        self._rest = bytearray()
        self._first = True

    @property
    def pending(self) -> int:
        """The bytes of the event that is not whole yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` makes whole. Raises ValueError, and is of no use then, where one is too large."""
        events: list[Event] = []
        at = 0
        if self._rest:
            at = self._complete(data, events)
        end = len(data)
        while at < end:
            if common := _COMMON.match(data, at):
                at = common.end()
                name, content = common.groups()
                events.append(self._event(_type(name, content), content, common.group()))
            elif (blank := _blank_line(data, at)) >= 0:
                events.append(self._parse(data[at:blank]))
                at = blank
            else:
                self._keep(data[at:])
                break
        return events

    def flush(self) -> list[Event]:
        """The last event, where the body has ended without a blank line.

        One that was cut short is none (WHATWG HTML, 9.2.6): it is left out, for nobody could read it.
        """
        if not self._rest:
            return []
        event = self._parse(bytes(self._rest))
        if not _BLANK_LINE.search(event.raw) and not _is_whole(event):
            return []
        self._rest.clear()
        return [event]

    def _complete(self, data: bytes, events: list[Event]) -> int:
        """Adds `data` to the event begun before; gives how much of it was taken. Looks at no byte a second time."""
        begun = len(self._rest)
        self._rest += data
        blank = _blank_line(self._rest, max(0, begun - _LONGEST_BLANK_LINE + 1))
        if blank < 0:
            self._check(len(self._rest))
            return len(data)
        raw = bytes(memoryview(self._rest)[:blank])
        self._rest = bytearray()
        events.append(self._parse(raw))
        return blank - begun

    def _keep(self, rest: bytes) -> None:
        self._check(len(rest))
        self._rest += rest

    def _parse(self, raw: bytes) -> Event:
        """An event of any form the standard allows."""
        text = raw.removeprefix(_BOM) if self._first else raw
        name = b""
        content: list[bytes] = []
        for line in text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"event":
                name = value.removeprefix(b" ")
            elif field == b"data":
                content.append(value.removeprefix(b" "))
        data = b"\n".join(content)
        return self._event(_type(name, data) if content else "", data, raw)

    def _event(self, type: str, data: bytes, raw: bytes) -> Event:
        self._check(len(raw))
        self._first = False
        return Event(type, data, raw)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"an event of the answer is larger than {self._limit} bytes")


def _blank_line(data: bytes | bytearray, at: int) -> int:
    """Where the first blank line from `at` on ends, or -1. A CR at the very end may yet turn out to be half a CR LF."""
    if data.find(b"\r", at) < 0:
        found_lf = data.find(b"\n\n", at)
        return found_lf + 2 if found_lf >= 0 else -1
    found = _BLANK_LINE.search(data, at)
    if found is None:
        return -1
    end = found.end()
    return -1 if end == len(data) and data[end - 1] == 0x0D else end


def _type(name: bytes | None, data: bytes) -> str:
    if name:
        return name.decode(errors="replace")
    if leading := _LEADING_TYPE.match(data):
        return leading[1].decode(errors="replace")
    try:
        part = members(data).get("type")
    except ValueError:
        return ""
    return part.value if part and isinstance(part.value, str) else ""


def _is_whole(event: Event) -> bool:
    """Whether an event that no blank line ends has all that was meant to be in it."""
    if not event.data:
        return event.raw.endswith((b"\n", b"\r"))
    try:
        loads(event.data)
    except ValueError:
        return False
    return True

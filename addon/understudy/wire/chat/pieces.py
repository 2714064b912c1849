"""What a Responses answer says, piece by piece, in the terms of Chat Completions: a text, a refusal, calls in order.

What no delta has told is told when its item is done, and when the answer is: backends leave out either.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from understudy.wire.chat.stop import Stop


@dataclass(frozen=True, slots=True)
class Said:
    """More of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """More of the refusal."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call begins. `index`: its place among the calls; `kind`: `function` or `custom`."""

    index: int
    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Argument:
    """More of what a call is made with."""

    index: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The pages that the text is taken from, as chat completions have them."""

    annotations: tuple[Mapping[str, object], ...]


Piece = Said | Refusal | Called | Argument | Cited
Json = Mapping[str, object]

_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
_PARTS = {"output_text": ("text", Said), "refusal": ("refusal", Refusal)}
_TEXTS = {
    "response.output_text.delta": (Said, "delta"),
    "response.output_text.done": (Said, "text"),
    "response.refusal.delta": (Refusal, "delta"),
    "response.refusal.done": (Refusal, "refusal"),
    "response.function_call_arguments.delta": (Argument, "delta"),
    "response.function_call_arguments.done": (Argument, "arguments"),
    "response.custom_tool_call_input.delta": (Argument, "delta"),
    "response.custom_tool_call_input.done": (Argument, "input"),
}
"""The events that have a text: what it is more of, and the member with it. All but the deltas have it whole."""
_BETWEEN_MESSAGES = "\n\n"


@dataclass(slots=True)
class _Item:
    """How far an item of the output has been told: characters of each part, and where its text began."""

    call: Called | None = None
    told: dict[int, int] = field(default_factory=dict)
    begins: dict[int, int] = field(default_factory=dict)


class Pieces:
    """Hears the events of one answer in their order."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        """`stop`: the sequences that end it."""
        self._stop = Stop(stop)
        self._items: dict[int | str, _Item] = {}
        self._done = 0
        self._length = 0
        """Characters of the text so far."""
        self._speaking: _Item | None = None
        self.calls = 0

    def hear(self, type: str, data: Json) -> Iterator[Piece]:
        """What an event of this type adds. `data`: its JSON object."""
        item = data.get("item")
        if type in _TEXTS:
            yield from self._text(type, data)
        elif type == "response.output_item.added" and isinstance(item, dict):
            yield from self._begin(self._item(data), item)
        elif type == "response.output_item.done" and isinstance(item, dict):
            yield from self._end(self._item(data), item)
            self._done += 1

    def end(self, response: Json) -> Iterator[Piece]:
        """What is left to tell once the answer is complete. `response`: the Responses object."""
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) and not self._done else ()):
            if isinstance(item, dict):
                yield from self._end(self._items.setdefault(at, _Item()), item)
        if rest := self._stop.rest():
            yield Said(rest)

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence has ended it."""
        return self._stop.hit

    def _item(self, data: Json) -> _Item:
        """The item that an event is about, by its place; by its id, or as the next one, where it has no place."""
        item = data.get("item")
        places = (data.get("output_index"), data.get("item_id"), item.get("id") if isinstance(item, dict) else None)
        place = next((place for place in places if isinstance(place, int | str)), self._done)
        return self._items.setdefault(place, _Item())

    def _text(self, type: str, data: Json) -> Iterator[Piece]:
        kind, member = _TEXTS[type]
        part, text = data.get("content_index"), data.get(member)
        item = self._item(data)
        if isinstance(text, str):
            yield from self._more(item, kind, part if isinstance(part, int) else 0, text, whole=member != "delta")

    def _begin(self, item: _Item, given: Json) -> Iterator[Piece]:
        call = _CALLS.get(str(given.get("type")))
        if call is None or item.call is not None or self.stopped:
            return
        item.call = Called(self.calls, call[0], _word(given, "call_id") or _word(given, "id"), _word(given, "name"))
        self.calls += 1
        yield item.call

    def _end(self, item: _Item, given: Json) -> Iterator[Piece]:
        yield from self._begin(item, given)
        if call := _CALLS.get(str(given.get("type"))):
            yield from self._more(item, Argument, 0, _word(given, call[1]), whole=True)
        content = given.get("content") if given.get("type") == "message" else None
        for at, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") in _PARTS:
                member, kind = _PARTS[part["type"]]
                yield from self._more(item, kind, at, _word(part, member), whole=True)
                yield from self._cited(part, item.begins.get(at, 0))

    def _more(self, item: _Item, kind: object, part: int, text: str, *, whole: bool) -> Iterator[Piece]:
        """What of a text was not told yet."""
        if kind is Argument and item.call is None:
            return  # Its name is not known yet: all of it is told with the item.
        told = item.told.get(part, 0)
        text = text[told:] if whole else text
        item.told[part] = told + len(text)
        if not text or self.stopped:
            return
        if item.call is not None:
            yield Argument(item.call.index, item.call.kind, text)
        elif kind is Refusal:
            yield Refusal(text)
        else:
            yield from self._said(item, part, text)

    def _said(self, item: _Item, part: int, text: str) -> Iterator[Piece]:
        if self._length and item is not self._speaking:
            text = _BETWEEN_MESSAGES + text
        self._speaking = item
        item.begins.setdefault(part, self._length + len(text) - len(text.removeprefix(_BETWEEN_MESSAGES)))
        self._length += len(text)
        if passed := self._stop.let_pass(text):
            yield Said(passed)

    def _cited(self, part: Json, begins: int) -> Iterator[Piece]:
        given = part.get("annotations")
        found = tuple(_citation(one, begins) for one in given if _is_url(one)) if isinstance(given, list) else ()
        if found and not self.stopped:
            yield Cited(found)


def _word(given: Json, name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _is_url(annotation: object) -> bool:
    return isinstance(annotation, dict) and annotation.get("type") == "url_citation"


def _citation(annotation: Json, begins: int) -> Json:
    """`begins`: where the text that it is about begins in the whole text, in characters."""
    places = {name: annotation.get(name) for name in ("start_index", "end_index")}
    moved = {name: at + begins for name, at in places.items() if isinstance(at, int)}
    words = {name: _word(annotation, name) for name in ("title", "url")}
    return {"type": "url_citation", "url_citation": moved | words}

"""Answers that are kept: what a request's references to them stand for, put in their place.

That is for a backend that keeps nothing. Texts are put together as they came, so that the input of each turn begins
with that of the turn before.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from understudy.wire.coding import RequestRefused
from understudy.wire.items import user_message
from understudy.wire.jsontext import Part, dump_array, dump_object, elements, loads, members
from understudy.wire.reply import openai_error
from understudy.wire.text import safe_text

OFF = "Understudy keeps no answers: codex_history is off. Set it to memory or to disk, or send the whole input."


@dataclass(frozen=True, slots=True)
class Stored:
    """One answer, with what was asked for it."""

    id: str
    created_at: float
    """Epoch seconds."""
    previous: str | None = None
    conversation: str | None = None
    given: tuple[str, ...] = field(default=(), repr=False)
    """The JSON text of each item of its own input; an item that was only referred to is there itself."""
    output: tuple[str, ...] = field(default=(), repr=False)
    """The JSON text of each output item, byte for byte as the backend sent it."""
    response: str = field(default="", repr=False)
    """The Response object's JSON text as hosts get it; see `as_stored`."""
    listed: bool = True
    """Whether hosts can ask for it. What they did not want stored is kept for ourselves, and never on disk."""


class Recall(Protocol):
    """What is remembered of earlier answers, all of it as JSON texts."""

    def items_of(self, response_id: str) -> tuple[str, ...] | None:
        """What the answer was made from and what it gave: inputs and outputs of all before it and its own, in their
        order; None where it, or any before it, is not there."""
        ...

    def item(self, item_id: str) -> str | None:
        """One item of an input or of an output."""
        ...

    def conversation(self, conversation_id: str) -> tuple[str, ...] | None:
        """A conversation's items."""
        ...

    def reasoning_before(self, call_id: str) -> tuple[str, ...]:
        """The reasoning that belongs to a call of a tool; see `reasoning_of_call`."""
        ...


@dataclass(frozen=True)
class Restored:
    """A request whose input is whole. `body`: with nothing in it that points at what is stored; where there was no such
    thing it is the host's own. `before`: the items in front of its own.
    """

    body: bytes = field(repr=False)
    previous: str | None = None
    conversation: str | None = None
    before: tuple[str, ...] = field(default=(), repr=False)
    own: tuple[str, ...] | None = field(default=None, repr=False)

    @cached_property
    def given(self) -> tuple[str, ...]:
        """The items of its own input. Takes another look at the body, if it was passed on as it came; an input that is
        none has none.
        """
        if self.own is not None:
            return self.own
        try:
            return tuple(part.raw for part in _own(members(self.body)) or ())
        except ValueError:
            return ()

    @cached_property
    def store(self) -> bool:
        """Whether the host wants the answer stored, as it does where it says nothing (API reference, `store`)."""
        return _wants_store(self.body)


def restore(content: bytes, recall: Recall | None) -> Restored:
    """Puts what is stored in the place of what points at it, in the body of a POST /v1/responses or .../compact.

    `content`: decoded. `recall`: None where nothing is kept. Instructions are not taken over from earlier answers: so
    says the API reference. Raises RequestRefused, in OpenAI's words, for what is not there.

    A body without references costs a search for their names, and is not read. What is no JSON object is left to
    whoever reads it.
    """
    if not _may_refer(content):
        return Restored(content)
    try:
        given = members(content)
    except ValueError:
        return Restored(content)
    previous, conversation = _previous(given), _conversation(given)
    if previous is not None and conversation is not None:
        raise _refused(400, _EXCLUSIVE, code="mutually_exclusive_parameters")
    own = _own(given)
    if previous is None and conversation is None and not any(_is_reference(part.value) for part in own or ()):
        return Restored(content)
    return _rebuilt(given, own, previous, conversation, recall)


def as_stored(
    response: str,
    *,
    previous: str | None,
    conversation: str | None,
    store: bool,
    background: bool = False,
    metadata: str | None = None,
) -> str:
    """A Response object (JSON text) as a host sees it that asked for this. The backend's says that nothing is stored.

    `metadata`: JSON text; None: what the object has. Raises ValueError where it is no JSON object.
    """
    told = {
        "background": background,
        "conversation": None if conversation is None else {"id": conversation},
        "previous_response_id": previous,
        "store": store,
    }
    raws = {name: part.raw for name, part in members(response).items()}
    own = {} if metadata is None else {"metadata": metadata}
    return dump_object(raws | {name: json.dumps(value) for name, value in told.items()} | own)


def reasoning_of_call(output: Sequence[str], call_id: str) -> tuple[str, ...]:
    """The reasoning that stands directly before the call `call_id` of a tool, in an answer's `output`.

    So of several calls in parallel the first one has it.
    """
    found: list[str] = []
    for text in output:
        item = loads(text)
        if isinstance(item, dict) and item.get("type") == "reasoning":
            found.append(text)
        elif isinstance(item, dict) and item.get("type") in CALLS and item.get("call_id") == call_id:
            return tuple(found)
        else:
            found.clear()
    return ()


CALLS = frozenset({"function_call", "custom_tool_call"})
"""The types of the items that are calls of the host's own tools."""


class Latest:
    """The memory of one WebSocket: its newest answer and all that led to it, and nothing older. What it does not know
    it asks whom `outer` gives, if anybody.
    """

    def __init__(self, outer: Callable[[], Recall | None] = lambda: None) -> None:
        self._outer = outer
        self._newest: Stored | None = None
        self._items: tuple[str, ...] = ()

    def keep(self, stored: Stored, before: tuple[str, ...] = ()) -> None:
        """Remembers this answer in the place of the one before. `before`: that of its `Restored`."""
        self._newest = stored
        self._items = (*before, *stored.given, *stored.output)

    def items_of(self, response_id: str) -> tuple[str, ...] | None:
        if self._newest is not None and self._newest.id == response_id:
            return self._items
        outer = self._outer()
        return outer.items_of(response_id) if outer else None

    def item(self, item_id: str) -> str | None:
        for text in reversed(self._items):
            if item_id in text and id_of(loads(text)) == item_id:
                return text
        outer = self._outer()
        return outer.item(item_id) if outer else None

    def conversation(self, conversation_id: str) -> tuple[str, ...] | None:
        outer = self._outer()
        return outer.conversation(conversation_id) if outer else None

    def reasoning_before(self, call_id: str) -> tuple[str, ...]:
        found = reasoning_of_call(self._newest.output, call_id) if self._newest else ()
        outer = None if found else self._outer()
        return outer.reasoning_before(call_id) if outer else found


def id_of(item: object) -> str | None:
    """The id that an item bears, or None. What is not ASCII is none."""
    found = item.get("id") if isinstance(item, dict) else None
    return found if isinstance(found, str) and found and found.isascii() else None


def resolved(parts: Sequence[Part], recall: Recall | None) -> tuple[str, ...]:
    """The texts of items, those that are only referred to taken from `recall`. Raises RequestRefused (400)."""
    return tuple(_texts(parts, recall))


_NAMES = (b'"previous_response_id"', b'"conversation"', b'"item_reference"')
# A reference may do without its type, or name null as its type.
_LAST_ID = re.compile(rb'"id"\s*+:\s*+"[^"\\]*+"\s*+(?:,\s*+"type"\s*+:\s*+null\s*+)?\}')
_FIRST = (b"{", b"null,")
_LONGEST_FIRST = 32
_EXCLUSIVE = (
    "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or 'conversation'."
)


def _may_refer(content: bytes) -> bool:
    """Whether it is worth reading, to see whether there are references in it."""
    if any(name in content for name in _NAMES):
        return True
    starts = (found.start() for found in _LAST_ID.finditer(content))
    return any(content[max(at - _LONGEST_FIRST, 0) : at].rstrip().endswith(_FIRST) for at in starts)


def _rebuilt(
    given: dict[str, Part],
    own: list[Part] | None,
    previous: str | None,
    conversation: str | None,
    recall: Recall | None,
) -> Restored:
    before = _before(previous, conversation, recall)
    texts = resolved(own or (), recall)
    raws = {name: part.raw for name, part in given.items() if name not in ("previous_response_id", "conversation")}
    if own is not None or "input" not in given:
        raws["input"] = dump_array((*before, *texts))
    return Restored(dump_object(raws).encode(), previous, conversation, before, texts)


def _before(previous: str | None, conversation: str | None, recall: Recall | None) -> tuple[str, ...]:
    if previous is not None:
        items = recall.items_of(previous) if recall else None
        if items is None:
            message = not_found("Previous response", previous, recall is None)
            raise _refused(400, message, "previous_response_id", "previous_response_not_found")
        return items
    if conversation is not None:
        items = recall.conversation(conversation) if recall else None
        if items is None:
            raise _refused(404, not_found("Conversation", conversation, recall is None))
        return items
    return ()


def _texts(parts: Sequence[Part], recall: Recall | None) -> Iterator[str]:
    for part in parts:
        if not _is_reference(part.value):
            yield part.raw
            continue
        name = id_of(part.value)
        text = recall.item(name) if recall and name else None
        if text is None:
            raise _refused(400, not_found("Item", name or "", recall is None), "input")
        yield text


def not_found(what: str, name: str, off: bool = False) -> str:
    """OpenAI's words for an id that there is not. `off`: because nothing is kept."""
    return f"{what} with id '{safe_text(name, 200)}' not found.{f' {OFF}' if off else ''}"


def _is_reference(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and not item.keys() - {"id", "type"})


def _previous(given: dict[str, Part]) -> str | None:
    value = _value(given, "previous_response_id")
    if value is None or isinstance(value, str):
        return value
    raise _refused(
        400,
        "Invalid type for 'previous_response_id': expected a string.",
        "previous_response_id",
        "invalid_type",
    )


def _conversation(given: dict[str, Part]) -> str | None:
    value = _value(given, "conversation")
    name = id_of(value) if isinstance(value, dict) else value
    if value is None or (isinstance(name, str) and name):
        return name if isinstance(name, str) else None
    raise _refused(
        400,
        "Invalid type for 'conversation': expected the id of a conversation, or an object with it.",
        "conversation",
        "invalid_type",
    )


def _own(given: dict[str, Part]) -> list[Part] | None:
    """The items of the body's `input`; None where it is neither a text nor a list."""
    part = given.get("input")
    if part is not None and isinstance(part.value, str):
        return elements(user_message(part.raw))
    return elements(part.raw) if part is not None and isinstance(part.value, list) else None


def _wants_store(body: bytes) -> bool:
    """Reads no more of the body than it must: where the name stands behind the input, only what comes after it."""
    at = body.rfind(b'"store"')
    # What is an object with a brace in front began within the outermost one.
    for text in (b"{" + body[at:], body) if at >= 0 else ():
        try:
            given = members(text)
        except ValueError:
            continue
        if "store" in given:
            return given["store"].value is not False
    return True


def _value(given: dict[str, Part], name: str) -> object:
    part = given.get(name)
    return part.value if part else None


def _refused(status: int, message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(status, message, type="invalid_request_error", code=code, param=param))

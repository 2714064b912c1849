"""The streamed answer of the backend: what its events mean, and the one object they add up to."""

import json
from dataclasses import dataclass, field
from enum import Enum

from understudy.wire.jsontext import dump_array, dump_object, elements, loads, members
from understudy.wire.sse import Event

COLLECT_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that are collected for a host that did not ask for a stream."""


ITEM_DONE = "response.output_item.done"
"""The event that has an output item, whole."""


class Stage(Enum):
    """How far an answer has come with an event."""

    LIFECYCLE = "lifecycle"
    """It has begun; nothing of it is lost if it is thrown away."""
    VENDOR = "vendor"
    """Nothing of the answer: the backend's own events, which OpenAI's SDKs do not know, and comments."""
    OUTPUT = "output"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


_STAGES = {
    "response.created": Stage.LIFECYCLE,
    "response.in_progress": Stage.LIFECYCLE,
    "response.queued": Stage.LIFECYCLE,
    "response.metadata": Stage.LIFECYCLE,
    "response.completed": Stage.COMPLETED,
    "response.incomplete": Stage.INCOMPLETE,
    "response.failed": Stage.FAILED,
    "error": Stage.FAILED,
}


def stage(event_type: str) -> Stage:
    """What an event of this type says about the answer. What is not of `response.*` is the vendor's."""
    known = _STAGES.get(event_type)
    if known is not None:
        return known
    return Stage.OUTPUT if event_type.startswith("response.") else Stage.VENDOR


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `response`: the Responses object, `output`: its items, in order; all as JSON text."""

    response: str = field(repr=False)
    output: tuple[str, ...] = field(repr=False)


class Collector:
    """Adds up a stream to the one Responses object that a host gets which did not ask for a stream."""

    def __init__(self, limit: int = COLLECT_LIMIT) -> None:
        """`limit`: bytes of output items and of the final object that are kept."""
        self._room = limit
        self._items: dict[int, str] = {}
        self._response: str | None = None

    def add(self, event: Event) -> None:
        """Takes the next event. Raises ValueError where it is not what it says, or the answer outgrows the limit."""
        if event.type == ITEM_DONE:
            given = members(self._kept(event))
            index = given["output_index"].value if "output_index" in given else None
            if "item" in given:
                self._items[index if isinstance(index, int) else len(self._items)] = given["item"].raw
        elif stage(event.type) in (Stage.COMPLETED, Stage.INCOMPLETE):
            given = members(self._kept(event))
            if "response" not in given or not isinstance(given["response"].value, dict):
                raise ValueError(f"{event.type} without a response object")
            self._response = given["response"].raw

    @property
    def items(self) -> tuple[str, ...]:
        """The items that are done, in their order, as JSON text."""
        return tuple(raw for _, raw in sorted(self._items.items()))

    def result(self) -> bytes:
        """The Responses object. Raises ValueError where the answer never came to `response.completed` or `.incomplete`.

        The backend may complete with an empty `output`: then it is made of the items that were done, byte for byte.
        """
        return self.answer().response.encode()

    def answer(self) -> Answer:
        """The Responses object, and its items. Raises ValueError as `result` does."""
        if self._response is None:
            raise ValueError("the answer ended before it was complete")
        given = members(self._response)
        done = self.items
        if "output" in given and given["output"].value:
            return Answer(self._response, done or tuple(part.raw for part in elements(given["output"].raw)))
        if not done:
            return Answer(self._response, ())
        raws = {name: part.raw for name, part in given.items()} | {"output": dump_array(done)}
        return Answer(dump_object(raws), done)

    def _kept(self, event: Event) -> bytes:
        self._room -= len(event.data)
        if self._room < 0:
            raise ValueError("the answer is larger than can be collected; ask for it as a stream")
        return event.data


def blank_response(
    id: str, status: str, *, model: str = "", created_at: int = 0, **members: object
) -> dict[str, object]:
    """A Responses object with all that OpenAI's SDKs expect of one, and no output. `members`: what else is known."""
    blank: dict[str, object] = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }
    return blank | members


def event(type: str, sequence_number: int, **members: object) -> bytes:
    """A whole event of ours, as the backend writes its own."""
    data = {"type": type, "sequence_number": sequence_number, **members}
    return f"event: {type}\ndata: {json.dumps(data)}\n\n".encode()


def failed_event(message: str, code: str, *, response_id: str, sequence_number: int) -> bytes:
    """A whole `response.failed` event."""
    response = blank_response(response_id or "resp_understudy", "failed", error={"code": code, "message": message})
    return event("response.failed", sequence_number, response=response)


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """What an error says; a word it does not say is empty. `body`: the plain members of its error object."""

    code: str
    type: str
    message: str
    body: dict[str, object] = field(default_factory=dict, repr=False)


def error_of(event: Event) -> ErrorWords:
    """What went wrong, from a `response.failed` or an `error` event.

    `{"response": {"error": {...}}}`, `{"error": {...}}` and the flat `{"type": "error", "code", "message"}` are taken.
    """
    try:
        value = loads(event.data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return read_error({})
    response = value.get("response")
    for holder in (response if isinstance(response, dict) else {}, value):
        if isinstance(holder.get("error"), dict):
            return read_error(holder["error"])
    # In the flat form `type` is the event's own name.
    return read_error({name: given for name, given in value.items() if name not in ("type", "sequence_number")})


def read_error(given: dict[str, object]) -> ErrorWords:
    """What an error object says, `{"message", "type", "param", "code", ...}`, whatever its members are."""
    body: dict[str, object] = {n: v for n, v in given.items() if v is None or isinstance(v, str | int | float)}
    code, type, message = (_word(body.get(name)) for name in ("code", "type", "message"))
    return ErrorWords(code, type, message, body)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""

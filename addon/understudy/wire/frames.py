"""Responses over a WebSocket: what a host's message asks for, and the messages that answer it."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from understudy.wire.answer import Stage, blank_response, event, stage
from understudy.wire.coding import RequestRefused
from understudy.wire.identity import TURN_STATE
from understudy.wire.jsontext import Part, dump_object, members
from understudy.wire.numbers import number
from understudy.wire.reply import Headers, Reply, error_object, openai_error
from understudy.wire.sse import Event
from understudy.wire.text import is_field_value, safe_text

CREATE = "response.create"
"""The one type of message that asks for something (PROTOCOL, 4)."""
_PROCESSED = "response.processed"
"""What Codex says when it is done with an answer, to which nothing is said (codex-rs, codex-api/src/common.rs)."""

_INVALID = "invalid_request_error"
_ENDS = frozenset({Stage.COMPLETED, Stage.INCOMPLETE, Stage.FAILED})
_NOT_OF_THE_BODY = frozenset({"type", "background", "stream"})
_OF_A_HEAD = frozenset({TURN_STATE, "openai-model"})
_SLOTS = ("primary", "secondary")
_OF_A_WINDOW = ("used_percent", "window_minutes", "reset_at")
_NOT_OF_AN_ERROR = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding"})

# Codex says in each message what it says in header fields where it has some (codex-rs, core/src/client.rs).
_FIELD_PREFIX = "ws_request_header_"
_NAMED = re.compile(r"x-(?:codex|openai)-[a-z0-9-]{1,64}|traceparent|tracestate")
_FIELDS = frozenset({TURN_STATE, "x-codex-turn-metadata", "x-codex-window-id"})


@dataclass(frozen=True, slots=True)
class Create:
    """What a message asks for. `fields`: the header fields that it would have over HTTP; `body`: that of the POST."""

    fields: Headers
    body: bytes = field(repr=False)


def read_message(message: bytes | str) -> Create | None:
    """Reads a host's message; None where it asks for nothing.

    Raises RequestRefused, with the reply to tell by `error_message`.
    """
    try:
        given = members(message)
    except ValueError:
        raise _refused("Each message must be a JSON object.", "invalid_json") from None
    kind = given["type"].value if "type" in given else None
    if kind == _PROCESSED:
        return None
    if kind != CREATE:
        shown = f"'{safe_text(kind)}'" if isinstance(kind, str) else "none"
        told = f"Unknown message type: {shown}. Send messages of type '{CREATE}'."
        raise _refused(told, "unknown_message_type", param="type")
    raws = {name: part.raw for name, part in given.items() if name not in _NOT_OF_THE_BODY}
    return Create(_fields(given.get("client_metadata")), dump_object(raws | {"stream": "true"}).encode())


def event_messages(events: Iterable[Event]) -> tuple[list[str], bool]:
    """An answer's events as messages, and whether the answer's end is among them.

    What has no JSON object is left out: comments, and the `[DONE]` of other interfaces.
    """
    told = [(each.type, each.data) for each in events if each.data.startswith(b"{")]
    return [data.decode(errors="replace") for _, data in told], any(stage(type) in _ENDS for type, _ in told)


def metadata_message(headers: Headers) -> str | None:
    """What Codex wants to know from the head of an answer's stream, as the message that tells it: what it is to bring
    back within its turn, and the model that serves (codex-rs, codex-api/src/sse/responses.rs). None: nothing.
    """
    told = {name.lower(): value for name, value in headers if name.lower() in _OF_A_HEAD}
    return json.dumps({"type": "response.metadata", "headers": told}) if told else None


def limits_message(headers: Headers) -> str | None:
    """The quota in the head of an answer's stream as the message that tells it (PROTOCOL, 3.8): over a WebSocket Codex
    looks nowhere else. None: the head says nothing of it.
    """
    fields = {name.lower(): value for name, value in headers}
    windows = {slot: window for slot in _SLOTS if (window := _window(fields, f"x-codex-{slot}-"))}
    if not windows:
        return None
    plan = fields.get("x-codex-plan-type")
    return json.dumps({"type": "codex.rate_limits", "plan_type": plan, "rate_limits": windows})


def _window(fields: dict[str, str], prefix: str) -> dict[str, float]:
    found = {name: number(fields.get(prefix + name.replace("_", "-"))) for name in _OF_A_WINDOW}
    window = {name: value for name, value in found.items() if value is not None}
    return window if "used_percent" in window and "window_minutes" in window else {}


def error_message(reply: Reply) -> str:
    """A complete answer as the message that says the same: its status, its error object, its header fields.

    Nothing but an error comes whole: where the status is none of an error's, something is wrong on the way here.
    """
    error = _error(reply.body)
    status = reply.status if reply.status >= 400 else 502
    if error is None:
        made = error_object(f"The request was answered with status {reply.status}.", "server_error", "server_error")
        error = json.dumps(made["error"])
    fields = {name.lower(): value for name, value in reply.headers if name.lower() not in _NOT_OF_AN_ERROR}
    return dump_object({"type": '"error"', "status": str(status), "error": error, "headers": json.dumps(fields)})


def no_handshake() -> Reply:
    """The connection cannot become a WebSocket as the host wants it: what it may do, and the version that we speak."""
    message = "This is no handshake of a WebSocket (RFC 6455, 4.1). Send one over HTTP/1.1, or use POST."
    version = (("sec-websocket-version", "13"),)
    return openai_error(426, message, type=_INVALID, code="invalid_websocket_handshake", headers=version)


def busy() -> Reply:
    """An answer is on its way: the interface has one at a time on a connection."""
    message = "A response is in progress on this connection. Wait for its last event, or open another connection."
    return openai_error(400, message, type=_INVALID, code="response_in_progress")


def too_old() -> Reply:
    """The connection has had its time; hosts open another one upon these very words (PROTOCOL, 4.1)."""
    message = (
        "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue."
    )
    return openai_error(400, message, type=_INVALID, code="websocket_connection_limit_reached")


def warmed(response_id: str, model: str, created_at: int, sequence_number: int = 0) -> bytes:
    """The stream that answers a request which wants nothing generated: it begins, and is complete.

    `created_at`: epoch seconds. `sequence_number`: that of its first event.
    """
    begun = blank_response(response_id, "in_progress", model=model, created_at=created_at)
    whole = begun | {"status": "completed", "usage": _NO_USAGE}
    created = event("response.created", sequence_number, response=begun)
    return created + event("response.completed", sequence_number + 1, response=whole)


_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _fields(metadata: Part | None) -> Headers:
    """The header fields that a message says in its client's metadata."""
    value = metadata.value if metadata is not None else None
    said: dict[str, str] = {}
    for name, text in value.items() if isinstance(value, dict) else ():
        if name.startswith(_FIELD_PREFIX):
            name = name.removeprefix(_FIELD_PREFIX).replace("_", "-").lower()
            known = _NAMED.fullmatch(name) is not None
        else:
            known = name in _FIELDS
        if known and isinstance(text, str) and text and is_field_value(text):
            said[name] = text
    return tuple(said.items())


def _error(body: bytes) -> str | None:
    try:
        given = members(body).get("error")
    except ValueError:
        return None
    return given.raw if given is not None and isinstance(given.value, dict) else None


def _refused(message: str, code: str, param: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(400, message, type=_INVALID, code=code, param=param))

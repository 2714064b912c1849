"""What an answer is made of: what it has to know of its request, and its events, encoded before any is sent.

Facts: the OpenAI Responses streaming reference; vendor events as the Codex backend adds them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Json = dict[str, object]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Form(Enum):
    """What an answer is to be."""

    REPLY = "reply"
    """A stream of events, or one JSON object, as the request says."""
    FRAMES = "frames"
    """Events on a WebSocket."""
    PREWARM = "prewarm"
    """The same, and nothing is generated."""
    COMPACTION = "compaction"
    """One JSON object with what the request's input was made into."""


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event, encoded; `type` is empty for comments and other bytes."""

    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer needs to know of its request. `created_at`: epoch seconds."""

    response_id: str
    created_at: int
    body: Mapping[str, object]
    input_tokens: int = 1
    cached_tokens: int = 0
    rate_limits: Json = field(default_factory=dict)
    """The vendor event `codex.rate_limits`."""
    form: Form = Form.REPLY

    def item_id(self, prefix: str, number: int = 0) -> str:
        """An item's id, with the prefix that its type wants (msg, rs, fc, ctc, cmp); `number`: which of its type."""
        return f"{prefix}_{self.response_id.removeprefix('resp_')}{number or ''}"

    @property
    def wants_ciphertext(self) -> bool:
        """Whether the request includes `reasoning.encrypted_content`."""
        include = self.body.get("include")
        return isinstance(include, list) and "reasoning.encrypted_content" in include

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body.get("model"))

    @property
    def streams(self) -> bool:
        """Whether the answer is to be a stream of events, and not one JSON object."""
        return self.on_socket or (self.form is Form.REPLY and self.body.get("stream") is True)

    @property
    def on_socket(self) -> bool:
        """Whether they go out on a WebSocket."""
        return self.form in (Form.FRAMES, Form.PREWARM)

    @property
    def compacts(self) -> bool:
        """Whether the request wants its input compacted: by where it came in, or by its last item."""
        items = self.body.get("input")
        last = items[-1] if isinstance(items, list) and items else None
        triggered = isinstance(last, dict) and last.get("type") == "compaction_trigger"
        return triggered or self.form is Form.COMPACTION


class Composer:
    """Collects events and counts `sequence_number` and `output_index`."""

    def __init__(self, asked: Asked, model: str) -> None:
        self.asked = asked
        self.model = model
        self.events: list[Event] = []
        self.output: list[Json] = []
        self.final: Json = {}
        """The response object of the last event."""
        self._sequence = 0

    def add(self, type: str, **fields: object) -> None:
        """One event with a sequence number."""
        self.add_vendor({"type": type, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def add_vendor(self, value: Json) -> None:
        """One event exactly as given."""
        self.events.append(encode_event(value))

    def add_comment(self) -> None:
        """A comment line, which is no event to a parser."""
        self.events.append(Event("", b": keepalive\n\n"))

    def begin(self) -> None:
        """`response.created` and `response.in_progress`."""
        for type in ("response.created", "response.in_progress"):
            self.add(type, response=self.response("in_progress"))

    def response(self, status: str, **changes: object) -> Json:
        """The full response object, with what the request said echoed in it."""
        body = self.asked.body
        reasoning = body.get("reasoning") or {}
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        return {
            "id": self.asked.response_id,
            "object": "response",
            "created_at": self.asked.created_at,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": body.get("max_tool_calls"),
            "model": self.model,
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": effort, "summary": None},
            "safety_identifier": body.get("safety_identifier"),
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_logprobs": body.get("top_logprobs", 0),
            "top_p": body.get("top_p", 1.0),
            "truncation": body.get("truncation", "disabled"),
            "usage": None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
            **changes,
        }


def encode_event(value: Json) -> Event:
    """An event as the backend frames it: `event:` and one `data:` line."""
    type = str(value["type"])
    return Event(type, f"event: {type}\ndata: {_encode(value)}\n\n".encode())


def encode_json(value: Json) -> Event:
    """A whole body of JSON."""
    return Event("", _encode(value).encode())

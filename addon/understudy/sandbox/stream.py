"""The events of one streamed answer, in the order and the shapes of the Responses API, encoded before any is sent.

Facts: the OpenAI Responses streaming reference; vendor events as the Codex backend adds them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from understudy.sandbox.encrypted import encrypt
from understudy.sandbox.steps import DEFAULT_TEXT, Stream

Json = dict[str, object]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_REASONING = ("**Reading the script**", " and finding", " the cue.")


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

    def item_id(self, prefix: str) -> str:
        """An item's id, with the prefix that its type wants (msg, rs, fc, cmp)."""
        return f"{prefix}_{self.response_id.removeprefix('resp_')}"

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
        return self.body.get("stream") is True

    @property
    def compacts(self) -> bool:
        """Whether the request wants its input compacted: its last item says so."""
        items = self.body.get("input")
        last = items[-1] if isinstance(items, list) and items else None
        return isinstance(last, dict) and last.get("type") == "compaction_trigger"


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


def compose(look: Stream, asked: Asked) -> Composer:
    """All events of a whole answer that looks like `look`, and the response that they end with."""
    composer = Composer(asked, look.serve_model or asked.model)
    if look.vendor:
        composer.add_vendor(asked.rate_limits)
    composer.begin()
    if look.vendor:
        composer.add_vendor({"type": "codex.response.metadata", "metadata": {}, "headers": {}})
    words = 0 if asked.compacts else _add_output(composer, look)
    if asked.compacts:
        _add_compaction(composer)
    _finish(composer, look, words)
    if look.done_marker:
        composer.events.append(Event("", b"data: [DONE]\n\n"))
    return composer


def _add_output(composer: Composer, look: Stream) -> int:
    """The items of an ordinary answer. Returns how many words of text are in it."""
    if look.reasoning:
        _add_reasoning(composer)
    words = list(split_words(look))
    if words:
        add_message(composer, words, keepalive=look.keepalive)
    if look.tool is not None:
        _add_call(composer, look.tool.name, look.tool.arguments)
    return len(words)


def split_words(look: Stream) -> Iterator[str]:
    """The text's words, each with the space before it: joined they are the text."""
    if look.words:
        yield from (f"word{number}" if number == 0 else f" word{number}" for number in range(look.words))
        return
    text = look.text if look.text is not None else "" if look.tool else DEFAULT_TEXT
    for number, word in enumerate(text.split(" ") if text else ()):
        yield word if number == 0 else f" {word}"


def add_message(composer: Composer, words: list[str], *, keepalive: bool = False, close: bool = True) -> None:
    """A message item, word by word; left open where `close` is false."""
    where: Json = {"item_id": composer.asked.item_id("msg"), "output_index": len(composer.output)}
    part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    item: Json = {"id": where["item_id"], "type": "message", "role": "assistant"}
    started = {**item, "status": "in_progress", "content": []}
    composer.add("response.output_item.added", output_index=where["output_index"], item=started)
    where["content_index"] = 0
    composer.add("response.content_part.added", **where, part=part)
    for number, word in enumerate(words):
        if keepalive and number == 1:
            composer.add("keepalive")
            composer.add_comment()
        composer.add("response.output_text.delta", **where, delta=word, logprobs=[])
    if not close:
        return
    text = "".join(words)
    part = {**part, "text": text}
    composer.add("response.output_text.done", **where, text=text, logprobs=[])
    composer.add("response.content_part.done", **where, part=part)
    _add_done(composer, {**item, "status": "completed", "content": [part]})


def _add_reasoning(composer: Composer) -> None:
    index, id = len(composer.output), composer.asked.item_id("rs")
    item: Json = {"id": id, "type": "reasoning", "summary": []}
    if composer.asked.wants_ciphertext:
        item["encrypted_content"] = encrypt(id)
    composer.add("response.output_item.added", output_index=index, item=item)
    where: Json = {"item_id": id, "output_index": index, "summary_index": 0}
    composer.add("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
    for words in _REASONING:
        composer.add("response.reasoning_summary_text.delta", **where, delta=words)
    text = "".join(_REASONING)
    part = {"type": "summary_text", "text": text}
    composer.add("response.reasoning_summary_text.done", **where, text=text)
    composer.add("response.reasoning_summary_part.done", **where, part=part)
    _add_done(composer, {**item, "summary": [part]})


def _add_compaction(composer: Composer) -> None:
    id = composer.asked.item_id("cmp")
    item: Json = {"id": id, "type": "compaction", "encrypted_content": encrypt(id)}
    composer.add("response.output_item.added", output_index=len(composer.output), item=item)
    _add_done(composer, item)


def _add_call(composer: Composer, name: str, arguments: str) -> None:
    index, id = len(composer.output), composer.asked.item_id("fc")
    item: Json = {"id": id, "type": "function_call", "name": name, "call_id": composer.asked.item_id("call")}
    started = {**item, "status": "in_progress", "arguments": ""}
    composer.add("response.output_item.added", output_index=index, item=started)
    where: Json = {"item_id": id, "output_index": index}
    for start in range(0, len(arguments), 8):
        composer.add("response.function_call_arguments.delta", **where, delta=arguments[start : start + 8])
    composer.add("response.function_call_arguments.done", **where, name=name, arguments=arguments)
    _add_done(composer, {**item, "status": "completed", "arguments": arguments})


def _add_done(composer: Composer, item: Json) -> None:
    composer.add("response.output_item.done", output_index=len(composer.output), item=item)
    composer.output.append(item)


def _finish(composer: Composer, look: Stream, words: int) -> None:
    asked = composer.asked
    usage = {
        "input_tokens": asked.input_tokens,
        "input_tokens_details": {"cached_tokens": asked.cached_tokens},
        "output_tokens": words,
        "output_tokens_details": {"reasoning_tokens": 16 if look.reasoning else 0},
        "total_tokens": asked.input_tokens + words,
    }
    output: list[Json] = [] if look.empty_output else composer.output
    kind, changes = "completed", Json(completed_at=asked.created_at)
    if look.incomplete:
        kind, changes = "incomplete", Json(incomplete_details={"reason": "max_output_tokens"})
    composer.final = composer.response(kind, output=output, usage=usage, **changes)
    composer.add(f"response.{kind}", response=composer.final)

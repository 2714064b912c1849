"""The events of one streamed answer, in the order and the shapes of the Responses API, encoded before any is sent.

Facts: the OpenAI Responses streaming reference; vendor events as the Codex backend adds them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from understudy.sandbox.scenario import DEFAULT_TEXT, Stream

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
        """An item's id, with the prefix that its type wants (msg, rs, fc)."""
        return f"{prefix}_{self.response_id.removeprefix('resp_')}"

    @property
    def wants_ciphertext(self) -> bool:
        """Whether the request includes `reasoning.encrypted_content`."""
        include = self.body.get("include")
        return isinstance(include, list) and "reasoning.encrypted_content" in include


class Composer:
    """Collects events and counts `sequence_number` and `output_index`."""

    def __init__(self, asked: Asked, model: str) -> None:
        self.asked = asked
        self.model = model
        self.events: list[Event] = []
        self.output: list[Json] = []
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
            "max_output_tokens": None,
            "max_tool_calls": None,
            "model": self.model,
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": effort, "summary": None},
            "safety_identifier": None,
            "service_tier": "default",
            "store": False,
            "temperature": 1.0,
            "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": {},
            **changes,
        }


def encode_event(value: Json) -> Event:
    """An event as the backend frames it: `event:` and one `data:` line."""
    type = str(value["type"])
    return Event(type, f"event: {type}\ndata: {_encode(value)}\n\n".encode())


def compose(look: Stream, asked: Asked) -> list[Event]:
    """All events of a whole answer that looks like `look`."""
    composer = Composer(asked, look.serve_model or str(asked.body.get("model")))
    if look.vendor:
        composer.add_vendor(asked.rate_limits)
    composer.begin()
    if look.vendor:
        composer.add_vendor({"type": "codex.response.metadata", "metadata": {}, "headers": {}})
    if look.reasoning:
        _add_reasoning(composer)
    words = list(split_words(look))
    if words:
        add_message(composer, words, keepalive=look.keepalive)
    if look.tool is not None:
        _add_call(composer, look.tool.name, look.tool.arguments)
    _finish(composer, look, len(words))
    if look.done_marker:
        composer.events.append(Event("", b"data: [DONE]\n\n"))
    return composer.events


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
        item["encrypted_content"] = f"gAAAAAB-sandbox-{id}"
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
    if look.incomplete:
        reason = {"reason": "max_output_tokens"}
        response = composer.response("incomplete", output=output, usage=usage, incomplete_details=reason)
        composer.add("response.incomplete", response=response)
    else:
        response = composer.response("completed", output=output, usage=usage, completed_at=asked.created_at)
        composer.add("response.completed", response=response)

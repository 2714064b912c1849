"""A whole answer, event by event, in the order of the Responses API."""

from collections.abc import Sequence

from understudy.sandbox.cues import cued_calls, cued_text
from understudy.sandbox.items import add_call, add_compaction, add_message, add_reasoning
from understudy.sandbox.steps import Stream, ToolCall
from understudy.sandbox.stream import Asked, Composer, Event, Form, Json


def compose(look: Stream, asked: Asked) -> Composer:
    """All events of a whole answer that looks like `look`, and the response that they end with."""
    composer = Composer(asked, look.serve_model or asked.model)
    if look.vendor:
        composer.add_vendor(asked.rate_limits)
    composer.begin()
    if look.vendor:
        composer.add_vendor({"type": "codex.response.metadata", "metadata": {}, "headers": {}})
    words = 0
    if asked.compacts:
        add_compaction(composer)
    elif asked.form is not Form.PREWARM:
        words = _add_output(composer, look)
    _finish(composer, look, words)
    if look.done_marker:
        composer.events.append(Event("", b"data: [DONE]\n\n"))
    return composer


def compaction(composer: Composer) -> Json:
    """What `responses/compact` answers, of an answer that is a compaction."""
    final = composer.final
    kept = {name: final[name] for name in ("id", "created_at", "usage")}
    return {**kept, "object": "response.compaction", "output": composer.output}


def _add_output(composer: Composer, look: Stream) -> int:
    """The items of an ordinary answer. Returns how many words of text are in it."""
    calls = _calls(look, composer.asked)
    cued = bool(calls) and look.tool is None
    if look.reasoning or (cued and composer.asked.wants_ciphertext):
        add_reasoning(composer)
    words = split_words(_text(look, composer.asked, calls))
    if words:
        add_message(composer, words, keepalive=look.keepalive)
    for number, call in enumerate(calls):
        add_call(composer, call, number)
    return len(words)


def _calls(look: Stream, asked: Asked) -> tuple[ToolCall, ...]:
    """What the step says, and where it says nothing, what the request's cues ask for."""
    if look.tool is not None:
        return (look.tool,)
    return () if look.words or look.text is not None else cued_calls(asked.body)


def _text(look: Stream, asked: Asked, calls: Sequence[ToolCall]) -> str:
    if look.words:
        return " ".join(f"word{number}" for number in range(look.words))
    if look.text is not None:
        return look.text
    return "" if calls else cued_text(asked.body)


def split_words(text: str) -> list[str]:
    """The text's words, each with the space before it: joined they are the text."""
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))] if text else []


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

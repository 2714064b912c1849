"""What an answer has used, by its own account of it."""

from dataclasses import dataclass

from understudy.wire.answer import Stage, stage
from understudy.wire.jsontext import loads
from understudy.wire.sse import Event

MOST_TOKENS = 1_000_000_000
_ENDS = (Stage.COMPLETED, Stage.INCOMPLETE, Stage.FAILED)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer's input. The cached ones are among them."""

    input_tokens: int
    cached_tokens: int


def read_usage(event: Event) -> Usage | None:
    """From the event that ends an answer: `{"response": {"usage": {"input_tokens", "input_tokens_details":
    {"cached_tokens"}}}}`.

    None where it says nothing. What is no number of tokens counts as 0, more than MOST_TOKENS as that.
    """
    if stage(event.type) not in _ENDS:
        return None
    try:
        usage = _member(_member(loads(event.data), "response"), "usage")
    except ValueError:
        return None
    if not usage or not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=_tokens(usage, "input_tokens"),
        cached_tokens=_tokens(_member(usage, "input_tokens_details"), "cached_tokens"),
    )


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _tokens(value: object, name: str) -> int:
    tokens = _member(value, name)
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        return 0
    return min(max(tokens, 0), MOST_TOKENS)

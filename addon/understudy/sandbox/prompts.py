"""The prompt cache of one account or key, which no other shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from understudy.sandbox.encrypted import new_id
from understudy.sandbox.steps import PlatformStep, Step, Stream
from understudy.sandbox.stream import Asked, Form, Json

CACHE_UNIT = 128
"""Prompt caching counts in units of so many tokens."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the model that is in order: its parameters, its size in bytes, and what the answer is to be."""

    body: Mapping[str, object]
    size: int
    form: Form = Form.REPLY

    @property
    def items(self) -> Sequence[object]:
        """Its input; a text is one message of the user's."""
        items = self.body.get("input")
        return items if isinstance(items, list) else [{"role": "user", "content": items}]

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body["model"])


@dataclass(slots=True)
class PromptCache:
    """Input tokens last seen under each prompt cache key. `mark`: the account's or the key's (see `encrypted`)."""

    mark: str
    _seen: dict[str, int] = field(default_factory=dict)

    def ask(self, call: Call, step: Step | PlatformStep, rate_limits: Json, now: float) -> Asked:
        """The facts of a request: its new response id, and how much of its prompt is cached here.

        A prompt that is refused before the model has read it is not cached.
        """
        tokens, key = max(1, call.size // 4), call.body.get("prompt_cache_key")
        cached = 0
        if isinstance(key, str):
            cached = min(self._seen.get(key, 0), tokens) // CACHE_UNIT * CACHE_UNIT
            if isinstance(step, Stream):
                self._seen[key] = tokens
        return Asked(new_id("resp", self.mark), int(now), call.body, tokens, cached, rate_limits, call.form)

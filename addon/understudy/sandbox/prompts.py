"""The prompt cache of one account or key, which no other shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from understudy.sandbox.encrypted import new_id
from understudy.sandbox.steps import PlatformStep, Step, Stream
from understudy.sandbox.stream import Asked, Json

CACHE_UNIT = 128
"""Prompt caching counts in units of so many tokens."""


@dataclass(slots=True)
class PromptCache:
    """Input tokens last seen under each prompt cache key. `mark`: the account's or the key's (see `encrypted`)."""

    mark: str
    _seen: dict[str, int] = field(default_factory=dict)

    def ask(
        self, body: Mapping[str, object], size: int, step: Step | PlatformStep, rate_limits: Json, now: float
    ) -> Asked:
        """The facts of a request of `size` bytes: its new response id, and how much of its prompt is cached here.

        A prompt that is refused before the model has read it is not cached.
        """
        tokens, key = max(1, size // 4), body.get("prompt_cache_key")
        cached = 0
        if isinstance(key, str):
            cached = min(self._seen.get(key, 0), tokens) // CACHE_UNIT * CACHE_UNIT
            if isinstance(step, Stream):
                self._seen[key] = tokens
        return Asked(new_id("resp", self.mark), int(now), body, tokens, cached, rate_limits)

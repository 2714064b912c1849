"""The sandbox's state: accounts with their quota and where each is in its list of steps."""

import math
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from understudy.sandbox.issuer import Issuer
from understudy.sandbox.journal import Journal
from understudy.sandbox.quota import Quota, open_quota, quota_event
from understudy.sandbox.scenario import (
    AccountSpec,
    Answer,
    Cut,
    Identity,
    Reset,
    Revoked,
    Rotate,
    Scenario,
    Stall,
    Step,
    Stream,
    TokenStep,
    Unauthorized,
    UsageLimit,
)
from understudy.sandbox.signin import SignIn
from understudy.sandbox.stream import Asked

CACHE_UNIT = 128
"""Prompt caching counts in units of so many tokens."""


@dataclass(slots=True)
class Member:
    """An account as it stands. Steps may be replaced from another thread, hence the lock."""

    identity: Identity
    spec: AccountSpec
    quota: Quota
    steps: list[Step]
    token_steps: list[TokenStep]
    prompts: dict[str, int] = field(default_factory=dict)
    """Input tokens last seen under a prompt cache key: the account's own cache."""
    _resets_at: int | None = None
    """The reset that a `until_reset` limit in force has named."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self, steps: Sequence[Step]) -> None:
        """From the next request on, these steps."""
        with self._lock:
            self.steps, self._resets_at = list(steps), None

    def take(self, now: float) -> tuple[Step, int]:
        """The step for a request that comes now, and the reset time (epoch seconds) that a limit names."""
        with self._lock:
            step = self.steps[0]
            if isinstance(step, UsageLimit) and step.until_reset:
                if self._resets_at is None:
                    self._resets_at = _reset_of(step, now)
                if now < self._resets_at:
                    return step, self._resets_at
                self._resets_at = None
                self.steps = self.steps[1:] or [Answer()]
                step = self.steps[0]
            if len(self.steps) > 1:
                self.steps = self.steps[1:]
            return step, _reset_of(step, now)

    def take_token_step(self) -> TokenStep:
        """The step for a refresh that comes now."""
        step = self.token_steps[0] if self.token_steps else Rotate()
        if len(self.token_steps) > 1:
            del self.token_steps[0]
        return step

    def charge(self, step: Step, resets_at: int, now: float) -> None:
        """Moves the quota: an answer costs a little, a limit fills its window."""
        self.quota = self.quota.at(now)
        if isinstance(step, UsageLimit):
            self.quota = self.quota.exhausted(step.window, resets_at)
        elif isinstance(step, Stream) and not isinstance(step, Reset | Cut | Stall):
            self.quota = self.quota.spent()

    def ask(self, body: Mapping[str, object], size: int, now: float) -> Asked:
        """The facts of a request: its new response id, and how much of its prompt this account has cached."""
        tokens = max(1, size // 4)
        key = body.get("prompt_cache_key")
        cached = 0
        if isinstance(key, str):
            cached = min(self.prompts.get(key, 0), tokens) // CACHE_UNIT * CACHE_UNIT
            self.prompts[key] = tokens
        response_id = f"resp_{secrets.token_hex(24)}"
        return Asked(response_id, int(now), body, tokens, cached, quota_event(self.quota))


def _reset_of(step: Step, now: float) -> int:
    """When the limit that `step` sets ends: whole seconds, never before it should."""
    if isinstance(step, UsageLimit):
        return math.ceil(now + step.resets_in) if step.resets_at is None else step.resets_at
    return math.ceil(now)


@dataclass(slots=True)
class World:
    """Everything the endpoints share."""

    scenario: Scenario
    issuer: Issuer
    journal: Journal
    signin: SignIn = field(default_factory=SignIn)
    members: dict[str, Member] = field(default_factory=dict)

    def reset(self, now: float) -> None:
        """Back to the scenario's beginning: new logins, full quota, first steps, an empty journal."""
        self.members.clear()
        self.journal.clear()
        self.signin.forget()
        for label, spec in self.scenario.accounts.items():
            identity = spec.named(label)
            quota = open_quota(spec.plan, spec.windows, spec.credits, now)
            self.members[label] = Member(identity, spec, quota, list(spec.steps), list(spec.token_steps))
            self.issuer.add(identity, spec, now)

    def suffer(self, step: Step, access: str) -> None:
        """What a step does to the login itself."""
        if isinstance(step, Unauthorized):
            self.issuer.refuse_access(access)
        elif isinstance(step, Revoked):
            self.issuer.revoke(access)

"""An account as it stands: its quota, and where it is in its lists of steps."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from understudy.sandbox.encrypted import account_mark
from understudy.sandbox.meters import quota_event
from understudy.sandbox.prompts import Call, PromptCache
from understudy.sandbox.quota import Quota, open_quota
from understudy.sandbox.scenario import AccountSpec, Identity
from understudy.sandbox.steps import Answer, Cut, Reset, Rotate, Stall, Step, Stream, TokenStep, UsageLimit, UsageStep
from understudy.sandbox.stream import Asked

_Step = TypeVar("_Step")


@dataclass(frozen=True, slots=True)
class Act:
    """What the account does with a request: the step, the reset (epoch seconds) it names, the quota it shows."""

    step: Step
    resets_at: int
    quota: Quota


@dataclass(slots=True)
class Member:
    """An account as it stands. Steps may be replaced from another thread, and limits lifted, hence the lock.

    Its times are epoch seconds of its servers' own clock: see `clock`.
    """

    identity: Identity
    spec: AccountSpec
    models: tuple[str, ...]
    quota: Quota
    prompts: PromptCache
    steps: list[Step]
    token_steps: list[TokenStep]
    usage_steps: list[UsageStep]
    _resets_at: int | None = None
    """The reset that a `until_reset` limit in force has named."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clock(self, now: float) -> float:
        """What the clock of the account's servers shows at `now`."""
        return now + self.spec.clock_skew

    def play(self, steps: Sequence[Step]) -> None:
        """From the next request on, these steps."""
        with self._lock:
            self.steps, self._resets_at = list(steps), None

    def lift(self, now: float) -> None:
        """Empties all windows before their time, and ends usage limits that come next in the steps."""
        with self._lock:
            self.quota, self._resets_at = self.quota.renewed(now), None
            while self.steps and isinstance(self.steps[0], UsageLimit):
                del self.steps[0]
            self.steps = self.steps or [Answer()]

    def act(self, model: str, now: float) -> Act:
        """Takes the step for a request that comes now, and moves the quota: an answer costs, a limit fills a window."""
        with self._lock:
            self.quota = before = self.quota.at(now)
            step, resets_at = self._enforced(model) or self._next(now)
            meter = self.quota.meter(model)
            if isinstance(step, UsageLimit):
                self.quota = self.quota.moved(meter.exhausted(step.window, resets_at))
            elif isinstance(step, Stream) and not isinstance(step, Reset | Cut | Stall):
                self.quota = self.quota.moved(meter.spent())
            midway = isinstance(step, UsageLimit) and step.after_words > 0
            return Act(step, resets_at, before if midway else self.quota)

    def take_token_step(self) -> TokenStep:
        """The step for a refresh that comes now."""
        return next_of(self.token_steps) if self.token_steps else Rotate()

    def greet(self, now: float) -> Act | None:
        """Takes the step for a WebSocket that is opened now; None where the next one is for a message."""
        return self.act("", now) if self.steps[0].handshake else None

    def ask(self, call: Call, act: Act, now: float) -> Asked:
        """The facts of a request."""
        return self.prompts.ask(call, act.step, quota_event(act.quota, call.model), now)

    def _enforced(self, model: str) -> tuple[Step, int] | None:
        """The account's own refusal where it enforces its windows, and one of them is used up."""
        credits, meter = self.spec.credits, self.quota.meter(model)
        index = meter.used_up
        if not self.spec.enforce or credits.has_credits or credits.unlimited or index is None:
            return None
        return UsageLimit(window=index), meter.gauges[index].resets_at

    def _next(self, now: float) -> tuple[Step, int]:
        step = self.steps[0]
        if isinstance(step, UsageLimit) and step.until_reset:
            if self._resets_at is None:
                self._resets_at = _reset_of(step, now)
            if now < self._resets_at:
                return step, self._resets_at
            self._resets_at = None
            self.steps = self.steps[1:] or [Answer()]
        step = next_of(self.steps)
        return step, _reset_of(step, now)


def new_member(label: str, spec: AccountSpec, models: tuple[str, ...], now: float) -> Member:
    """The account as the scenario starts it. `models`: those it has unless it says otherwise."""
    start = now + spec.clock_skew
    return Member(
        identity=spec.named(label),
        spec=spec,
        models=models if spec.models is None else spec.models,
        quota=open_quota(spec.plan, spec.windows, spec.credits, start, spec.limits),
        prompts=PromptCache(account_mark(label)),
        steps=list(spec.steps),
        token_steps=list(spec.token_steps),
        usage_steps=list(spec.usage_steps),
    )


def next_of(steps: list[_Step]) -> _Step:
    """Takes the next step; the last one stays."""
    return steps.pop(0) if len(steps) > 1 else steps[0]


def _reset_of(step: Step, now: float) -> int:
    """When the limit that `step` sets ends: whole seconds, never before it should."""
    if isinstance(step, UsageLimit):
        return math.ceil(now + step.resets_in) if step.resets_at is None else step.resets_at
    return math.ceil(now)

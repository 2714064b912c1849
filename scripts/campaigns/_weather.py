"""What befalls the accounts of the policy campaign: limits that come and go, and faults, as a seed has it."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from understudy.sandbox.server import Sandbox

Step = Mapping[str, object]

ANSWER: Step = {"do": "answer", "words": 20, "delay": 0.004}
FAULTS: tuple[Step, ...] = (
    {"do": "burst"},
    {"do": "server_error"},
    {"do": "bad_gateway"},
    {"do": "reset", "when": "before_headers"},
    {"do": "reset", "when": "after_events", "events": 2},
    {"do": "cut", "when": "after_events", "events": 2},
    {"do": "early_failed", "code": "rate_limit_exceeded"},
    {"do": "early_failed", "code": "server_is_overloaded"},
    {"do": "early_failed", "code": "server_error"},
)
"""The backend fails one account at a time: what all of them meet alike is no matter of choosing."""
IN_A_ROW = (1, 1, 1, 1, 2, 2, 3)
"""How many requests a fault hits."""
SAID = ("both", "body", "headers", "stream")
"""Where a limit is told: in a 429's body or head, or both; or in the stream of a 200."""
IN_STREAM = "error_event"
"""The step that tells a limit in the stream; no fault goes by that name."""
LONGEST = 20.0
HOURS = 3 * 3600.0
LIMITS = 2.5
"""How many each account has, about."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as planned. `lifted`: seconds until it is lifted without a word; None: it is not."""

    at: float
    label: str
    seconds: float
    said: str
    lifted: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as planned: `count` requests meet it, unless another one comes first."""

    at: float
    label: str
    step: Step
    count: int


Plan = Sequence[Limit | Fault]


def make_plan(random: Random, labels: Sequence[str], seconds: float, faults: int) -> Plan:
    """What befalls the accounts within so many seconds; `faults`: about how many there are.

    One account gets a limit of hours that outlasts them, another one such a limit that is lifted. Past the middle there
    is a time in which all of them are limited.
    """
    dark, length = 0.6 * seconds, min(5.0, seconds / 8)
    gone, lifted = random.sample(labels, 2)
    plan: list[Limit | Fault] = list(_faults(random, labels, seconds, faults))
    for label in labels:
        if label in (gone, lifted):
            at = (0.3 if label == gone else 0.4) * seconds
            plan += _limits(random, label, 0.0, at, seconds)
            plan.append(Limit(at, label, HOURS, random.choice(SAID), 0.3 * seconds if label == lifted else None))
        else:
            plan += _limits(random, label, 0.0, dark, seconds)
            short = random.uniform(length / 2, length)
            plan.append(Limit(dark, label, short, random.choice(SAID), random.choice((None, 0.3 * short, 0.7 * short))))
            plan += _limits(random, label, dark + length + 1, seconds, seconds)
    return plan


def _limits(random: Random, label: str, begin: float, end: float, seconds: float) -> Iterator[Limit]:
    at = begin + random.expovariate(LIMITS / seconds)
    while at < end - 1:
        length = min(random.uniform(1, min(LONGEST, seconds / 2)), end - at)
        yield Limit(at, label, length, random.choice(SAID), random.choice((None, None, random.random() * length)))
        at += length + 1 + random.expovariate(LIMITS / seconds)


def _faults(random: Random, labels: Sequence[str], seconds: float, count: int) -> Iterator[Fault]:
    at = 0.0
    while (at := at + random.expovariate(count / seconds)) < seconds:
        yield Fault(at, random.choice(labels), random.choice(FAULTS), random.choice(IN_A_ROW))


@dataclass(frozen=True, slots=True)
class Spell:
    """A limit as it came. `named`: the end that the backend names. All in epoch seconds."""

    label: str
    begins: float
    named: float
    ends: float


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault as it came, at `begins` (epoch seconds)."""

    label: str
    begins: float
    step: str
    count: int


@dataclass(slots=True)
class Weather:
    """Makes it happen, and writes down what happened when."""

    sandbox: Sandbox
    plan: Plan
    spells: list[Spell] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    lifts: list[tuple[str, float]] = field(default_factory=list)
    """Whose limits were lifted, and when."""
    over: threading.Event = field(default_factory=threading.Event)
    """Ends `run`."""

    def run(self) -> None:
        """From now on, until the plan is done or `over` is set."""
        began = time.monotonic()
        for at, happen in sorted(self._happenings(), key=lambda pair: pair[0]):
            if self.over.wait(max(0.0, began + at - time.monotonic())):
                return
            happen()

    def _happenings(self) -> Iterator[tuple[float, Callable[[], None]]]:
        for each in self.plan:
            if isinstance(each, Fault):
                yield each.at, partial(self._strike, each)
                continue
            yield each.at, partial(self._limit, each)
            if each.lifted is not None:
                yield each.at + each.lifted, partial(self._lift, each.label)

    def _limit(self, limit: Limit) -> None:
        now = time.time()
        named = math.ceil(now + limit.seconds)
        self.spells.append(Spell(limit.label, now, named, named if limit.lifted is None else now + limit.lifted))
        step = {"do": "usage_limit", "resets_at": named, "until_reset": True}
        if limit.said == "stream":
            first = {"do": IN_STREAM, "code": "usage_limit_reached", "resets_in": math.ceil(named - now)}
            self.sandbox.set_steps(limit.label, [first, step, ANSWER])
        else:
            self.sandbox.set_steps(limit.label, [{**step, "tell": limit.said}, ANSWER])

    def _lift(self, label: str) -> None:
        self.sandbox.lift(label)
        self.sandbox.set_steps(label, [ANSWER])
        self.lifts.append((label, time.time()))

    def _strike(self, fault: Fault) -> None:
        now = time.time()
        limited = {spell.label for spell in self.spells if now < spell.ends}
        for strike in self.strikes[-1:]:
            if strike.label not in limited:
                self.sandbox.set_steps(strike.label, [ANSWER])
        if fault.label not in limited:
            self.strikes.append(Strike(fault.label, now, str(fault.step["do"]), fault.count))
            self.sandbox.set_steps(fault.label, [*[fault.step] * fault.count, ANSWER])

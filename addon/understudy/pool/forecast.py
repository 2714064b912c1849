"""Who will be usable when, if the work goes on at the pace of the last hour: `forecast(runners, now)`.

The pace is that of the pool: whoever takes the work is taken to fill as fast as those together did that had it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf

from understudy.pool.account import Block, Health, Lane
from understudy.pool.obstacles import ALL_RESERVED, COSTS_MONEY, SOFT, users_to_change
from understudy.pool.pace import HOUR
from understudy.wire.quota import MAIN_LIMIT, Snapshot, Window, limit_words

MOST_LEGS = 6
SOON = 1800.0
"""Seconds within which an account that ends is a risk."""
HORIZON = 7 * 24 * HOUR
"""Seconds to look ahead."""


class Ready(Enum):
    """Whether an account can serve; the better first."""

    READY = "ready"
    DELAYED = "delayed"
    UNAVAILABLE = "unavailable"


class Risk(Enum):
    """How likely it is that a request which goes to the account now is not served by it; the better first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Runner:
    """What the forecast goes by, of one account. `paces`: percent per hour by name of the main limit's windows."""

    label: str
    enabled: bool = True
    health: Health = Health.OK
    health_reason: str = ""
    blocks: tuple[Block, ...] = ()
    reserve_percent: float = 0.0
    lane: Lane = Lane.CODEX
    snapshot: Snapshot | None = None
    paces: Mapping[str, float] = field(default_factory=dict)
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Tank:
    """What hosts may have of a window. `left`, `room`: percent, now and after a reset; `length`: seconds."""

    name: str
    left: float
    room: float
    resets_at: float | None
    length: float | None

    def at(self, moment: float) -> "Tank":
        """As it is then, if nothing is taken from it until then."""
        if self.resets_at is None or moment < self.resets_at:
            return self
        later = self.length and self.resets_at + self.length * ((moment - self.resets_at) // self.length + 1)
        return replace(self, left=self.room, resets_at=later or None)

    def empties(self, pace: float, since: float) -> float | None:
        """When it is empty, at `pace` percent per hour from `since` on; None where its resets always come first."""
        if pace <= 0:
            return None
        tank = self.at(since)
        end = since + tank.left / pace * HOUR
        if tank.resets_at is None or end <= tank.resets_at:
            return end
        anew = tank.room / pace * HOUR
        return None if tank.length is None or anew > tank.length else tank.resets_at + anew

    def drained(self, pace: float, since: float, until: float) -> "Tank":
        """As it is at `until`, at `pace` percent per hour from `since` on."""
        before, after = self.at(since), self.at(until)
        if before.resets_at == after.resets_at:
            begun = since
        else:
            begun = (before.resets_at or since) if after.resets_at is None else after.resets_at - (self.length or 0.0)
        return replace(after, left=max(0.0, after.left - pace * (until - begun) / HOUR))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of one account. Times in epoch seconds; None is: unknown, or never at this pace.

    `reason`: what keeps it from serving now, empty where nothing does. `ends_by`: the name of the window that ends it.
    """

    runner: Runner
    ready: Ready
    reason: str
    usable_from: float | None
    lasts_until: float | None
    ends_by: str
    back_at: float | None
    risk: Risk


@dataclass(frozen=True, slots=True)
class Leg:
    """Who has the work, or nobody (None), from when until when. `until`: None for as far as one can see."""

    label: str | None
    since: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`outlooks`: those that are ready first. `legs`: how the work goes from one to the next. `paces`: the pool's."""

    outlooks: tuple[Outlook, ...]
    legs: tuple[Leg, ...]
    paces: Mapping[str, float]


def forecast(runners: Sequence[Runner], now: float) -> Forecast:
    """What is to be expected of the accounts, `runners` in the pool's order. `now`: epoch seconds."""
    names = dict.fromkeys(name for runner in runners for name in runner.paces)
    paces = {name: sum(runner.paces.get(name, 0.0) for runner in runners) for name in names}
    outlooks = [_outlook(runner, paces, now) for runner in runners]
    ranked = sorted(outlooks, key=lambda o: (_rank(o.ready), o.usable_from or 0.0, _rank(o.risk)))
    return Forecast(tuple(ranked), tuple(_legs(outlooks, paces, now)), paces)


_DROP = 1e-6
"""Percent: less is nothing."""


def _rank(value: Enum) -> int:
    return list(type(value)).index(value)


def _outlook(runner: Runner, paces: Mapping[str, float], now: float) -> Outlook:
    reason, usable_from = _hindrance(runner, now)
    ready = Ready.UNAVAILABLE if usable_from is None else Ready.DELAYED if usable_from > now else Ready.READY
    end = None if usable_from is None else _end(tanks(runner), paces, usable_from)
    until, ends_by, back_at = end or (None, "", None)
    risk = _risk(runner, ready, until, now)
    return Outlook(runner, ready, reason, usable_from, until, ends_by, back_at, risk)


def _hindrance(runner: Runner, now: float) -> tuple[str, float | None]:
    """Why the account does not serve now, and when it will: `now` where nothing is in the way, None for unknown."""
    if (found := users_to_change(runner)) is not None:
        return found.reason, None
    if runner.lane is Lane.PLATFORM:
        return f"{COSTS_MONEY}, and only where codex_overflow is on", None
    if runner.reserve_percent >= 100.0:
        return ALL_RESERVED, None
    waits: list[tuple[float, str]] = [
        (block.until, block.reason)
        for block in runner.blocks
        if block.holds_at(now) and not block.model and block.ground not in SOFT
    ]
    for tank in (tank.at(now) for tank in tanks(runner)):
        if tank.left <= 0:
            kept = f" but the last {runner.reserve_percent:g} %" if runner.reserve_percent else ""
            reason = f"{limit_words([tank.name])} used up{kept}"
            if tank.resets_at is None:
                return f"{reason}, and nothing says until when", None
            waits.append((tank.resets_at, reason))
    until, reason = max(waits, default=(now, ""))
    return reason, until


def tanks(runner: Runner) -> list[Tank]:
    """What is left of the main limit's windows; none where that is unknown, or where credits carry the account on: past
    the windows, but not into what the user keeps.
    """
    seen = runner.snapshot
    if seen is None or (seen.goes_on and not runner.reserve_percent):
        return []
    return [_tank(w, runner.reserve_percent, seen.updated_at) for w in seen.windows if w.limit_id == MAIN_LIMIT]


def _tank(window: Window, reserve: float, seen_at: float) -> Tank:
    length = window.window_minutes * 60.0 if window.window_minutes else None
    # Where no reset is named, it comes no later than a whole window after it was seen.
    resets_at = seen_at + length if window.resets_at is None and length else window.resets_at
    room = 100.0 - reserve
    return Tank(window.name, max(0.0, room - window.used_percent), room, resets_at, length)


def _end(held: Sequence[Tank], paces: Mapping[str, float], since: float) -> tuple[float, str, float | None] | None:
    """When the first of the windows ends it, which one, and when that resets; None where none does."""
    ends = [(end, tank) for tank in held if (end := tank.empties(paces.get(tank.name, 0.0), since)) is not None]
    if not ends:
        return None
    end, tank = min(ends, key=lambda pair: pair[0])
    return end, tank.name, tank.at(end).resets_at


def _risk(runner: Runner, ready: Ready, until: float | None, now: float) -> Risk:
    if ready is not Ready.READY:
        return Risk.HIGH
    used = max((100.0 - tank.at(now).left for tank in tanks(runner)), default=0.0)
    if used >= 98:
        return Risk.HIGH
    shaky = any(block.holds_at(now) and block.ground in SOFT for block in runner.blocks)
    return Risk.MEDIUM if used >= 90 or shaky or (until is not None and until - now < SOON) else Risk.LOW


def _legs(outlooks: Sequence[Outlook], paces: Mapping[str, float], now: float) -> list[Leg]:
    """The work stays where it was last as long as that can serve, then goes by the pool's order."""
    held = {o.runner.label: [tank.at(now) for tank in tanks(o.runner)] for o in outlooks}
    free_from = {o.runner.label: o.usable_from for o in outlooks if o.usable_from is not None}
    order = [o.runner.label for o in sorted(outlooks, key=lambda o: -(o.runner.last_used_at or 0.0))][:1]
    order += [o.runner.label for o in outlooks]
    legs: list[Leg] = []
    at = now
    while len(legs) < MOST_LEGS and at < now + HORIZON:
        label = next((name for name in order if free_from.get(name, inf) <= at), None)
        if label is None:
            soonest = min(free_from.values(), default=inf)
            legs.append(Leg(None, at, None if soonest == inf else soonest))
            at = soonest
            continue
        end = _end(held[label], paces, at)
        legs.append(Leg(label, at, end and end[0]))
        if end is None:
            break
        held[label] = [tank.drained(paces.get(tank.name, 0.0), at, end[0]) for tank in held[label]]
        at, order = end[0], [o.runner.label for o in outlooks]
        empty = [tank.resets_at for tank in held[label] if tank.left < _DROP]
        free_from[label] = max((inf if reset is None else reset for reset in empty), default=at)
    return legs

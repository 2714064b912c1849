"""The strategies: which of the accounts that can serve a new session takes it. Sessions that have one stay there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from understudy.pool.standing import Standing

SWITCH_EVERY = 60.0
"""Seconds between two switches that nothing but a better score asks for."""
MARGIN = 25.0
"""Points by which another account has to be better: 5 % of what a healthy idle one has."""


class Strategy(StrEnum):
    """`codex_strategy`."""

    STICKY = "sticky"
    HYBRID = "hybrid"
    ROUND_ROBIN = "round_robin"
    DRAIN = "drain"


class By(StrEnum):
    """Why an account was chosen: the code for machines, `words` for people."""

    PIN = "pin"
    PREFERRED = "preferred"
    HELD = "held"
    TURN = "turn"
    SESSION = "session"
    MEANWHILE = "meanwhile"
    ACTIVE = "active"
    ORDER = "order"
    SCORE = "score"
    NEXT = "next"
    DRAIN = "drain"
    COOLING = "cooling"
    PROBE = "probe"
    EARLY = "early"
    OVERFLOW = "overflow"

    @property
    def words(self) -> str:
        """In a few words: `the session's account`."""
        return _WORDS[self]

    @property
    def is_of_strategy(self) -> bool:
        """Whether the strategy has chosen, for a session that has no account yet or whose own cannot serve."""
        return self in (By.ACTIVE, By.ORDER, By.SCORE, By.NEXT, By.DRAIN)

    @property
    def is_costly(self) -> bool:
        """Whether it is worth waiting for another one, if the user wants to."""
        return self in (By.EARLY, By.OVERFLOW)

    @property
    def is_last_resort(self) -> bool:
        """Whether it was chosen because the alternative is to fail."""
        return self in (By.COOLING, By.PROBE, By.EARLY, By.OVERFLOW)


_WORDS = {
    By.PIN: "pinned",
    By.PREFERRED: "preferred by the user",
    By.HELD: "the only one that can read this conversation",
    By.TURN: "in the middle of a turn",
    By.SESSION: "the session's account",
    By.MEANWHILE: "serves the session meanwhile",
    By.ACTIVE: "in use",
    By.ORDER: "first in order",
    By.SCORE: "best score",
    By.NEXT: "next in turn",
    By.DRAIN: "first to be used up",
    By.COOLING: "failed a moment ago, but nobody else is left",
    By.PROBE: "tried again after failures, as nobody else is left",
    By.EARLY: "tried before its limit ends, as nobody else is left",
    By.OVERFLOW: "last resort, paid by the request",
}


@dataclass(frozen=True, slots=True)
class Course:
    """What the choice remembers from one new session to the next. `at`: epoch seconds of the last switch."""

    last: str | None = None
    """The id of the account that the last new session was given."""
    at: float = 0.0

    def after(self, account_id: str, now: float) -> "Course":
        """After a new session went to that account."""
        return self if account_id == self.last else Course(account_id, now)


Pick = tuple[Standing, By]


def pick(strategy: Strategy, free: Sequence[Standing], course: Course, soft_quota: float, now: float) -> Pick:
    """The account for a new session, of those that can serve (at least one), in pool order.

    `soft_quota`: with so many percent left, or fewer, an account is left alone as long as another has more. To drain an
    account means to go on with it all the same.
    """
    if soft_quota and strategy is not Strategy.DRAIN:
        free = [standing for standing in free if standing.left(now) > soft_quota] or free
    return _PICKS[strategy](free, course, now)


def _sticky(free: Sequence[Standing], course: Course, now: float) -> Pick:
    active = next((standing for standing in free if standing.account.id == course.last), None)
    return (active, By.ACTIVE) if active else (free[0], By.ORDER)


def _drain(free: Sequence[Standing], course: Course, now: float) -> Pick:
    return free[0], By.DRAIN


def _round_robin(free: Sequence[Standing], course: Course, now: float) -> Pick:
    ids = sorted(free, key=lambda standing: standing.account.id)
    after = [standing for standing in ids if course.last is not None and standing.account.id > course.last]
    return (after or ids)[0], By.NEXT


def _hybrid(free: Sequence[Standing], course: Course, now: float) -> Pick:
    best = max(free, key=lambda standing: score(standing, now))
    active = next((standing for standing in free if standing.account.id == course.last), None)
    if active is None or active is best:
        return best, By.SCORE
    settled = 0 <= now - course.at < SWITCH_EVERY
    if settled or score(best, now) < score(active, now) + MARGIN:
        return active, By.ACTIVE
    return best, By.SCORE


_PICKS: Mapping[Strategy, Callable[[Sequence[Standing], Course, float], Pick]] = {
    Strategy.STICKY: _sticky,
    Strategy.HYBRID: _hybrid,
    Strategy.ROUND_ROBIN: _round_robin,
    Strategy.DRAIN: _drain,
}

LONGEST_IDLE = 24.0
"""Hours of rest that speak for an account at most."""
CLAIM = 40.0
"""Points off for each request that another process has running on an account."""


def score(standing: Standing, now: float) -> float:
    """How well an account is placed for a new session: health, tokens in its bucket, rest, what is left, and claims."""
    vitals = standing.vitals.present(now)
    used_at = standing.account.last_used_at
    idle = LONGEST_IDLE if used_at is None else min(LONGEST_IDLE, max(0.0, now - used_at) / 3600)
    used = 100.0 - standing.left(now)
    return 2 * vitals.health + 5 * vitals.bucket + 2 * idle - max(0.0, used - 50) - CLAIM * standing.claims

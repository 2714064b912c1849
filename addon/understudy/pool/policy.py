"""What an attempt's outcome asks for: another attempt, when and where, or the last word; and what the pool learns."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from understudy.pool.account import Block
from understudy.pool.choose import Cause, Obstacle
from understudy.wire.outcome import Kind, Outcome

MAX_ACCOUNTS = 4
MAX_ATTEMPTS = 6
DEADLINE = 90.0
"""Seconds after a request came in past which no new attempt is made for it."""
REFUSED_LOGIN_PAUSE = 60.0
"""Seconds an account rests when even its freshly refreshed token was refused: refreshing it again would harm it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a request, as the policy remembers it."""

    account_id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Stay:
    """Another attempt on the same account, after `delay` seconds; with a renewed token where `renew`."""

    delay: float = 0.0
    renew: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """Another attempt on the next account, at once."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """The host gets this outcome; it is the last word."""


Move = Stay | Hop | Deliver


class _Rule(Enum):
    """What an outcome asks for the first time it is met on an account; the second time is always a hop."""

    DELIVER = "deliver"
    HOP = "hop"
    WAIT = "wait"  # until the short limit's own reset
    PACE = "pace"  # a burst: never quota, gone within seconds
    RETRY = "retry"  # a fault of the backend or the way to it
    RENEW = "renew"  # a token that is no longer taken


_RULES: dict[Kind, _Rule] = {
    Kind.USAGE_LIMIT: _Rule.HOP,
    Kind.SHORT_LIMIT: _Rule.WAIT,
    Kind.BURST: _Rule.PACE,
    Kind.UNAUTHORIZED: _Rule.RENEW,
    Kind.REVOKED: _Rule.DELIVER,
    Kind.SERVER_ERROR: _Rule.RETRY,
    Kind.TRANSPORT: _Rule.RETRY,
    Kind.REDIRECT: _Rule.DELIVER,
    Kind.REFUSED: _Rule.DELIVER,
}

_PACE = (0.25, 2.0)
_RETRY = (0.25, 1.0)


def next_move(outcome: Outcome, tried: Sequence[Tried], random: Random) -> Move:
    """What follows `outcome`. `tried`: all attempts of the request so far, the one that ended so last."""
    rule = _RULES[outcome.kind]
    if rule is _Rule.DELIVER:
        return Deliver()
    if rule is _Rule.HOP or _met_before(tried):
        return Hop()
    match rule:
        case _Rule.WAIT:
            return Stay(outcome.retry_after or 0.0)
        case _Rule.PACE:
            return Stay(random.uniform(*_PACE))
        case _Rule.RETRY:
            return Stay(random.uniform(*_RETRY))
        case _:
            return Stay(renew=True)


def _met_before(tried: Sequence[Tried]) -> bool:
    """Whether the last attempt's account had its second chance already. A refused token and the rest count apart."""
    last = tried[-1]
    unauthorized = last.kind is Kind.UNAUTHORIZED
    return any(t.account_id == last.account_id and (t.kind is Kind.UNAUTHORIZED) is unauthorized for t in tried[:-1])


def spent(tried: Sequence[Tried], waited: float, move: Move) -> bool:
    """Whether the request has no attempt left: six calls, four accounts, 90 seconds since it came in (`waited`)."""
    delay = move.delay if isinstance(move, Stay) else 0.0
    accounts = {t.account_id for t in tried}
    full = isinstance(move, Hop) and len(accounts) >= MAX_ACCOUNTS
    return full or len(tried) >= MAX_ATTEMPTS or waited + delay > DEADLINE


def draws_on_budget(outcome: Outcome) -> bool:
    """Whether asking again after this outcome counts against the retry budget: only a failing backend's does."""
    return _RULES[outcome.kind] is _Rule.RETRY


def block_for(outcome: Outcome, move: Move, now: float) -> Block | None:
    """How long the account rests after `outcome` (`now`: epoch seconds), or None where it need not."""
    if outcome.kind is Kind.USAGE_LIMIT and outcome.resets_at is not None:
        return Block(outcome.resets_at, outcome.reason, outcome.authoritative)
    if outcome.kind is Kind.UNAUTHORIZED and isinstance(move, Hop):
        return Block(now + REFUSED_LOGIN_PAUSE, outcome.reason, authoritative=False, limit=False)
    return None


def obstacle_of(label: str, outcome: Outcome) -> Obstacle:
    """What this request met on an account, for choosing the next one and for telling the host."""
    if outcome.kind is Kind.USAGE_LIMIT:
        return Obstacle(label, Cause.LIMIT, outcome.reason, outcome.resets_at if outcome.authoritative else None)
    return Obstacle(label, Cause.TROUBLE, outcome.reason)

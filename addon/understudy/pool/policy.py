"""What an attempt's outcome asks for: another attempt, when and where, or the last word; and how the account rests.

One row for each kind of outcome, and nothing else decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from understudy.pool.account import Ground
from understudy.pool.obstacles import Obstacle, Why
from understudy.wire.outcome import Kind, Outcome

MAX_ACCOUNTS = 4
MAX_ATTEMPTS = 6
DEADLINE = 90.0
"""Seconds after a request came in past which no new attempt is made for it."""
NETWORK_REST, SERVER_REST = 6.0, 4.0
"""Seconds for which others are preferred after a failure of the way, or of the backend."""
REFUSED_LOGIN_REST = 60.0
"""Seconds an account rests when even its freshly refreshed token was refused: refreshing it again would harm it."""
ENTITLEMENT_REST = 1800.0
"""Seconds for which it is remembered that an account's plan does not have a model."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a request, as the policy remembers it."""

    account_id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Stay:
    """Another attempt on the same account, after `delay` seconds; with a renewed token, or without the reasoning that
    the backend could not read."""

    delay: float = 0.0
    renew: bool = False
    strip: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """Another attempt on the next account, at once."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """The host gets this outcome; it is the last word."""


Move = Stay | Hop | Deliver

_PACE = (0.25, 2.0)


class Again(Enum):
    """How the same account is asked once more."""

    AT_RESET = "at its own reset"
    PACED = f"paced, unless Retry-After asks for more than {_PACE[1]:g} s"
    SOON = "soon"
    RENEWED = "with a renewed token"
    STRIPPED = "without the reasoning"


@dataclass(frozen=True, slots=True)
class Row:
    """What one kind of outcome asks for."""

    again: Again | None = None
    """On the same account, the first time that it is met there."""
    others: int = 0
    """So many other accounts may be asked because of it."""
    ground: Ground | None = None
    """Why the account rests afterwards, if it does."""
    rest: float = 0.0
    """Seconds; a limit's own end goes before, and so does a longer Retry-After."""
    kills: bool = False
    """The login works no more: the account needs another."""
    fails: bool = False
    """It counts for the breaker and the outage rule."""
    health: float = 0.0
    tokens: float = 0.0
    """What it takes from the account's vitals."""


ALL = MAX_ACCOUNTS
"""More than there can be: `spent` ends it, so that the host hears of every account and not of the last one alone."""
ROWS: dict[Kind, Row] = {
    Kind.USAGE_LIMIT: Row(others=ALL, ground=Ground.LIMIT, health=-10, tokens=-10),
    Kind.SHORT_LIMIT: Row(Again.AT_RESET, others=ALL, health=-10, tokens=-10),
    # Measured elsewhere: 92 % of such accounts answered again within 3 s.
    Kind.BURST: Row(Again.PACED, others=1, ground=Ground.COOLING, health=-10, tokens=-10),
    Kind.UNAUTHORIZED: Row(Again.RENEWED, others=1, ground=Ground.LOGIN, rest=REFUSED_LOGIN_REST, health=-20),
    # To go on with other accounts after this has had whole pools invalidated elsewhere.
    Kind.REVOKED: Row(kills=True, health=-20),
    Kind.WORKSPACE_GONE: Row(others=1, kills=True, health=-20),
    # The last of so many gives the backend's own words.
    Kind.NOT_ENTITLED: Row(others=MAX_ACCOUNTS - 1, ground=Ground.ENTITLEMENT, rest=ENTITLEMENT_REST),
    Kind.CHALLENGE: Row(),
    Kind.STALE_REASONING: Row(Again.STRIPPED),
    # The model's trouble, not the account's.
    Kind.OVERLOADED: Row(Again.SOON, others=1),
    Kind.SERVER_ERROR: Row(Again.SOON, others=ALL, ground=Ground.COOLING, rest=SERVER_REST, fails=True, health=-20),
    Kind.TRANSPORT: Row(Again.SOON, others=ALL, ground=Ground.COOLING, rest=NETWORK_REST, fails=True, health=-20),
    Kind.EMPTY: Row(Again.SOON, others=1, ground=Ground.COOLING, rest=SERVER_REST, fails=True, health=-20),
    Kind.REDIRECT: Row(),
    Kind.REFUSED: Row(),
}

_SOON = (0.25, 1.0)
_JITTER = 0.2
_SHORTEST = 0.1


def next_move(outcome: Outcome, tried: Sequence[Tried], random: Random, *, may_retry: bool = True) -> Move:
    """What follows `outcome`. `tried`: all attempts of the request so far, the one that ended so last. `may_retry`:
    whether the budget and the outage rule let a failing backend be asked again.
    """
    row = ROWS[outcome.kind]
    if draws_on_budget(outcome) and not may_retry:
        return Deliver()
    if row.again is not None and not _met_before(tried) and not _asks_for_longer(outcome, row.again):
        return _stay(row.again, outcome, random)
    met = {t.account_id for t in tried if t.kind is outcome.kind}
    return Hop() if len(met) <= row.others else Deliver()


def _asks_for_longer(outcome: Outcome, again: Again) -> bool:
    """Whether the backend wants a longer pause than a pace is."""
    return again is Again.PACED and outcome.retry_after is not None and outcome.retry_after > _PACE[1]


def draws_on_budget(outcome: Outcome) -> bool:
    """Whether asking again after this outcome counts against the retry budget: only a failing backend's does."""
    return ROWS[outcome.kind].again is Again.SOON


def _stay(again: Again, outcome: Outcome, random: Random) -> Stay:
    match again:
        case Again.AT_RESET:
            wait = outcome.retry_after or 0.0
            return Stay(max(_SHORTEST, wait * random.uniform(1.0, 1.0 + _JITTER)))
        case Again.PACED:
            return Stay(random.uniform(*_PACE))
        case Again.SOON:
            return Stay(random.uniform(*_SOON))
        case Again.RENEWED:
            return Stay(renew=True)
        case Again.STRIPPED:
            return Stay(strip=True)


def _met_before(tried: Sequence[Tried]) -> bool:
    """Whether the last attempt's account had its second chance already. Those that change the request count apart."""
    last = tried[-1]
    apart = last.kind if last.kind in _APART else None
    earlier = (t for t in tried[:-1] if t.account_id == last.account_id)
    return any((t.kind if t.kind in _APART else None) is apart for t in earlier)


_APART = frozenset({Kind.UNAUTHORIZED, Kind.STALE_REASONING})


def spent(tried: Sequence[Tried], waited: float, move: Move) -> bool:
    """Whether the request has no attempt left: six calls, four accounts, 90 seconds since it came in (`waited`)."""
    delay = move.delay if isinstance(move, Stay) else 0.0
    accounts = {t.account_id for t in tried}
    full = isinstance(move, Hop) and len(accounts) >= MAX_ACCOUNTS
    return full or len(tried) >= MAX_ATTEMPTS or waited + delay > DEADLINE


def code_of(outcome: Outcome, move: Move) -> str:
    """What follows and why, for machines: `retry_other_account_after_usage_limit`, `no_retry_after_revoked`."""
    what = "no_retry" if isinstance(move, Deliver) else f"retry_{'same' if isinstance(move, Stay) else 'other'}_account"
    return f"{what}_after_{outcome.kind.code}"


def obstacle_of(label: str, outcome: Outcome) -> Obstacle:
    """What this request met on an account, for choosing the next one and for telling the host."""
    if outcome.kind is Kind.USAGE_LIMIT:
        return Obstacle(label, Why.LIMIT, outcome.reason, outcome.resets_at, outcome.authoritative)
    return Obstacle(label, _WHY.get(outcome.kind, Why.TRIED), outcome.reason)


_WHY = {Kind.NOT_ENTITLED: Why.UNENTITLED, Kind.WORKSPACE_GONE: Why.NEEDS_LOGIN}

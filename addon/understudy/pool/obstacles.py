"""What keeps an account from serving a request: one value, which the log, the flow, the status and `why` all print."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from math import inf
from typing import Protocol

from understudy.pool.account import Account, Block, Ground, Health
from understudy.pool.health import tried
from understudy.pool.standing import Standing
from understudy.wire.text import clock_time

TRY_AFTER = 15 * 60.0
"""Seconds between two requests that go to a limited account because nobody else is left."""


class Cause(Enum):
    """What an obstacle means for the host's user."""

    LIMIT = "limit"  # waiting for a reset helps, and nothing else does
    UNUSABLE = "unusable"  # until the user does something
    UNENTITLED = "unentitled"  # for this model
    TROUBLE = "trouble"  # it may be over by the next request


class Why(StrEnum):
    """What is in the way, for machines."""

    DISABLED = "disabled"
    NEEDS_LOGIN = "needs_login"
    LIMIT = "limit"
    RESERVE = "reserve"
    UNENTITLED = "unentitled"
    LOGIN = "login"
    COOLING = "cooling"
    BREAKER = "breaker"
    PROBING = "probing"
    PINNED_AWAY = "pinned_away"
    HELD = "held"
    ISOLATED = "isolated"
    TRIED = "tried"
    UNASKED = "unasked"
    NO_TOKEN = "no_token"
    PAID = "paid"
    OVERFLOW_OFF = "overflow_off"
    SPENT = "spent"
    UNKNOWN = "unknown"


_CAUSES = {
    Why.LIMIT: Cause.LIMIT,
    Why.RESERVE: Cause.LIMIT,
    Why.UNENTITLED: Cause.UNENTITLED,
    Why.LOGIN: Cause.TROUBLE,
    Why.COOLING: Cause.TROUBLE,
    Why.BREAKER: Cause.TROUBLE,
    Why.PROBING: Cause.TROUBLE,
    Why.TRIED: Cause.TROUBLE,
    Why.UNASKED: Cause.TROUBLE,
    Why.NO_TOKEN: Cause.TROUBLE,
}
_GROUNDS = {
    Ground.LIMIT: Why.LIMIT,
    Ground.ENTITLEMENT: Why.UNENTITLED,
    Ground.LOGIN: Why.LOGIN,
    Ground.COOLING: Why.COOLING,
    Ground.BREAKER: Why.BREAKER,
}
_HARDEST_FIRST = (Ground.LOGIN, Ground.ENTITLEMENT, Ground.LIMIT, Ground.BREAKER, Ground.COOLING)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps an account from serving. `until`: epoch seconds at which it ends, as far as that is known.

    `authoritative`: the backend named that time itself; only such a one is told to a host.
    """

    label: str
    why: Why
    reason: str
    until: float | None = None
    authoritative: bool = False
    early: bool = False
    """LIMIT: a request may go out in spite of it, where the alternative is to fail."""

    @property
    def cause(self) -> Cause:
        """What it means for the host's user."""
        return _CAUSES.get(self.why, Cause.UNUSABLE)

    @property
    def resets_at(self) -> float | None:
        """When it ends, in epoch seconds, where it is a limit and the backend itself named it."""
        return self.until if self.authoritative and self.cause is Cause.LIMIT else None

    def words(self, now: float, *, told: bool = False) -> str:
        """`usage limit until 14:05`. `now`: epoch seconds. `told`: to a host, which hears of no guessed time."""
        until = self.resets_at if told else self.until
        return self.reason if until is None else f"{self.reason} until {clock_time(until, now)}"


COSTS_MONEY = "costs money, so it comes last"
ALL_RESERVED = "all of it is reserved"


class Login(Protocol):
    """What is asked of an account in any form."""

    @property
    def label(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def health(self) -> Health: ...
    @property
    def health_reason(self) -> str: ...


def users_to_change(login: Login) -> Obstacle | None:
    """What keeps an account from serving until the user does something about it; None: nothing."""
    if not login.enabled:
        return Obstacle(login.label, Why.DISABLED, "disabled")
    if login.health is Health.NEEDS_LOGIN:
        return Obstacle(login.label, Why.NEEDS_LOGIN, f"needs login ({login.health_reason})")
    return None


def standing_obstacle(standing: Standing, model: str, now: float) -> Obstacle | None:
    """What keeps the account from serving `model` at `now` (epoch seconds), whichever request it is; None: nothing."""
    account = standing.account
    if (found := users_to_change(account)) is not None:
        return found
    apart = model in standing.apart
    blocks = [block for block in account.blocks if block.holds_at(now) and block.holds_for(model, apart)]
    block = min(blocks, key=lambda block: (_HARDEST_FIRST.index(block.ground), -block.until), default=None)
    reserve = None if apart else _reserve(standing, now)
    if block is None or (reserve is not None and block.ground in SOFT):
        return reserve
    early = reserve is None and block.ground is Ground.LIMIT and _is_early(account, blocks, now)
    return Obstacle(account.label, _GROUNDS[block.ground], block.reason, block.until, block.authoritative, early)


SOFT = frozenset({Ground.COOLING, Ground.BREAKER})
"""Grounds on which an account is asked all the same where nobody else is left."""


def _is_early(account: Account, blocks: Sequence[Block], now: float) -> bool:
    """Whether a request may go out in spite of the limits among `blocks`: each is past its half, none tried of late."""
    limits = (block for block in blocks if block.ground is Ground.LIMIT)
    return not _tried_of_late(account, now) and all(now >= (block.since + block.until) / 2 for block in limits)


def _tried_of_late(account: Account, now: float) -> bool:
    """Whether a request has gone out in spite of any of the account's limits, whichever model it was for."""
    return any(block.tried_at is not None and 0 <= now - block.tried_at < TRY_AFTER for block in account.blocks)


def early_try(account: Account, now: float) -> Account | None:
    """`account` with its limits marked as tried at `now` (epoch seconds), or None where another request has just gone
    out in spite of them.
    """
    return None if _tried_of_late(account, now) else tried(account, now)


def _reserve(standing: Standing, now: float) -> Obstacle | None:
    """The last percent of the main limit that the user keeps. Of several windows the one that is reset last counts."""
    account = standing.account
    if account.reserve_percent >= 100.0:
        return Obstacle(account.label, Why.RESERVE, ALL_RESERVED)
    kept = [w for w in standing.windows(now) if 100.0 - w.used_percent <= account.reserve_percent]
    if not account.reserve_percent or not kept:
        return None
    last = max(kept, key=lambda window: inf if window.resets_at is None else window.resets_at)
    reason = f"the last {account.reserve_percent:g} % of its {last.name} limit are reserved"
    return Obstacle(account.label, Why.RESERVE, reason, last.resets_at, authoritative=last.resets_at is not None)

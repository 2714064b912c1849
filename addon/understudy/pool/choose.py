"""Chooses the account for an attempt: the session's own, or the first in pool order that can serve."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from understudy.pool.account import Account, Health
from understudy.pool.pool import Pin


class Cause(Enum):
    """Why an account is passed over, as far as it decides what the host is told."""

    LIMIT = "limit"
    UNUSABLE = "unusable"  # until the user does something: disabled, needs login
    TROUBLE = "trouble"  # it may be over by the next request


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps an account from serving. `resets_at`: epoch seconds, only where the backend itself named it."""

    label: str
    cause: Cause
    reason: str
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class Exhausted:
    """No account can serve. One obstacle an account, in pool order; none where the pool is empty."""

    obstacles: tuple[Obstacle, ...]

    @property
    def by_limits(self) -> bool:
        """Every usable account is limited: waiting for a reset helps, and nothing else does."""
        causes = {o.cause for o in self.obstacles}
        return Cause.LIMIT in causes and Cause.TROUBLE not in causes

    @property
    def resets_at(self) -> float | None:
        """The soonest recovery that the backend named (epoch seconds)."""
        return min((o.resets_at for o in self.obstacles if o.resets_at is not None), default=None)


def obstacle(account: Account, now: float) -> Obstacle | None:
    """What keeps `account` from serving at `now` (epoch seconds), or None where it can."""
    if not account.enabled:
        return Obstacle(account.label, Cause.UNUSABLE, "disabled")
    if account.health is Health.NEEDS_LOGIN:
        return Obstacle(account.label, Cause.UNUSABLE, f"needs login ({account.health_reason})")
    block = account.block
    if block is None or block.until <= now:
        return None
    if not block.limit:
        return Obstacle(account.label, Cause.TROUBLE, block.reason)
    return Obstacle(account.label, Cause.LIMIT, block.reason, block.until if block.authoritative else None)


def choose(
    accounts: Sequence[Account],
    now: float,
    *,
    bound: str | None = None,
    pin: Pin | None = None,
    passed_over: Mapping[str, Obstacle] | None = None,
) -> Account | Exhausted:
    """The account for the next attempt, or why there is none.

    `bound`: id of the account that the session belongs to; it serves as long as it can. `pin`: the account that the
    user wants, before any session's. `passed_over`: by account id, what this very request has already met.
    """
    accounts = candidates(accounts, pin)
    if pin and not accounts:
        return Exhausted((Obstacle(pin.name, Cause.UNUSABLE, "no account is called so"),))
    met = passed_over or {}
    obstacles = {account.id: met.get(account.id) or obstacle(account, now) for account in accounts}
    free = [account for account in accounts if obstacles[account.id] is None]
    if not free:
        return Exhausted(tuple(o for o in obstacles.values() if o is not None))
    return next((account for account in free if pin and is_named(account, pin.name)), None) or next(
        (account for account in free if account.id == bound), free[0]
    )


def candidates(accounts: Sequence[Account], pin: Pin | None) -> Sequence[Account]:
    """The accounts that may serve at all: the one with a hard pin, else every one."""
    return accounts if pin is None or pin.soft else [account for account in accounts if is_named(account, pin.name)]


def is_named(account: Account, name: str) -> bool:
    """Whether the user can mean `account` by `name`: its label, our id, or ChatGPT's account id."""
    return name.casefold() == account.label.casefold() or name in (account.id, account.account_id)


def find(accounts: Collection[Account], name: str) -> Account | None:
    """The account that the user calls `name`, or None. A label wins over an id that reads the same."""
    named = [account for account in accounts if is_named(account, name)]
    return next((account for account in named if account.label == name), named[0] if named else None)

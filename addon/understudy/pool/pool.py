"""The pool: the accounts in the user's order, and which of them the user has pinned."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from understudy.pool.account import Account

Accounts = tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Pin:
    """The account that the user wants to be used. `name`: its id, its label or ChatGPT's account id.

    A soft one falls through to the others when that account cannot serve; a hard one never does.
    """

    name: str
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """All accounts, in the order in which they are asked. The store counts `revision` up with every change.

    `affinity_generation`: sessions that were bound to an account under another number are bound no more.
    """

    accounts: Accounts = ()
    pin: Pin | None = None
    affinity_generation: int = 0
    revision: int = 0


def pin_of(pin: Pin | None, account: Account) -> str:
    """`hard` or `soft` where `pin`, the pool's, is on the account, else empty."""
    return "" if pin is None or pin.name != account.id else "soft" if pin.soft else "hard"


def with_accounts(pool: Pool, accounts: Accounts) -> Pool:
    """`pool` with other accounts. A pin on one that is gone goes with it."""
    kept = pool.pin is None or any(account.id == pool.pin.name for account in accounts)
    return replace(pool, accounts=accounts, pin=pool.pin if kept else None)


def with_account(pool: Pool, changed: Account) -> Pool:
    """`pool` with `changed` in the place of the account with its id."""
    return with_accounts(pool, tuple(changed if account.id == changed.id else account for account in pool.accounts))


def over_accounts(change: Callable[[Accounts], Accounts]) -> Callable[[Pool], Pool]:
    """The change of a pool that `change` makes to its accounts."""
    return lambda pool: with_accounts(pool, change(pool.accounts))

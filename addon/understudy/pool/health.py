"""What happens to an account in its life, as changes of the value: blocked, used, renewed, in need of a new login."""

from dataclasses import replace
from enum import Enum

from understudy.pool import refreshes
from understudy.pool.account import Account, Block, Health, Tokens
from understudy.pool.refreshes import Refreshes


class State(Enum):
    """An account's condition in one word, as the status shows it."""

    OK = "ok"
    BLOCKED = "blocked"
    NEEDS_LOGIN = "needs_login"
    DISABLED = "disabled"

    @property
    def words(self) -> str:
        """For people: `needs login`."""
        return self.value.replace("_", " ")


def state(*, enabled: bool, health: Health, blocked_until: float | None, now: float) -> State:
    """The condition at `now` (epoch seconds). What only the user can change comes first."""
    if not enabled:
        return State.DISABLED
    if health is Health.NEEDS_LOGIN:
        return State.NEEDS_LOGIN
    return State.BLOCKED if blocked_until is not None and blocked_until > now else State.OK


def block(account: Account, block: Block) -> Account:
    """`account` blocked until the later of the two: a shorter block never shortens a longer one.

    Of two that end together the one counts whose end the backend named.
    """
    old = account.block
    if old is not None and (old.until, old.authoritative) >= (block.until, block.authoritative):
        return account
    return replace(account, block=block)


def renewed(account: Account, tokens: Tokens, now: float) -> Account:
    """`account` with new tokens: its login works. Blocks stay, they are of the plan and not of the login.

    `now`: epoch seconds.
    """
    refreshed = refreshes.renewed(account.refreshes, now)
    return replace(account, tokens=tokens, health=Health.OK, health_reason="", health_at=None, refreshes=refreshed)


def needs_login(account: Account, reason: str, now: float) -> Account:
    """`account` with a login that no longer works, as was found at `now` (epoch seconds); `reason` for the user."""
    return replace(account, health=Health.NEEDS_LOGIN, health_reason=reason, health_at=now, refreshes=Refreshes())


def used(account: Account, now: float, resolution: float = 60.0) -> Account:
    """`account` as used at `now` (epoch seconds); the same value, so that nothing is written, within `resolution` s."""
    last = account.last_used_at
    return account if last is not None and 0 <= now - last < resolution else replace(account, last_used_at=now)

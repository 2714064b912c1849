"""What happens to an account in its life, as changes of the value: blocked, used, renewed, in need of a new login."""

from dataclasses import replace
from enum import Enum

from understudy.pool import refreshes
from understudy.pool.account import MOST_BLOCKS, Account, Block, Ground, Health, Tokens
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


def block(account: Account, new: Block) -> Account:
    """`account` blocked until the later of the two: a shorter block never shortens a longer one of its kind.

    Of two that end together the one counts whose end the backend named. What had ended when the new one began goes.
    """
    holding = [old for old in account.blocks if old.holds_at(new.since)]
    kept = [old for old in holding if not _is_alike(old, new)]
    old = next((old for old in holding if _is_alike(old, new)), None)
    if old is not None and (old.until, old.authoritative) >= (new.until, new.authoritative):
        return account
    # So that it stays known although the block that was tried may have ended.
    tried_at = max((old.tried_at for old in account.blocks if old.tried_at is not None), default=None)
    return replace(account, blocks=_bounded((*kept, replace(new, tried_at=tried_at))))


def _bounded(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Without the one that ends first of those of a model, where there are too many: hosts name the models."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    first = min((block for block in blocks if block.model), key=lambda block: block.until)
    return tuple(block for block in blocks if block is not first)


def _is_alike(one: Block, other: Block) -> bool:
    return (one.ground, one.model) == (other.ground, other.model)


def tried(account: Account, now: float) -> Account:
    """`account` with its limits marked: a request goes out at `now` in spite of them."""
    marked = (replace(b, tried_at=now) if b.ground is Ground.LIMIT and b.until > now else b for b in account.blocks)
    return replace(account, blocks=tuple(marked))


def renewed(account: Account, tokens: Tokens, now: float) -> Account:
    """`account` with new tokens: its login works. Blocks of the plan stay. `now`: epoch seconds."""
    return replace(
        account,
        tokens=tokens,
        health=Health.OK,
        health_reason="",
        health_at=None,
        refreshes=refreshes.renewed(account.refreshes, now),
    )


def needs_login(account: Account, reason: str, now: float) -> Account:
    """`account` with a login that no longer works, as was found at `now` (epoch seconds); `reason` for the user."""
    return replace(account, health=Health.NEEDS_LOGIN, health_reason=reason, health_at=now, refreshes=Refreshes())


def used(account: Account, now: float, resolution: float = 60.0) -> Account:
    """`account` as used at `now` (epoch seconds); the same value, so that nothing is written, within `resolution` s."""
    last = account.last_used_at
    return account if last is not None and 0 <= now - last < resolution else replace(account, last_used_at=now)

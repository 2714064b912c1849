"""What ends a block early. A block is a hint: limits are reset early, and people elsewhere sat locked out for days."""

from collections.abc import Callable
from dataclasses import replace

from understudy.pool.account import Account, Block, Ground
from understudy.wire.quota import MAIN_LIMIT, Snapshot, full_windows


def by_success(account: Account, model: str, asked_at: float, *, apart: bool = False) -> Account:
    """After an answer for `model` that showed real output: whatever kept the account from giving it is over.

    `asked_at`: epoch seconds at which the attempt was sent. A block that began after that knows more.
    `apart`: the main limit is not that model's.
    """
    return _without(account, lambda block: block.holds_for(model, apart) and block.since <= asked_at)


def by_figures(account: Account, before: Snapshot | None, figures: Snapshot, asked_at: float) -> Account:
    """After fresh figures of the account's quota, asked for at `asked_at` (epoch seconds): a limit is over where
    its windows are seen and credits carry on past them; or where none of them is full, and they are lower than in
    `before`, what was known until now, or were not known at all.

    Not full alone says little: some limits (a workspace's spending, say) are met with windows half empty.
    """

    def is_over(block: Block) -> bool:
        if block.ground is not Ground.LIMIT or block.since > asked_at:
            return False
        limit_id = block.limit_id or MAIN_LIMIT
        used, known = _used(figures, limit_id), _used(before, limit_id) if before else {}
        if not used or full_windows(figures, figures.updated_at, limit_id):
            return False
        if figures.goes_on:
            return True
        # What the body of a 429 knows is not among them: it has no window of any name.
        seen_before = used.keys() & known.keys()
        return not seen_before or max(used[n] for n in seen_before) < max(known[n] for n in seen_before)

    return _without(account, is_over)


def by_user(account: Account) -> Account:
    """The user says that the account may be asked."""
    return replace(account, blocks=())


def _used(snapshot: Snapshot, limit_id: str) -> dict[str, float]:
    """Percent used, by window."""
    return {window.name: window.used_percent for window in snapshot.windows if window.limit_id == limit_id}


def _without(account: Account, is_over: Callable[[Block], bool]) -> Account:
    kept = tuple(block for block in account.blocks if not is_over(block))
    return account if len(kept) == len(account.blocks) else replace(account, blocks=kept)

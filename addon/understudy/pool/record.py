"""What the pool learns from how an attempt ended: `record(outcome, ...)` gives the changes, as values."""

from dataclasses import dataclass, replace

from understudy.pool import health
from understudy.pool.account import Account, Block, Ground, Spending
from understudy.pool.policy import ROWS, Again, Move, Stay
from understudy.wire.limits import REST_WITHOUT_RESET
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.quota import MAIN_LIMIT, Snapshot, exhausted, full_windows, limit_words
from understudy.wire.text import DAY


@dataclass(frozen=True, slots=True)
class Changes:
    """What an outcome changes. `health`, `tokens`: on the account's vitals, points more or fewer."""

    block: Block | None = None
    dead: str = ""
    """Why the login works no more; empty where it does."""
    health: float = 0.0
    tokens: float = 0.0
    challenged: bool = False


def record(outcome: Outcome, model: str, move: Move, now: float) -> Changes:
    """What is learned from an attempt for `model` that ended so at `now` (epoch seconds) and was followed by `move`."""
    row = ROWS[outcome.kind]
    stays = isinstance(move, Stay)
    return Changes(
        block=None if stays else block_for(outcome, model, now),
        dead=outcome.reason if row.kills else "",
        # A token that had run out says nothing of the account.
        health=0.0 if stays and row.again is Again.RENEWED else row.health,
        tokens=row.tokens,
        challenged=outcome.kind is Kind.CHALLENGE,
    )


SERVED = Changes(health=1.0, tokens=-1.0)
"""What an answer changes."""


def block_for(outcome: Outcome, model: str, now: float) -> Block | None:
    """How long the account rests after `outcome` on a request for `model` at `now` (epoch seconds); None: it need not.

    A limit of another family than the main one is the model's alone.
    """
    row = ROWS[outcome.kind]
    if row.ground is None:
        return None
    if row.ground is Ground.LIMIT:
        assert outcome.resets_at is not None
        return _limit(outcome.limit_id, model, outcome.resets_at, outcome.reason, outcome.authoritative, now)
    rest = max(row.rest, outcome.retry_after or 0.0)
    if not rest:
        return None
    scope = model if row.ground is Ground.ENTITLEMENT else ""
    return Block(now + rest, outcome.reason, authoritative=False, ground=row.ground, model=scope, since=now)


def block_by_figures(snapshot: Snapshot, limit_id: str, model: str, now: float) -> Block | None:
    """The block for an account whose windows are used up as its own answer says, until the last of them resets.

    `limit_id`: what the answer's model counts against. None where there is room, or credits carry on.
    """
    full = full_windows(snapshot, now, limit_id)
    if not full:
        return None
    resets_at = exhausted(snapshot, now, limit_id)
    reason = f"{limit_words(window.name for window in full)} used up"
    until = now + REST_WITHOUT_RESET if resets_at is None else resets_at
    return _limit(limit_id, model, until, reason, resets_at is not None, now)


def _limit(limit_id: str, model: str, until: float, reason: str, authoritative: bool, now: float) -> Block:
    other = limit_id if limit_id != MAIN_LIMIT else ""
    return Block(until, reason, authoritative, model=model if other else "", limit_id=other, since=now)


def changed(account: Account, changes: Changes, now: float) -> Account:
    """`account` after `changes`."""
    if changes.dead:
        account = health.needs_login(account, changes.dead, now)
    return account if changes.block is None else health.block(account, changes.block)


def paid(account: Account, now: float, limit: int) -> Account | None:
    """`account`, a paid lane, with one more request of this day; None where it has carried out `limit` already."""
    day = int(now // DAY)
    requests = account.spending.on(day)
    return replace(account, spending=Spending(day, requests + 1)) if requests < limit else None

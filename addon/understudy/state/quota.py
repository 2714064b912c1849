"""The snapshot cache, `quota.json`: all that the status shows, so that nothing else need be read or loaded for it.

It is a cache: whatever is wrong with it costs a few figures until the next answer, and is never an error.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from understudy.pool.account import Account
from understudy.pool.ledger import Figures
from understudy.pool.pool import Pin, Pool, pin_of
from understudy.state import files
from understudy.state.board import Board, Entry, SessionLine, decode, encode
from understudy.state.errors import StateError
from understudy.state.history import HistoryFile
from understudy.wire.quota import Snapshot, merge

MOST_SESSIONS = 20

logger = logging.getLogger(__name__)


class QuotaCache:
    """`quota.json` in the folder `home`, and the history beside it. Blocking file work; may be used from several
    threads.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "quota.json"
        self.history = HistoryFile(home)

    def read(self) -> tuple[Entry, ...] | None:
        """The accounts in the pool's order, or None where the cache is missing or, with a warning, unreadable."""
        board = self.board()
        return None if board is None else board.entries

    def board(self) -> Board | None:
        """As `read`, with what there is beside the accounts."""
        try:
            content = files.read(self.path)
            return None if content is None else decode(content.data)
        except (StateError, ValueError) as error:
            logger.warning("understudy: the figures in %s are left aside: %s", self.path, error)
            return None

    def record(
        self,
        snapshots: Iterable[tuple[str, Snapshot]],
        accounts: tuple[Account, ...],
        pin: Pin | None = None,
        *,
        figures: Mapping[str, Figures] | None = None,
        sessions: Sequence[SessionLine] | None = None,
        upcoming: str | None = None,
        failed: Mapping[str, float] | None = None,
    ) -> None:
        """Brings the cache up to date: `accounts` and `pin` are the pool's, `snapshots` what was learned since, by
        account id.

        What only the proxy knows stays as it was where it is None: what answers have used, `figures` by account id and
        `sessions` with the latest first, and `upcoming`, what a new session's next request would use; of that nothing
        stays where another account, pin or block may have changed it. `failed`: when the usage endpoint gave no
        figures, by account id, in epoch seconds.

        An account that is not in the pool (any more) is not brought back by a late snapshot. Raises StateError where
        the cache cannot be written.
        """
        learned = list(snapshots)
        with files.locked(self.path):
            board = self.board()
            old = board or Board()
            known = {entry.id: entry for entry in old.entries}
            entries = {account.id: entry_of(account, known.get(account.id), pin) for account in accounts}
            for account_id, snapshot in learned:
                if (entry := entries.get(account_id)) is not None:
                    entries[account_id] = replace(entry, snapshot=merge(entry.snapshot, snapshot))
            shown = tuple(_with_news(entry, figures or {}, failed or {}) for entry in entries.values())
            new = Board(
                entries=shown,
                sessions=old.sessions if sessions is None else tuple(sessions[:MOST_SESSIONS]),
                upcoming=_still(old, shown) if upcoming is None else upcoming,
            )
            if new != board:
                files.write(self.path, encode(new), durable=False)
        self.history.note({name: seen for name, seen in learned if name in entries}, entries.keys())

    def sync(
        self, pool: Pool, snapshots: Iterable[tuple[str, Snapshot]] = (), failed: Mapping[str, float] | None = None
    ) -> None:
        """As `record`, for whoever has done what matters and must not be told otherwise: trouble is logged."""
        try:
            self.record(snapshots, pool.accounts, pool.pin, failed=failed)
        except StateError as error:
            logger.warning("understudy: `understudy status` does not show this yet: %s", error)


def entry_of(account: Account, known: Entry | None, pin: Pin | None) -> Entry:
    """An account as it is now. `known`: what the cache has of it; `pin`: the pool's."""
    used = [at for at in (account.last_used_at, known.last_used_at if known else None) if at is not None]
    return Entry(
        id=account.id,
        label=account.label,
        plan=account.plan,
        enabled=account.enabled,
        health=account.health,
        health_reason=account.health_reason,
        blocked_until=account.block.until if account.block else None,
        block_reason=account.block.reason if account.block else "",
        last_used_at=max(used, default=None),
        snapshot=known.snapshot if known else None,
        pinned=pin_of(pin, account),
        blocks=account.blocks,
        reserve_percent=account.reserve_percent,
        lane=account.lane,
        figures=known.figures if known else Figures(),
        usage_failed_at=known.usage_failed_at if known else None,
    )


def _with_news(entry: Entry, figures: Mapping[str, Figures], failed: Mapping[str, float]) -> Entry:
    return replace(
        entry,
        figures=figures.get(entry.id, entry.figures),
        usage_failed_at=failed.get(entry.id, entry.usage_failed_at),
    )


def _still(old: Board, entries: tuple[Entry, ...]) -> str:
    """What would come next, if nothing has changed that it depends on."""
    return old.upcoming if [*map(_choosable, old.entries)] == [*map(_choosable, entries)] else ""


def _choosable(entry: Entry) -> Entry:
    return replace(entry, snapshot=None, last_used_at=None, figures=Figures(), usage_failed_at=None)

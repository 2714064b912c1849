"""The accounts as this process sees them: the store's, with this process's own changes on their way there.

Changes and snapshots are seen at once and written behind the requests' backs, in one thread, in order. A crash in
between forgets a block or a figure, nothing else: tokens never come this way.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from understudy.pool.account import Account
from understudy.pool.health import used
from understudy.pool.ledger import Figures
from understudy.pool.pool import Accounts, Pool, over_accounts, with_account
from understudy.proxy.messages import place_of
from understudy.state import files
from understudy.state.accounts import AccountStore
from understudy.state.board import Board, SessionLine
from understudy.state.errors import StateError
from understudy.state.quota import QuotaCache
from understudy.state.report import status_object
from understudy.wire.quota import Snapshot, merge

logger = logging.getLogger(__name__)

Change = Callable[[Account], Account]

AFTER_TROUBLE = 5.0
"""Seconds before what could not be written is tried again."""
QUIET = 0.2
"""Seconds between two writes, so that a burst of answers costs one."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the status shows of this proxy; None where it is not known yet, and stays as it was. See `QuotaCache`."""

    figures: Mapping[str, Figures] | None = None
    sessions: tuple[SessionLine, ...] | None = None
    upcoming: str | None = None


class Roster:
    """Reads are cheap and always current: a change by another process is seen by the file's status."""

    def __init__(self, store: AccountStore, quota: QuotaCache) -> None:
        self._store = store
        self._quota = quota
        self._stored = Pool()
        self._pending: list[tuple[str, Change]] = []
        self._snapshots: dict[str, Snapshot] = {}
        """What was learned here since the last write."""
        self._figures: dict[str, Snapshot] = {}
        """What is known of all accounts' quota."""
        self._merging = threading.Lock()
        """Held wherever one of the two is changed, or gone through: several threads do."""
        self._shown = Shown()
        self._used: dict[str, float] = {}
        self.trouble = ""
        """Why the pool cannot be read or written, in words for the user; empty while it can."""
        self._taken_in: files.Stamp | None = None
        self._settled = False
        """Whether the pool was written once by this process: so tokens come where `codex_keyring` wants them."""
        self._news = asyncio.Event()
        self._writing = threading.Lock()

    def pool(self) -> Pool:
        """The pool, with all accounts in its order."""
        # Before the store is read: what is written in between must not be missed, and is harmless twice.
        pending = list(self._pending)
        try:
            self._stored = self._store.read()
        except (StateError, OSError) as error:
            self._complain(error)
        return over_accounts(_all(pending))(self._stored) if pending else self._stored

    def accounts(self) -> Accounts:
        """All accounts, in the pool's order."""
        return self.pool().accounts

    def known(self, account_id: str | None) -> Account | None:
        """The account with our id, or None where there is none."""
        return next((account for account in self.accounts() if account.id == account_id), None)

    def snapshot(self, account_id: str) -> Snapshot | None:
        """What was last seen of an account's quota, by any process."""
        return self._figures.get(account_id)

    def change(self, account_id: str, change: Change) -> None:
        """Changes one account, at once for this process, soon for all."""
        self._pending.append((account_id, change))
        self._news.set()

    def edit(self, change: Callable[[Pool], Pool]) -> Pool:
        """Changes the pool as the user wants it: on disk at once, and in what the status shows. Gives the pool.

        Raises ValueError, in words for the user, where `change` does, and StateError.
        """
        pool = self._store.update(change)
        self._quota.sync(pool)
        return pool

    async def claim(self, account_id: str, change: Callable[[Account], Account | None]) -> bool:
        """Makes a change that one request alone may make, of all in all processes: whether this is the one. `change`
        gives None where it is made already. False also where the pool cannot be written.
        """
        made: list[bool] = []

        def once(pool: Pool) -> Pool:
            account = next((account for account in pool.accounts if account.id == account_id), None)
            changed = change(account) if account else None
            made.append(changed is not None)
            return pool if changed is None else with_account(pool, changed)

        try:
            await asyncio.to_thread(self._store.update, once)
        except (StateError, OSError) as error:
            self._complain(error)
            return False
        return made[-1]

    def used(self, account_id: str, now: float) -> None:
        """The account made an attempt at `now` (epoch seconds). The store has it once a minute, the cache at once."""
        self._used[account_id] = now
        if any(a.id == account_id and used(a, now) is not a for a in self.accounts()):
            self.change(account_id, lambda account: used(account, now))
        self._news.set()

    def learn(self, account_id: str, snapshot: Snapshot | None) -> None:
        """Keeps what an answer said of the account's quota."""
        if snapshot is not None:
            with self._merging:
                self._snapshots[account_id] = merge(self._snapshots.get(account_id), snapshot)
                self._figures[account_id] = merge(self._figures.get(account_id), snapshot)
            self._news.set()

    def show(self, shown: Shown) -> None:
        """What the status is to show beside the accounts."""
        if shown != self._shown:
            self._shown = shown
            self._news.set()

    def stir(self) -> None:
        """The pool is on disk as it should be soon, and so is what the status shows of it."""
        self._news.set()

    async def keep_writing(self) -> None:
        """Writes what there is, whenever there is something, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            if await asyncio.to_thread(self.write):
                await asyncio.sleep(QUIET)
            else:
                await asyncio.sleep(AFTER_TROUBLE)
                self._news.set()

    def write(self) -> bool:
        """Writes all changes and snapshots that are waiting. Where that fails it is logged once, and they wait on."""
        with self._writing:
            with self._merging:
                pending, snapshots = list(self._pending), dict(self._snapshots)
            try:
                # Either raises where the pool cannot be read: it must not pass for an empty one.
                change = over_accounts(_all(pending))
                pool = self._store.read() if self._settled and not pending else self._store.update(change)
                self._settled = True
                del self._pending[: len(pending)]
                pending = []
                accounts, shown = tuple(map(self._used_last, pool.accounts)), self._shown
                self._quota.record(
                    snapshots.items(),
                    accounts,
                    pool.pin,
                    figures=shown.figures,
                    sessions=shown.sessions,
                    upcoming=shown.upcoming,
                )
                with self._merging:
                    self._snapshots = {k: v for k, v in self._snapshots.items() if snapshots.get(k) is not v}
            except (StateError, OSError) as error:
                self._complain(error)
                return False
            except Exception as error:
                # A change that cannot be made would stop all that come after it.
                del self._pending[: len(pending)]
                logger.error("understudy: %d changes of accounts were lost: %s", len(pending), place_of(error))
                return False
            self.trouble = ""
            return True

    def take_in(self) -> None:
        """Takes in what other processes, and earlier ones, have seen of the accounts' quota. Blocking file work."""
        stamp = files.stamp(self._quota.path)
        if stamp != self._taken_in:
            self._taken_in = stamp
            for entry in self._quota.read() or ():
                if entry.snapshot is None:
                    continue
                with self._merging:
                    self._figures[entry.id] = merge(entry.snapshot, self._figures.get(entry.id, entry.snapshot))

    def status(self) -> dict[str, object]:
        """What `understudy status --json` prints, as of the last write."""
        return status_object(self._quota.board() or Board(), time.time())

    def _used_last(self, account: Account) -> Account:
        last = self._used.get(account.id)
        return account if last is None else used(account, last, resolution=0.0)

    def _complain(self, error: Exception) -> None:
        if str(error) != self.trouble:
            self.trouble = str(error)
            logger.error("understudy: %s", error)


def _all(pending: list[tuple[str, Change]]) -> Callable[[Accounts], Accounts]:
    """The changes, done to the accounts that are still there: a removed account is not brought back."""

    def changed(accounts: Accounts) -> Accounts:
        for account_id, change in pending:
            accounts = tuple(change(account) if account.id == account_id else account for account in accounts)
        return accounts

    return changed

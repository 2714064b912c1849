"""The pool on disk: `accounts.json`, read whole, changed in one locked step, never silently refilled or emptied."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from understudy.pool.account import Account
from understudy.state import files, schema
from understudy.state.errors import StateError, StoreCorrupt
from understudy.state.home import private_folder
from understudy.state.lease import Lease, take_lease

Accounts = tuple[Account, ...]
Change = Callable[[Accounts], Accounts]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pool:
    """The accounts in the order of adding; `revision` grows by one with every change."""

    accounts: Accounts = ()
    revision: int = 0


class AccountStore:
    """The seam to where the pool is kept: `update(change)`, `lease(name)` and `changed()`, and `read()` beside them.

    All of it is blocking file work of a few milliseconds, but for `read()` and `changed()` of a pool that has not
    changed: they cost one look at the file's status. May be used from several threads.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "accounts.json"
        self.backup = home / "accounts.json.bak"
        """The pool as it was last written. A copy of the state before would hold refresh tokens that are spent."""
        self._known: tuple[files.Stamp | None, Pool] | None = None

    def read(self) -> Pool:
        """The pool as it is now; empty where none was ever written.

        Raises StoreCorrupt where it is unreadable (it is moved to `quarantine/`, where it stays) or gone while its
        backup is there, StoreNewer where another version of Understudy wrote it, StateError for all other trouble.
        """
        known = self._known
        if known is not None and known[0] == files.stamp(self.path):
            return known[1]
        try:
            stamp, pool = self._load()
        except StoreCorrupt:
            # It may have been put right in between, and only one process may move it.
            with files.locked(self.path):
                stamp, pool = self._load_or_quarantine()
        self._known = stamp, pool
        return pool

    def changed(self) -> bool:
        """Whether the file is another than the one that this object's last `read()` or `update()` gave."""
        return self._known is None or self._known[0] != files.stamp(self.path)

    def update(self, change: Change) -> Pool:
        """Puts `change(accounts)` in the accounts' place and gives the pool that is on disk when this returns.

        `change` is given what is on disk at that moment, whoever wrote it, and no other writer comes in between; it
        must not call the store. Accounts that it does not name are not brought back. Raises as `read()` does, and
        ValueError where what it gives could not be read back: then nothing is written.
        """
        with files.locked(self.path):
            stamp, pool = self._load_or_quarantine()
            accounts = change(pool.accounts)
            if accounts != pool.accounts:
                pool = Pool(accounts, pool.revision + 1)
                data = schema.encode(pool.accounts, pool.revision)
                if schema.decode(data) != (pool.accounts, pool.revision):
                    raise ValueError("the changed accounts do not read back as they were written")
                stamp = files.write(self.path, data)
                self._back_up(data)
            self._known = stamp, pool
        return pool

    def lease(self, name: str, now: float) -> Lease | None:
        """The sole right, among all processes, to do what `name` names, or None while another one has it.

        `now`: epoch seconds. It ends by itself after `lease.LIFETIME`, so that a killed holder stops nobody for long.
        """
        return take_lease(self.home / "leases", name, now)

    def _back_up(self, data: bytes) -> None:
        try:
            files.write(self.backup, data)
        except StateError as error:
            # The pool itself is safe on disk: whoever changed it must not be told otherwise.
            logger.warning("understudy: the pool has no fresh backup: %s", error)

    def _load(self) -> tuple[files.Stamp | None, Pool]:
        content = files.read(self.path)
        if content is None:
            if files.stamp(self.backup) is None:
                return None, Pool()
            raise StoreCorrupt(f"{self.path} is missing, but its backup is there. {self._advice()}", self.backup)
        try:
            return content.stamp, Pool(*schema.decode(content.data))
        except ValueError as error:
            raise StoreCorrupt(f"{self.path} cannot be read: {error}", self.path) from None

    def _load_or_quarantine(self) -> tuple[files.Stamp | None, Pool]:
        try:
            return self._load()
        except StoreCorrupt as error:
            if error.kept == self.backup:
                raise
            kept = self._quarantine(self.path)
            raise StoreCorrupt(f"{error}. It was moved to {kept}. {self._advice()}", kept) from None

    def _quarantine(self, path: Path) -> Path:
        folder = private_folder(self.home / "quarantine")
        kept = folder / f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}.{time.time_ns() % 1_000_000_000:09d}"
        files.move(path, kept)
        return kept

    def _advice(self) -> str:
        again = "start anew with `understudy accounts import ~/.codex/auth.json`"
        try:
            content = files.read(self.backup)
            count = len(schema.decode(content.data)[0]) if content is not None else None
        except ValueError:
            return f"Its backup {self.backup} is unreadable too: move it away, then {again}."
        if count is None:
            return f"There is no backup: {again}."
        accounts = "1 account" if count == 1 else f"{count} accounts"
        return (
            f"The last good backup has {accounts}; to use it: mv '{self.backup}' '{self.path}'. "
            f"To do without it, move it away and {again}."
        )

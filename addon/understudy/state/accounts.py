"""The pool on disk: `accounts.json`, read whole, changed in one locked step, never silently refilled or emptied."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from understudy.pool.pool import Pool
from understudy.state import copies, files, schema
from understudy.state.errors import StateError, StoreCorrupt
from understudy.state.lease import Lease, take_lease
from understudy.state.room import Room
from understudy.state.vault import Opened, Vault, mark_missing

Change = Callable[[Pool], Pool]
GROWTH = 64 * 1024
"""Bytes by which the pool may have grown between a reservation and its use."""

logger = logging.getLogger(__name__)


class AccountStore:
    """The seam to where the pool is kept: `update(change)`, `lease(name)` and `changed()`, and `read()` beside them.

    All of it is blocking file work of a few milliseconds, but for `read()` and `changed()` of a pool that has not
    changed: they cost one look at the file's status. May be used from several threads. Where tokens are in the
    keychain, tokens that this object has not seen yet take longer: some 10 ms for an account, and a few seconds at the
    most before StateError.

    `keyring`: whether what is written from now on keeps its tokens in the operating system's keychain; None: as the
    file does it. May be set at any time.
    """

    def __init__(self, home: Path, keyring: bool | None = None) -> None:
        self.home = home
        self.path = home / "accounts.json"
        self.backup = home / "accounts.json.bak"
        """The pool as it was last written. A copy of the state before would hold refresh tokens that are spent."""
        self._vault = Vault(keyring)
        self._known: tuple[files.Stamp | None, Pool] | None = None

    @property
    def keyring(self) -> bool | None:
        return self._vault.keyring

    @keyring.setter
    def keyring(self, keyring: bool | None) -> None:
        self._vault.keyring = keyring

    def read(self) -> Pool:
        """The pool as it is now; empty where none was ever written.

        Raises StoreCorrupt where it is unreadable (it is moved to `quarantine/`, where it stays) or gone while its
        backup is there, StoreNewer where another version of Understudy wrote it, StateError for all other trouble.
        """
        known = self._known
        if known is not None and known[0] == files.stamp(self.path):
            return known[1]
        try:
            stamp, found = self._load()
            certain = found.whole
        except StoreCorrupt:
            certain = False
        if not certain:
            # It may have been put right in between, and only one process may move it.
            with files.locked(self.path):
                stamp, found = self._load_or_quarantine()
        self._known = stamp, found.pool
        return found.pool

    def changed(self) -> bool:
        """Whether the file is another than the one that this object's last `read()` or `update()` gave."""
        return self._known is None or self._known[0] != files.stamp(self.path)

    def reserved(self) -> Room:
        """Room on the disk for one `update(change, room)`, which then needs no more: `with store.reserved() as room:`.

        For what must not be lost, as new tokens: to be called before they are asked for. It waits for the disk, as a
        write does; `room.release()`, which the end of the `with` calls, does not. An update that is not given the room
        leaves it alone. Raises StateError where there is none.
        """
        with files.locked(self.path):
            found = files.read(self.path)
            return files.reserve(self.path, len(found.data if found else b"") + GROWTH)

    def update(self, change: Change, room: Room | None = None) -> Pool:
        """Puts `change(pool)` in the pool's place, its revision one higher, and gives what is on disk afterwards.

        Where nothing is changed nothing is written, but for tokens that are not where `keyring` wants them.

        `change` is given what is on disk at that moment, whoever wrote it, and no other writer comes in between; it
        must not call the store. Accounts that it does not name are not brought back. `room`: see `reserved()`. Raises
        as `read()` does, and ValueError where what it gives could not be read back: then nothing is written.
        """
        with files.locked(self.path):
            stamp, found = self._load_or_quarantine()
            pool = mark_missing(change(found.pool))
            if pool != found.pool or self._vault.misplaces(found):
                pool = replace(pool, revision=found.pool.revision + 1)
                stamp = self._write(pool, found, room)
            self._known = stamp, pool
        return pool

    def back_up(self) -> Path | None:
        """Copies the pool as it is to `backups/`, of which the latest few are kept; None where there is none yet.

        For what the user may want to take back. The refresh tokens in it are good until they are used. Raises
        StateError.
        """
        with files.locked(self.path):
            return self._copy()

    def read_copy(self, path: Path) -> Pool:
        """The pool in a copy of the file, with those of its tokens that are in the keychain. Raises StateError."""
        content = files.read(path)
        try:
            if content is None:
                raise ValueError("it is gone")
            return self._vault.open(content.data).pool
        except ValueError as error:
            raise StateError(f"{path} cannot be read: {error}") from None

    def lease(self, name: str, now: float) -> Lease | None:
        """The sole right, among all processes, to do what `name` names, or None while another one has it.

        `now`: epoch seconds. It ends by itself after `lease.LIFETIME`, so that a killed holder stops nobody for long.
        """
        return take_lease(self.home / "leases", name, now)

    def _write(self, pool: Pool, before: Opened, room: Room | None) -> files.Stamp:
        data, entries = self._vault.close(pool, before)
        self._keep_older()
        stamp = files.write(self.path, data, room=room)
        self._write_backup(data)
        self._vault.forget(before.entries, entries)
        return stamp

    def _keep_older(self) -> None:
        """What an older version wrote is kept: this one's form could not be read by it any more."""
        content = files.read(self.path)
        if content is not None and schema.is_older(content.data):
            self._copy()

    def _copy(self) -> Path | None:
        content = files.read(self.path)
        if content is None:
            return None
        copy = copies.place_for(self.path, "backups")
        files.write(copy, content.data)
        copies.prune(copy)
        return copy

    def _write_backup(self, data: bytes) -> None:
        try:
            files.write(self.backup, data)
        except StateError as error:
            # The pool itself is safe on disk: whoever changed it must not be told otherwise.
            logger.warning("understudy: the pool has no fresh backup: %s", error)

    def _load(self) -> tuple[files.Stamp | None, Opened]:
        content = files.read(self.path)
        if content is None:
            if files.stamp(self.backup) is None:
                return None, Opened(Pool(), {})
            raise StoreCorrupt(f"{self.path} is missing, but its backup is there. {self._advice()}", self.backup)
        try:
            return content.stamp, self._vault.open(content.data)
        except ValueError as error:
            raise StoreCorrupt(f"{self.path} cannot be read: {error}", self.path) from None

    def _load_or_quarantine(self) -> tuple[files.Stamp | None, Opened]:
        try:
            return self._load()
        except StoreCorrupt as error:
            if error.kept == self.backup:
                raise
            kept = copies.place_for(self.path, "quarantine")
            files.move(self.path, kept)
            copies.prune(kept)
            raise StoreCorrupt(f"{error}. It was moved to {kept}. {self._advice()}", kept) from None

    def _advice(self) -> str:
        again = "start anew with `understudy login`"
        try:
            content = files.read(self.backup)
            count = len(schema.decode(content.data).accounts) if content is not None else None
        except ValueError:
            return f"Its backup {self.backup} is unreadable too: move it away, then {again}."
        if count is None:
            return f"There is no backup: {again}."
        accounts = "1 account" if count == 1 else f"{count} accounts"
        return (
            f"The last good backup has {accounts}; to use it: `understudy accounts quarantine restore "
            f"{self.backup.name}`. "
            f"To do without it, move it away and {again}."
        )

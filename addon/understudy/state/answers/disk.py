"""The file of kept answers, `answers.sqlite3`: opened with care, and wiped.

SQLite gives the files beside it, `-wal` and `-shm`, the mode of the database itself.
"""

import os
import sqlite3
import stat
from pathlib import Path

from understudy.state import copies, files
from understudy.state.answers.book import Book, Figures
from understudy.state.answers.changes import SCHEMA
from understudy.state.errors import StateError, StoreNewer

NAME = "answers.sqlite3"
WIPED = "answers.wiped"
"""Its stamp tells running proxies to forget what they keep in memory."""
BUSY = 10.0
"""Seconds that a writer waits for another process's. Readers hardly ever wait: the file is in WAL mode."""

_READER = 0.5
_APPLICATION = 0x556E6453
_VERSION = 1
_BESIDE = ("-wal", "-shm")
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Disk:
    """The file in the folder `home`, with a connection to read and one to write. Blocking file work."""

    def __init__(self, home: Path) -> None:
        """Makes the file where there is none, and moves one that cannot be read to `quarantine/`; `moved` says so.

        Raises StateError.
        """
        self.path = home / NAME
        self.moved = ""
        with files.locked(self.path):
            self._open_or_quarantine()

    def reopen(self) -> None:
        """Begins anew where the file broke while it was open. Raises StateError."""
        with files.locked(self.path):
            # Another process may have put a new one there.
            is_ours = (found := files.stamp(self.path)) is not None and found.inode == self._inode
            self.close()
            self.moved = ""
            if is_ours:
                self._quarantine("it is damaged")
            self._open_or_quarantine()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def _open_or_quarantine(self) -> None:
        try:
            try:
                self._open()
            except sqlite3.Error as error:
                if not is_broken(error):
                    raise
                self._quarantine(str(error))
                self._open()
        except sqlite3.Error as error:
            raise StateError(f"cannot use {self.path}: {error}") from None

    def _open(self) -> None:
        _make_private_file(self.path)
        connection = _connection(self.path)
        try:
            _check(connection, self.path)
            self.writer, self.reader = Book(connection), Book(_connection(self.path, _READER))
        except BaseException:
            connection.close()
            raise
        self._inode = os.lstat(self.path).st_ino

    def _quarantine(self, why: str) -> None:
        kept = copies.place_for(self.path, "quarantine")
        files.remove(kept.parent.glob(f"{NAME}.*"))  # The latest is enough: they are large, and full of prompts.
        for suffix in _BESIDE:
            if (beside := Path(f"{self.path}{suffix}")).exists():
                files.move(beside, Path(f"{kept}{suffix}"))
        files.move(self.path, kept)
        self.moved = f"{self.path} cannot be read: {why}. It was moved to {kept}, and a new one begun."


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file is no database, or a damaged or foreign one."""
    return isinstance(error, _Foreign) or _code(error) in _BROKEN


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process writes."""
    return _code(error) in _BUSY


def figures(home: Path) -> Figures | None:
    """What there is on disk; None where nothing was ever kept there. Raises StateError."""
    path = home / NAME
    if files.stamp(path) is None:
        return None
    try:
        connection = _connection(path)
        try:
            _check(connection, path)
            return Book(connection).figures()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StateError(f"{path} cannot be read: {error}. To begin anew: understudy history clear") from None


def wipe(home: Path) -> None:
    """Deletes all answers that are kept, also those that running proxies keep in memory, and what was quarantined.

    Raises StateError.
    """
    # First of all: from here on no proxy writes down what it has in its memory.
    with files.locked(home / WIPED):
        files.write(home / WIPED, b"", durable=False)
    files.remove((home / "quarantine").glob(f"{NAME}.*"))
    path = home / NAME
    if files.stamp(path) is None:
        return
    try:
        connection = _connection(path)
        try:
            _check(connection, path)
            Book(connection).wipe()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if not is_broken(error):
            raise StateError(f"cannot wipe {path}: {error}. Try again.") from None
        files.remove([path, *(Path(f"{path}{suffix}") for suffix in _BESIDE)])


class _Foreign(sqlite3.DatabaseError):
    pass


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make_private_file(path: Path) -> None:
    """Makes the file before SQLite does, so that it is private from its first byte. Raises StateError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}") from None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise StateError(f"{path} is no file of our own; move it away")
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(file, 0o600)
    finally:
        os.close(file)


def _connection(path: Path, timeout: float = BUSY) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        # What is deleted is overwritten. What is sorted, or moved together, is not written to other files.
        connection.executescript("PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Makes sure that it is a database of ours, of this version; an empty one becomes one. Raises sqlite3.Error."""
    application, version, tables = (
        connection.execute(statement).fetchone()[0]
        for statement in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if (application, version, tables) == (0, 0, 0):
        connection.execute("PRAGMA journal_mode = WAL")
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION}"
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}; {marks}; COMMIT")
    elif application != _APPLICATION:
        raise _Foreign("it is no database of Understudy's")
    elif version != _VERSION:
        raise StoreNewer(f"{path} was written by another version of Understudy; update this one. It was left alone.")

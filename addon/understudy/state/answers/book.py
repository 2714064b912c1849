"""One database of kept answers, in memory or in a file: read, changed, and held within its bounds."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from understudy.state.answers.changes import SCHEMA, Change, Conversation

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: `size` in bytes, `age` in seconds since its last use. What was not used longest goes first."""

    size: int
    age: float


class Facts(NamedTuple):
    """An answer without its texts."""

    id: str
    created_at: float
    used_at: float
    previous: str | None
    conversation: str | None
    listed: bool


class Item(NamedTuple):
    """An item of `owner`, an answer or a conversation; they are in the order of `place`."""

    owner: str
    place: int
    is_output: bool
    id: str
    text: str


class Figures(NamedTuple):
    """`size`: bytes. `oldest`: when the oldest of them was made, in epoch seconds; None where there are none."""

    responses: int
    conversations: int
    size: int
    oldest: float | None


class Book:
    """The database behind a connection that is in autocommit mode. Whatever SQLite raises goes to the caller."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def close(self) -> None:
        self._sql.close()

    def begin(self) -> None:
        """No other process writes from here until `apply` is done, or `give_up` is called."""
        self._sql.execute("BEGIN IMMEDIATE")

    def give_up(self) -> None:
        self._sql.execute("ROLLBACK")

    def apply(self, changes: Iterable[Change], bounds: Bounds, now: float) -> None:
        """Makes the changes, and deletes what is then too much: all of it or, where it raises, nothing. After `begin`.

        `now`: epoch seconds.
        """
        try:
            for change in changes:
                for statement, rows in change.statements:
                    self._sql.executemany(statement, rows)
            self._trim(bounds, now)
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:  # SQLite may have rolled back by itself, as where the disk is full.
                self.give_up()
            raise

    def facts(self, answer_id: str) -> Facts | None:
        row = self._sql.execute("SELECT * FROM answers WHERE id = ?", (_key(answer_id),)).fetchone()
        return None if row is None else Facts._make((*row[:5], bool(row[5])))

    def response(self, answer_id: str) -> str:
        row = self._sql.execute("SELECT text FROM responses WHERE id = ?", (answer_id,)).fetchone()
        return str(row[0]) if row else ""

    def conversation(self, conversation_id: str) -> Conversation | None:
        row = self._sql.execute("SELECT * FROM conversations WHERE id = ?", (_key(conversation_id),)).fetchone()
        return None if row is None else Conversation(*row)

    def items(self, owner: str) -> list[Item]:
        """Those of an answer or of a conversation, in their order."""
        return self._items("owner = ? ORDER BY place", owner)

    def items_named(self, item_id: str) -> list[Item]:
        """Those that bear this id, outputs first: hosts send them again, perhaps with something left out."""
        return self._items("id = ? ORDER BY is_output DESC", item_id)

    def calls(self, call_id: str) -> list[Item]:
        """The calls of tools with this id."""
        return self._items("call_id = ?", call_id)

    def figures(self) -> Figures:
        row = self._sql.execute(
            "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM conversations),"
            " (SELECT min(created_at) FROM (SELECT created_at FROM answers UNION ALL SELECT created_at"
            " FROM conversations))"
        ).fetchone()
        return Figures(row[0], row[1], self._size(), row[2])

    def drop_written(self) -> None:
        """Deletes all that can be on disk by now."""
        self._sql.executescript(
            "BEGIN; DELETE FROM answers WHERE listed; DELETE FROM conversations;"
            "DELETE FROM responses WHERE id NOT IN (SELECT id FROM answers);"
            "DELETE FROM items WHERE owner NOT IN (SELECT id FROM answers); COMMIT"
        )

    def wipe(self) -> None:
        """Deletes everything. In a file nothing of it is left, not even in its free space."""
        self._sql.executescript(
            "BEGIN IMMEDIATE; DELETE FROM answers; DELETE FROM responses; DELETE FROM conversations;"
            "DELETE FROM items; COMMIT; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"
        )

    def _items(self, where: str, value: str) -> list[Item]:
        rows = self._sql.execute(f"SELECT owner, place, is_output, id, text FROM items WHERE {where}", (_key(value),))
        return [Item(row[0], row[1], bool(row[2]), row[3], row[4]) for row in rows.fetchall()]

    def _trim(self, bounds: Bounds, now: float) -> None:
        while (oldest := self._oldest()) is not None and (self._size() > bounds.size or oldest[1] < now - bounds.age):
            for table, column in (("answers", "id"), ("responses", "id"), ("conversations", "id"), ("items", "owner")):
                self._sql.execute(f"DELETE FROM {table} WHERE {column} = ?", (oldest[0],))

    def _oldest(self) -> tuple[str, float] | None:
        """What was not used for the longest time, and when it was."""
        tables = ("answers", "conversations")
        found = [self._sql.execute(f"SELECT id, used_at FROM {t} ORDER BY used_at LIMIT 1").fetchone() for t in tables]
        return min((row for row in found if row), key=lambda row: row[1], default=None)

    def _size(self) -> int:
        """Bytes in use, free space left out."""
        pages, free, size = (
            self._sql.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _key(name: str) -> str:
    """A name that hosts made up may have half a surrogate pair in it, which SQLite cannot take. No id of ours has."""
    return name if name.isascii() else ascii(name)


def in_memory() -> Book:
    """An empty one."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA)
    return Book(connection)

"""What is done to the kept answers, as values: a change goes into memory at once, and to the disk a little later."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from understudy.wire.conversations import Listed, named
from understudy.wire.jsontext import loads
from understudy.wire.stored import CALLS, Stored

Value = str | int | float | None
Rows = tuple[tuple[Value, ...], ...]

SCHEMA = """
CREATE TABLE answers (
    id TEXT PRIMARY KEY, created_at REAL NOT NULL, used_at REAL NOT NULL, previous TEXT, conversation TEXT,
    listed INTEGER NOT NULL
);
CREATE INDEX answers_used ON answers (used_at);
CREATE TABLE responses (id TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, created_at REAL NOT NULL, used_at REAL NOT NULL, metadata TEXT NOT NULL
);
CREATE INDEX conversations_used ON conversations (used_at);
CREATE TABLE items (
    owner TEXT NOT NULL, place INTEGER NOT NULL, is_output INTEGER NOT NULL, id TEXT NOT NULL, call_id TEXT,
    text TEXT NOT NULL
);
CREATE UNIQUE INDEX items_place ON items (owner, place);
CREATE INDEX items_id ON items (id);
CREATE INDEX items_call ON items (call_id) WHERE call_id IS NOT NULL;
"""
"""`items.owner`: the answer or the conversation that they are of. Texts are apart from what changes with each use."""


@dataclass(frozen=True, slots=True)
class Change:
    """Statements of SQL, each with its rows. `size`: characters of text in them."""

    statements: tuple[tuple[str, Rows], ...]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """`created_at`, `used_at`: epoch seconds. `metadata`: a JSON object's text."""

    id: str
    created_at: float
    used_at: float
    metadata: str


def put(stored: Stored, now: float) -> Change:
    """Keeps an answer, in the place of what there is of it; and its items in its conversation, if that is there and the
    host wants the answer stored.
    """
    texts = (*stored.given, *stored.output)
    rows = tuple(_row(stored.id, at, text, is_output=at >= len(stored.given)) for at, text in enumerate(texts))
    facts = (stored.id, stored.created_at, now, stored.previous, stored.conversation, stored.listed)
    change = Change(
        (
            ("DELETE FROM items WHERE owner = ?", ((stored.id,),)),
            ("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", (facts,)),
            ("INSERT OR REPLACE INTO responses VALUES (?, ?)", ((stored.id, stored.response),)),
            ("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", rows),
        ),
        len(stored.response) + sum(map(len, texts)),
    )
    if stored.conversation is None or not stored.listed:
        return change
    # The same ids as in the answer's own list, so that it is known up to where the conversation led to the answer.
    rest = append(stored.conversation, [Listed(str(row[3]), str(row[5])) for row in rows], now)
    return Change(change.statements + rest.statements, change.size + rest.size)


def delete(name: str) -> Change:
    """Deletes an answer or a conversation, with its items."""
    tables = (("answers", "id"), ("responses", "id"), ("conversations", "id"), ("items", "owner"))
    return Change(tuple((f"DELETE FROM {table} WHERE {column} = ?", ((name,),)) for table, column in tables))


def touch(names: Iterable[str], now: float) -> Change:
    """Answers and conversations that were used at `now`, in epoch seconds."""
    rows = tuple((now, name) for name in names)
    tables = ("answers", "conversations")
    return Change(tuple((f"UPDATE {table} SET used_at = ? WHERE id = ?", rows) for table in tables))


def write(conversation: Conversation) -> Change:
    """Makes a conversation, or puts it in the place of what there is of it; its items stay."""
    row = (conversation.id, conversation.created_at, conversation.used_at, conversation.metadata)
    return Change((("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?)", (row,)),), len(conversation.metadata))


def append(conversation_id: str, items: Sequence[Listed], now: float) -> Change:
    """Puts items at a conversation's end, unless it is gone by then."""
    first = time.time_ns()  # So that what several processes put there is in one order.
    rows = tuple(
        (conversation_id, first + at, 0, item.id, None, item.text, conversation_id) for at, item in enumerate(items)
    )
    return Change(
        (
            (
                "INSERT OR IGNORE INTO items SELECT ?, ?, ?, ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM conversations WHERE id = ?)",
                rows,
            ),
            *touch((conversation_id,), now).statements,
        ),
        sum(len(item.text) for item in items),
    )


def take_out(conversation_id: str, place: int) -> Change:
    """Deletes one item of a conversation."""
    return Change((("DELETE FROM items WHERE owner = ? AND place = ?", ((conversation_id, place),)),))


def _row(owner: str, place: int, text: str, *, is_output: bool) -> tuple[Value, ...]:
    item = loads(text)
    is_call = is_output and isinstance(item, dict) and item.get("type") in CALLS
    call_id = item.get("call_id") if is_call and isinstance(item, dict) else None
    name = named(text, owner, place).id
    return (owner, place, is_output, name, call_id if isinstance(call_id, str) else None, text)

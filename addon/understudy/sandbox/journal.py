"""The journal: what the sandbox received and what became of it, for tests to read and to wait on.

Written by the server's event loop, read from any thread. All times are `time.monotonic()` seconds, which on one machine
can be compared across processes; `time` alone is epoch seconds.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import overload

LIMIT = 20_000
"""Entries kept; older ones fall out, so that a long benchmark does not fill the memory."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A piece of an answer's body: the event's type (empty for anything else), when it left, how many bytes."""

    type: str
    at: float
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. No token is in it: the authorization and the refresh token are replaced by whose they were."""

    number: int
    time: float
    at: float
    method: str
    """WS for a message on a WebSocket; its handshake is an entry of its own."""
    path: str
    query: str
    http_version: str
    peer: int
    """The peer's port: requests with the same one came on one connection."""
    headers: tuple[tuple[str, str], ...]
    """As they came, case and order included; `authorization` reads e.g. `<work: access token 1, good>`."""
    account: str | None = None
    """Label of the account whose token came, or of the key."""
    token: str = "none"
    """What that token was: none, unknown, good, expired, dead (refused once, or its login revoked)."""
    content: bytes = field(default=b"", repr=False)
    """The request body, decoded."""
    body: object = None
    """The same as parsed JSON; None where it is none."""
    step: str = ""
    """The step of the scenario that was played; empty where the request was refused before."""
    status: int | None = None
    """Status of the answer; None while no header has been sent."""
    response_id: str = ""
    model: str = ""
    """The model that was asked for."""
    input_tokens: int | None = None
    """Tokens of the request, as the end of the answer said; None where the answer had no such end."""
    cached_tokens: int | None = None
    """How many of them were cached, as it said."""
    sent: tuple[Sent, ...] = field(default=(), repr=False)
    answered_at: float | None = None
    """When the response headers left."""
    finished_at: float | None = None
    """When the sandbox was done with it, whatever the end: known before the last bytes leave."""
    cancelled_at: float | None = None
    """When the peer was seen to hang up before the answer was whole."""
    ending: str = ""
    """How it ended: finished, rst, fin, stream, cancelled, failed (the sandbox's own fault); empty while it runs."""
    socket: int | None = None
    """For a message on a WebSocket: the number of the handshake's entry."""

    def header(self, name: str) -> str | None:
        """The first header field of that name, without regard to case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def events(self) -> tuple[str, ...]:
        """Types of the events that were sent."""
        return tuple(piece.type for piece in self.sent if piece.type)

    def to_json(self) -> dict[str, object]:
        """The entry as plain values, without the raw body."""
        plain = asdict(self)
        del plain["content"]
        return plain


@dataclass(slots=True)
class Record:
    """An entry while it is being written. Only the server's event loop touches it, through `Journal.note`."""

    entry: Entry
    sent: list[Sent] = field(default_factory=list)

    def frozen(self) -> Entry:
        """The entry as it stands."""
        return replace(self.entry, sent=tuple(self.sent))


class Journal(Sequence[Entry]):
    """A thread-safe, growing list of entries; reading gives frozen values."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=LIMIT)
        self._changed = threading.Condition()
        self._count = 0

    def open(self, make: Callable[[int], Entry]) -> Record:
        """Adds an entry; `make` gets its number, counted from 1 over the sandbox's life."""
        with self._changed:
            self._count += 1
            record = Record(make(self._count))
            self._records.append(record)
            self._changed.notify_all()
            return record

    def note(self, record: Record, entry: Entry) -> None:
        """Replaces what is known of a request."""
        with self._changed:
            record.entry = entry
            self._changed.notify_all()

    def note_sent(self, record: Record, piece: Sent) -> None:
        """Adds a piece of the answer's body."""
        with self._changed:
            record.sent.append(piece)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets all entries. The count goes on."""
        with self._changed:
            self._records.clear()
            self._changed.notify_all()

    def entries(self) -> tuple[Entry, ...]:
        """All entries, as they stand."""
        with self._changed:
            return tuple(record.frozen() for record in self._records)

    def responses(self, account: str | None = None) -> tuple[Entry, ...]:
        """The requests to the Responses endpoints, backend and Platform, perhaps of one account or key only.

        Those that came as messages on a WebSocket are among them, with prewarms; handshakes are not.
        """
        return tuple(entry for entry in self._to_responses(account) if entry.method != "GET")

    def handshakes(self, account: str | None = None) -> tuple[Entry, ...]:
        """The requests to open a WebSocket; those that got a 101 run until it is closed."""
        return tuple(entry for entry in self._to_responses(account) if entry.method == "GET")

    def _to_responses(self, account: str | None) -> Iterator[Entry]:
        for entry in self.entries():
            known = entry.path.endswith(("/codex/responses", "/v1/responses"))
            if known and (account is None or entry.account == account):
                yield entry

    def wait_for(self, predicate: Callable[[Entry], bool], timeout: float = 15.0) -> Entry:
        """The first entry that fulfils `predicate`, as soon as there is one. Raises TimeoutError after `timeout` s."""
        found: list[Entry] = []

        def search() -> bool:
            found.extend(entry for record in self._records if predicate(entry := record.frozen()))
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(search, timeout):
                raise TimeoutError(f"nothing of the kind within {timeout} s; the journal holds:\n{self.summary()}")
        return found[0]

    def wait_until(self, predicate: Callable[[tuple[Entry, ...]], bool], timeout: float = 15.0) -> tuple[Entry, ...]:
        """All entries, as soon as they fulfil `predicate` together. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(self.entries()), timeout):
                raise TimeoutError(f"not so within {timeout} s; the journal holds:\n{self.summary()}")
            return self.entries()

    def summary(self) -> str:
        """One line an entry, for messages."""
        return "\n".join(
            f"{entry.number} {entry.method} {entry.path} {entry.account or '-'} {entry.token} "
            f"{entry.step or '-'} {entry.status} {entry.ending or 'running'}"
            for entry in self.entries()
        )

    def to_json(self) -> bytes:
        """The whole journal: `{"entries": [...]}`, each without its raw body."""
        return json.dumps({"entries": [entry.to_json() for entry in self.entries()]}).encode()

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        return self.entries()[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

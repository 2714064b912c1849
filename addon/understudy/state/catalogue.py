"""The accounts' lists of models as ChatGPT last sent them, `models.json`, so that hosts get them offline, too.

It is a cache: what cannot be read is asked for again, and what cannot be written is missed at the next start.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from understudy.state import fields, files
from understudy.state.errors import StateError
from understudy.wire.jsontext import loads

VERSION = 1
MOST_VERSIONS = 4
"""Client versions for which an account's list is kept: a few programs, before and after an update."""
MOST_BYTES = 8 * 1024 * 1024
"""Bytes of all different lists together. One has a few hundred thousand; accounts of one plan share theirs."""

Key = tuple[str, str]
"""Our id of the account, and the client version that the list is for."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """What ChatGPT answered for one account and one client version. `body`: text, byte for byte. `etag`: or empty."""

    account_id: str
    client_version: str
    etag: str
    body: str

    @property
    def key(self) -> Key:
        """What it is a copy of."""
        return self.account_id, self.client_version


def bounded(copies: Sequence[Copy]) -> tuple[Copy, ...]:
    """The newest few copies of each account, within MOST_BYTES. In and out the oldest comes first."""
    kept: list[Copy] = []
    versions: dict[str, int] = {}
    bodies: set[str] = set()
    room = MOST_BYTES
    for copy in reversed(copies):
        size = 0 if copy.body in bodies else len(copy.body.encode())
        if versions.get(copy.account_id, 0) < MOST_VERSIONS and size <= room:
            versions[copy.account_id] = versions.get(copy.account_id, 0) + 1
            bodies.add(copy.body)
            room -= size
            kept.append(copy)
    return tuple(reversed(kept))


class CatalogueFile:
    """`models.json` in the folder `home`. Blocking file work; may be used from several threads."""

    def __init__(self, home: Path) -> None:
        self.path = home / "models.json"

    def read(self) -> tuple[Copy, ...]:
        """The copies, the oldest first; none where the file is missing or, with a warning, unreadable."""
        try:
            content = files.read(self.path)
            return () if content is None else _decode(content.data)
        except (StateError, ValueError) as error:
            logger.warning("understudy: the lists of models in %s are left aside: %s", self.path, error)
            return ()

    def note(self, copy: Copy) -> None:
        """Puts a copy in the place of the one it follows. Trouble is logged."""
        try:
            with files.locked(self.path):
                others = (other for other in self.read() if other.key != copy.key)
                files.write(self.path, _encode(bounded((*others, copy))), durable=False)
        except StateError as error:
            logger.warning("understudy: a list of models is not kept: %s", error)


def _encode(copies: Iterable[Copy]) -> bytes:
    """`{"version": 1, "bodies": {"<sha256>": "{...}"}, "copies": [{"account", "client_version", "etag", "body"}]}`."""
    bodies: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    for copy in copies:
        name = sha256(copy.body.encode()).hexdigest()
        bodies[name] = copy.body
        rows.append(
            {"account": copy.account_id, "client_version": copy.client_version, "etag": copy.etag, "body": name}
        )
    document = {"version": VERSION, "bodies": bodies, "copies": rows}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _decode(data: bytes) -> tuple[Copy, ...]:
    """Raises ValueError for whatever is not as `_encode` writes it."""
    document = fields.as_object(loads(data))
    if document.get("version") != VERSION:
        raise ValueError("it was written by another version")
    bodies = fields.as_object(document.get("bodies"))
    return tuple(_copy(fields.as_object(row), bodies) for row in fields.as_list(document.get("copies")))


def _copy(row: fields.Object, bodies: fields.Object) -> Copy:
    return Copy(
        account_id=fields.text(row, "account"),
        client_version=fields.text(row, "client_version"),
        etag=fields.text(row, "etag"),
        body=fields.text(bodies, fields.text(row, "body")),
    )

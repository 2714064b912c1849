"""How full the accounts' windows were of late, `history.json`, apart from what the status has to load.

Nothing depends on it: what cannot be read or written is left out.
"""

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from understudy.pool.pace import EVERY, History, Point, noted
from understudy.state import fields, files
from understudy.state.errors import StateError
from understudy.wire.jsontext import loads
from understudy.wire.quota import Snapshot

VERSION = 1

logger = logging.getLogger(__name__)


class HistoryFile:
    """`history.json` in the folder `home`. Blocking file work; may be used from several threads."""

    def __init__(self, home: Path) -> None:
        self.path = home / "history.json"
        self._noted: dict[tuple[str, str, str], float] = {}

    def read(self) -> dict[str, History]:
        """The points by account id; none where the file is missing or, with a warning, unreadable."""
        try:
            content = files.read(self.path)
            return {} if content is None else _decode(content.data)
        except (StateError, ValueError) as error:
            logger.warning("understudy: the history in %s is left aside: %s", self.path, error)
            return {}

    def note(self, snapshots: Mapping[str, Snapshot], account_ids: Collection[str]) -> None:
        """Adds what `snapshots` (by account id) show, of accounts in `account_ids` alone. The file is touched once in
        five minutes for each window.
        """
        if not any(self._is_news(account_id, snapshot) for account_id, snapshot in snapshots.items()):
            return
        try:
            with files.locked(self.path):
                old = {account_id: points for account_id, points in self.read().items() if account_id in account_ids}
                new = {account_id: noted(old.get(account_id, {}), seen) for account_id, seen in snapshots.items()}
                files.write(self.path, _encode(old | new), durable=False)
        except StateError as error:
            logger.warning("understudy: the pace of the accounts is not kept: %s", error)

    def _is_news(self, account_id: str, snapshot: Snapshot) -> bool:
        """Whether a point may be due; what this object has noted itself it need not read."""
        found = False
        for window in snapshot.windows:
            key = account_id, window.limit_id, window.name
            if snapshot.updated_at - self._noted.get(key, 0.0) >= EVERY:
                self._noted[key] = snapshot.updated_at
                found = True
        return found


def _encode(histories: Mapping[str, History]) -> bytes:
    """`{"version": 1, "accounts": {"acct_...": {"codex": {"5h": [[1800000000, 42.5], ...]}}}}`."""
    accounts: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for account_id, history in histories.items():
        for (limit_id, name), points in history.items():
            rows = [[round(point.at), round(point.used, 2)] for point in points]
            accounts.setdefault(account_id, {}).setdefault(limit_id, {})[name] = rows
    return json.dumps({"version": VERSION, "accounts": accounts}, separators=(",", ":")).encode() + b"\n"


def _decode(data: bytes) -> dict[str, History]:
    """Raises ValueError for whatever is not as `_encode` writes it."""
    document = fields.as_object(loads(data))
    if document.get("version") != VERSION:
        raise ValueError("it was written by another version")
    accounts = fields.as_object(document.get("accounts"))
    return {account_id: _history(fields.as_object(limits)) for account_id, limits in accounts.items()}


def _history(limits: fields.Object) -> History:
    return {
        (limit_id, name): tuple(map(_point, fields.as_list(rows)))
        for limit_id, windows in limits.items()
        for name, rows in fields.as_object(windows).items()
    }


def _point(row: object) -> Point:
    at, used = fields.as_list(row)
    return Point(fields.as_number(at, "moment"), fields.as_number(used, "percent"))

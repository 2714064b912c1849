"""The snapshot cache, `quota.json`: all that the status shows, so that nothing else need be read or loaded for it.

It is a cache: whatever is wrong with it costs a few figures until the next answer, and is never an error.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from understudy.pool.account import Account, Health
from understudy.pool.pool import Pin, Pool, pin_of
from understudy.state import files
from understudy.state.errors import StateError
from understudy.wire.jsontext import loads
from understudy.wire.numbers import END_OF_TIME
from understudy.wire.quota import Credits, Snapshot, Source, Window, merge

VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """An account as the status knows it. Times in epoch seconds. `snapshot`: None until an answer brought figures."""

    id: str
    label: str
    plan: str
    enabled: bool
    health: Health
    health_reason: str
    blocked_until: float | None
    block_reason: str
    last_used_at: float | None
    snapshot: Snapshot | None = None
    pinned: str = ""
    """`hard` or `soft` where the user has pinned the account."""


class QuotaCache:
    """`quota.json` in the folder `home`. Blocking file work; may be used from several threads."""

    def __init__(self, home: Path) -> None:
        self.path = home / "quota.json"

    def read(self) -> tuple[Entry, ...] | None:
        """The accounts in the pool's order, or None where the cache is missing or, with a warning, unreadable."""
        try:
            content = files.read(self.path)
            return None if content is None else _decode(content.data)
        except (StateError, ValueError) as error:
            logger.warning("understudy: the figures in %s are left aside: %s", self.path, error)
            return None

    def record(
        self, snapshots: Iterable[tuple[str, Snapshot]], accounts: tuple[Account, ...], pin: Pin | None = None
    ) -> None:
        """Brings the cache up to date: `accounts` and `pin` are the pool's, `snapshots` what was learned since, by
        account id.

        An account that is not in the pool (any more) is not brought back by a late snapshot. Raises StateError where
        the cache cannot be written.
        """
        with files.locked(self.path):
            old = self.read()
            known = {entry.id: entry for entry in old or ()}
            entries = {account.id: _entry(account, known.get(account.id), pin) for account in accounts}
            for account_id, snapshot in snapshots:
                entry = entries.get(account_id)
                if entry is not None:
                    entries[account_id] = replace(entry, snapshot=merge(entry.snapshot, snapshot))
            new = tuple(entries.values())
            if new != old:
                files.write(self.path, _encode(new), durable=False)

    def sync(self, pool: Pool, snapshots: Iterable[tuple[str, Snapshot]] = ()) -> None:
        """As `record`, for whoever has done what matters and must not be told otherwise: trouble is logged."""
        try:
            self.record(snapshots, pool.accounts, pool.pin)
        except StateError as error:
            logger.warning("understudy: `understudy status` does not show this yet: %s", error)


def _entry(account: Account, known: Entry | None, pin: Pin | None) -> Entry:
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
    )


def _encode(entries: tuple[Entry, ...]) -> bytes:
    """`{"version": 1, "accounts": [{"id", ..., "snapshot": {"plan", "windows": [...], "credits", ...} | null}]}`."""
    accounts = [{**asdict(entry), "health": entry.health.value} for entry in entries]
    return json.dumps({"version": VERSION, "accounts": accounts}, indent=1).encode() + b"\n"


def _decode(data: bytes) -> tuple[Entry, ...]:
    """Raises ValueError for whatever is not as `_encode` writes it."""
    try:
        document = _object(loads(data))
    except ValueError:
        raise ValueError("they are not JSON as it is written here") from None
    if document.get("version") != VERSION:
        raise ValueError("it was written by another version")
    return tuple(_read_entry(_object(value)) for value in _list(document.get("accounts")))


def _read_entry(value: Mapping[str, object]) -> Entry:
    snapshot = value.get("snapshot")
    return Entry(
        id=_text(value, "id"),
        label=_text(value, "label"),
        plan=_text(value, "plan"),
        enabled=_flag(value, "enabled"),
        health=Health(_text(value, "health")),
        health_reason=_text(value, "health_reason"),
        blocked_until=_number_or_none(value, "blocked_until"),
        block_reason=_text(value, "block_reason"),
        last_used_at=_number_or_none(value, "last_used_at"),
        snapshot=None if snapshot is None else _read_snapshot(_object(snapshot)),
        pinned=_text(value, "pinned") if "pinned" in value else "",
    )


def _read_snapshot(value: Mapping[str, object]) -> Snapshot:
    credits = value.get("credits")
    return Snapshot(
        plan=_text(value, "plan"),
        windows=tuple(_read_window(_object(window)) for window in _list(value.get("windows"))),
        credits=None if credits is None else _read_credits(_object(credits)),
        updated_at=_number(value, "updated_at"),
        source=Source(_text(value, "source")),
    )


def _read_window(value: Mapping[str, object]) -> Window:
    minutes = _number_or_none(value, "window_minutes")
    return Window(
        name=_text(value, "name"),
        limit_id=_text(value, "limit_id"),
        used_percent=_number(value, "used_percent"),
        window_minutes=None if minutes is None else int(minutes),
        resets_at=_number_or_none(value, "resets_at"),
    )


def _read_credits(value: Mapping[str, object]) -> Credits:
    return Credits(_flag(value, "has_credits"), _flag(value, "unlimited"), _text(value, "balance"))


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise ValueError(f"expected text as {name}")
    return text


def _flag(value: Mapping[str, object], name: str) -> bool:
    flag = value.get(name)
    if not isinstance(flag, bool):
        raise ValueError(f"expected true or false as {name}")
    return flag


def _number(value: Mapping[str, object], name: str) -> float:
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < END_OF_TIME:
        raise ValueError(f"expected a plausible number as {name}")
    return number


def _number_or_none(value: Mapping[str, object], name: str) -> float | None:
    return None if value.get(name) is None else _number(value, name)

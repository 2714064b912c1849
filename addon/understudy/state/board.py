"""What the status shows, as values, and as the JSON of `quota.json`. A file of an earlier version still reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from understudy.pool.account import Block, Ground, Health, Lane
from understudy.pool.ledger import Figures, Ledger, share
from understudy.state import fields
from understudy.wire.jsontext import loads
from understudy.wire.quota import Credits, Snapshot, Source, Window

VERSION = 1


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
    blocks: tuple[Block, ...] = ()
    """All of them; that which `blocked_until` is of, too."""
    reserve_percent: float = 0.0
    lane: Lane = Lane.CODEX
    figures: Figures = field(default_factory=Figures)
    """What its answers have used, in the sessions that are remembered."""
    usage_failed_at: float | None = None
    """When the usage endpoint was last asked and gave no figures."""


@dataclass(frozen=True, slots=True)
class SessionLine:
    """What a session has used. `cached_share`: of its input, from 0 to 1; None where there was none."""

    session: str
    account: str
    requests: int
    cached_share: float | None
    moves: int
    moved_tokens: int


@dataclass(frozen=True, slots=True)
class Board:
    """All that the status shows. `upcoming`: what a new session's next request would use and why; empty: unknown."""

    entries: tuple[Entry, ...] = ()
    sessions: tuple[SessionLine, ...] = ()
    upcoming: str = ""


def session_line(session: str, label: str, ledger: Ledger) -> SessionLine:
    """The line of a session that the account `label` serves. `session`: its key, of which eight characters are kept."""
    total = sum(ledger.accounts.values(), Figures())
    return SessionLine(session[:8], label, total.requests, share(total), ledger.moves, ledger.moved_tokens)


def encode(board: Board) -> bytes:
    """`{"version": 1, "accounts": [{"id", ..., "snapshot": {"plan", "windows": [...], "credits", ...} | null}],
    "sessions": [...], "next": ""}`.
    """
    document = {
        "version": VERSION,
        "accounts": [{**asdict(entry), "health": entry.health.value} for entry in board.entries],
        "sessions": [asdict(line) for line in board.sessions],
        "next": board.upcoming,
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def decode(data: bytes) -> Board:
    """Raises ValueError for whatever is not as `encode` writes it, or wrote it."""
    try:
        document = fields.as_object(loads(data))
    except ValueError:
        raise ValueError("they are not JSON as it is written here") from None
    if document.get("version") != VERSION:
        raise ValueError("it was written by another version")
    return Board(
        entries=tuple(_entry(fields.as_object(value)) for value in fields.as_list(document.get("accounts"))),
        sessions=tuple(_session(fields.as_object(value)) for value in fields.as_list(document.get("sessions", []))),
        upcoming=fields.text(document, "next", ""),
    )


def _entry(value: Mapping[str, object]) -> Entry:
    snapshot = value.get("snapshot")
    return Entry(
        id=fields.text(value, "id"),
        label=fields.text(value, "label"),
        plan=fields.text(value, "plan"),
        enabled=fields.flag(value, "enabled"),
        health=Health(fields.text(value, "health")),
        health_reason=fields.text(value, "health_reason"),
        blocked_until=fields.number_or_none(value, "blocked_until"),
        block_reason=fields.text(value, "block_reason"),
        last_used_at=fields.number_or_none(value, "last_used_at"),
        snapshot=None if snapshot is None else _snapshot(fields.as_object(snapshot)),
        pinned=fields.text(value, "pinned", ""),
        blocks=tuple(_block(fields.as_object(block)) for block in fields.as_list(value.get("blocks", []))),
        reserve_percent=fields.number(value, "reserve_percent", 0.0),
        lane=Lane(fields.text(value, "lane", Lane.CODEX)),
        figures=_figures(fields.as_object(value.get("figures", {}))),
        usage_failed_at=fields.number_or_none(value, "usage_failed_at"),
    )


def _snapshot(value: Mapping[str, object]) -> Snapshot:
    credits = value.get("credits")
    return Snapshot(
        plan=fields.text(value, "plan"),
        windows=tuple(_window(fields.as_object(window)) for window in fields.as_list(value.get("windows"))),
        credits=None if credits is None else _credits(fields.as_object(credits)),
        updated_at=fields.number(value, "updated_at"),
        source=Source(fields.text(value, "source")),
        active_limit=fields.text(value, "active_limit", ""),
        reset_credits=fields.count_or_none(value, "reset_credits"),
    )


def _window(value: Mapping[str, object]) -> Window:
    return Window(
        name=fields.text(value, "name"),
        limit_id=fields.text(value, "limit_id"),
        used_percent=fields.number(value, "used_percent"),
        window_minutes=fields.count_or_none(value, "window_minutes"),
        resets_at=fields.number_or_none(value, "resets_at"),
    )


def _credits(value: Mapping[str, object]) -> Credits:
    return Credits(fields.flag(value, "has_credits"), fields.flag(value, "unlimited"), fields.text(value, "balance"))


def _block(value: Mapping[str, object]) -> Block:
    return Block(
        until=fields.number(value, "until"),
        reason=fields.text(value, "reason"),
        authoritative=fields.flag(value, "authoritative"),
        ground=Ground(fields.text(value, "ground")),
        model=fields.text(value, "model"),
        limit_id=fields.text(value, "limit_id"),
        since=fields.number(value, "since"),
        tried_at=fields.number_or_none(value, "tried_at"),
    )


def _figures(value: Mapping[str, object]) -> Figures:
    names = ("requests", "input_tokens", "cached_tokens")
    return Figures(*(int(fields.number(value, name, 0)) for name in names))


def _session(value: Mapping[str, object]) -> SessionLine:
    return SessionLine(
        session=fields.text(value, "session"),
        account=fields.text(value, "account"),
        requests=int(fields.number(value, "requests")),
        cached_share=fields.number_or_none(value, "cached_share"),
        moves=int(fields.number(value, "moves")),
        moved_tokens=int(fields.number(value, "moved_tokens")),
    )

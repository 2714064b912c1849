"""How much of an account's plan is used, read from whatever the backend says about it.

Each reader takes any value in any field and never raises: a field that makes no sense is as good as absent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from understudy.wire.numbers import number, read_reset
from understudy.wire.reply import Headers
from understudy.wire.text import safe_text

MAIN_LIMIT = "codex"
"""The limit id that ordinary use counts against."""

_MOST_WINDOWS = 24
_DAY = 24 * 60
_LONGEST_WINDOW = 366 * _DAY


class Source(StrEnum):
    """Where a snapshot comes from."""

    HEADERS = "headers"
    EVENT = "event"
    LIMIT = "limit"
    """The body of a 429."""
    USAGE = "usage"
    """The usage endpoint."""


@dataclass(frozen=True, slots=True)
class Window:
    """The use of one limit within one window of time.

    `name`: its length in words ("5h", "weekly"), which says more than its slot: a free plan has its week in the first.
    `limit_id`: what counts against it. `used_percent`: 0 to 100. `resets_at`: epoch seconds. None is: unknown.
    """

    name: str
    limit_id: str
    used_percent: float
    window_minutes: int | None
    resets_at: float | None


@dataclass(frozen=True, slots=True)
class Credits:
    """What was bought beyond the plan: with it an account goes on past 100 %. `balance`: in the backend's words."""

    has_credits: bool
    unlimited: bool
    balance: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of an account's use. `plan`: empty where unknown. `updated_at`: epoch seconds."""

    plan: str
    windows: tuple[Window, ...]
    credits: Credits | None
    updated_at: float
    source: Source


def from_headers(headers: Headers, now: float) -> Snapshot | None:
    """From the head of any answer: `x-codex-primary-used-percent`, ..., one family of fields for each limit id."""
    fields = {name.lower(): value for name, value in reversed(headers)}
    slots: dict[tuple[str, str], dict[str, object]] = {}
    for name, value in fields.items():
        if found := _SLOT_FIELD.fullmatch(name):
            limit, slot, key = found.groups()
            slots.setdefault((limit.replace("-", "_"), slot), {})[key.replace("-", "_")] = value
    windows = (_window(limit, slot, slots[limit, slot], now) for limit, slot in sorted(slots, key=_main_limit_first))
    credits = _credits({name: fields.get(f"x-codex-credits-{name.replace('_', '-')}") for name in _CREDIT_FIELDS})
    return _snapshot(fields.get("x-codex-plan-type"), windows, credits, now, Source.HEADERS)


def from_event(value: object, now: float) -> Snapshot | None:
    """From a `codex.rate_limits` event: `{"plan_type", "rate_limits": {"primary": {...}, ...}, "credits": {...}}`."""
    if not isinstance(value, dict):
        return None
    windows = [
        *_windows_of(_limit_id(value.get("metered_limit_name")) or MAIN_LIMIT, value.get("rate_limits"), now),
        *_windows_of("code_review", value.get("code_review_rate_limits"), now),
    ]
    return _snapshot(value.get("plan_type"), windows, _credits(value.get("credits")), now, Source.EVENT)


def from_usage(value: object, now: float) -> Snapshot | None:
    """From the answer of `GET wham/usage`: `{"plan_type", "rate_limit": {"primary_window": {"used_percent",
    "limit_window_seconds", "reset_at"}, ...}, "additional_rate_limits": [{"metered_feature", "rate_limit"}],
    "credits"}`.
    """
    if not isinstance(value, dict):
        return None
    windows = [
        *_usage_windows(MAIN_LIMIT, value.get("rate_limit"), now),
        *_usage_windows("code_review", value.get("code_review_rate_limit"), now),
    ]
    others = value.get("additional_rate_limits")
    for other in others[:_MOST_WINDOWS] if isinstance(others, list) else ():
        if isinstance(other, dict) and (limit := _limit_id(other.get("metered_feature"))):
            windows += _usage_windows(limit, other.get("rate_limit"), now)
    return _snapshot(value.get("plan_type"), windows, _credits(value.get("credits")), now, Source.USAGE)


def from_usage_limit(value: object, now: float) -> Snapshot | None:
    """From a 429's body, `{"error": {"type": "usage_limit_reached", "plan_type", "resets_at"}}`, or its error alone.

    It does not say which window is used up, so the window it gives is called "limit".
    """
    error = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(error, dict) or "usage_limit_reached" not in (error.get("type"), error.get("code")):
        return None
    resets_at = read_reset(error.get("resets_at"), error.get("resets_in_seconds"), now)
    window = Window("limit", MAIN_LIMIT, 100.0, None, resets_at)
    return _snapshot(error.get("plan_type"), [window], None, now, Source.LIMIT)


def merge(old: Snapshot | None, new: Snapshot) -> Snapshot:
    """What is known after `new`: for each limit it tells of, its windows and no older ones; the rest stays."""
    if old is None:
        return new
    if old.updated_at > new.updated_at:
        old, new = new, old
    # The body of a 429 knows one window of many, so it takes none away but its own like.
    told = {(w.limit_id, w.name) for w in new.windows}
    limits = set() if new.source is Source.LIMIT else {w.limit_id for w in new.windows}
    kept = tuple(w for w in old.windows if w.limit_id not in limits and (w.limit_id, w.name) not in told)
    return replace(new, plan=new.plan or old.plan, windows=(*new.windows, *kept), credits=new.credits or old.credits)


def full_windows(snapshot: Snapshot, limit_id: str = MAIN_LIMIT) -> tuple[Window, ...]:
    """The windows of a limit that are used up; none where credits carry the account past them."""
    credits = snapshot.credits
    if credits is not None and (credits.unlimited or credits.has_credits):
        return ()
    return tuple(w for w in snapshot.windows if w.limit_id == limit_id and w.used_percent >= 100.0)


def exhausted(snapshot: Snapshot, now: float, limit_id: str = MAIN_LIMIT) -> float | None:
    """When the last of the used-up windows resets, in epoch seconds; None where there is none or nothing says when."""
    resets = [w.resets_at for w in full_windows(snapshot, limit_id) if w.resets_at is not None and w.resets_at > now]
    return max(resets, default=None)


_SLOTS = ("primary", "secondary", "tertiary")
_SLOT_FIELD = re.compile(
    rf"x-([a-z0-9_-]{{1,64}})-({'|'.join(_SLOTS)})-(used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_LIMIT_ID = re.compile(r"[a-z0-9_-]{1,64}")
_CREDIT_FIELDS = ("has_credits", "unlimited", "balance")
_NAMES = {300: "5h", 7 * _DAY: "weekly", 30 * _DAY: "monthly"}


def _main_limit_first(key: tuple[str, str]) -> tuple[bool, str, int]:
    limit, slot = key
    return limit != MAIN_LIMIT, limit, _SLOTS.index(slot)


def _windows_of(limit_id: str, slots: object, now: float) -> list[Window | None]:
    if not isinstance(slots, dict):
        return []
    return [_window(limit_id, slot, slots[slot], now) for slot in _SLOTS if isinstance(slots.get(slot), dict)]


def _usage_windows(limit_id: str, limit: object, now: float) -> list[Window | None]:
    if not isinstance(limit, dict):
        return []
    return _windows_of(limit_id, {slot: _in_minutes(limit.get(f"{slot}_window")) for slot in _SLOTS}, now)


def _in_minutes(window: object) -> object:
    """A window of the usage endpoint, which counts its length in seconds, as the others have it. Codex rounds up."""
    if not isinstance(window, dict):
        return None
    seconds = number(window.get("limit_window_seconds"))
    return {**window, "window_minutes": None if seconds is None else ceil(seconds / 60)}


def _limit_id(value: object) -> str | None:
    """A limit's id as it is in the names of header fields, or None where it is none."""
    named = value.lower() if isinstance(value, str) else ""
    return named.replace("-", "_") if _LIMIT_ID.fullmatch(named) else None


def _window(limit_id: str, slot: str, fields: Mapping[str, object], now: float) -> Window | None:
    """A window, or None where there is none: like Codex we want a used percent and one value that is not zero."""
    used = number(fields.get("used_percent"))
    if used is None:
        return None
    minutes = _minutes(fields.get("window_minutes"))
    reset_at = fields.get("reset_at")
    after = fields.get("reset_after_seconds")
    if not used and minutes is None and not number(reset_at):
        return None
    monthly = minutes is None or minutes >= 30 * _DAY
    resets_at = read_reset(reset_at, after, now, days=32 if monthly else 8)
    return Window(_name(minutes, slot), limit_id, min(used, 100.0), minutes, resets_at)


def _minutes(value: object) -> int | None:
    minutes = int(number(value) or 0)
    return minutes if 0 < minutes <= _LONGEST_WINDOW else None


def _name(minutes: int | None, slot: str) -> str:
    if minutes is None:
        return slot
    if minutes in _NAMES:
        return _NAMES[minutes]
    if minutes % _DAY == 0:
        return f"{minutes // _DAY}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _credits(value: object) -> Credits | None:
    if not isinstance(value, dict):
        return None
    has, unlimited = _flag(value.get("has_credits")), _flag(value.get("unlimited"))
    if has is None and unlimited is None:
        return None
    balance = value.get("balance")
    shown = safe_text(balance) if isinstance(balance, str) else ""
    if not shown and (amount := number(balance)) is not None:
        shown = f"{amount:g}"
    return Credits(bool(has), bool(unlimited), shown)


def _flag(value: object) -> bool | None:
    """A truth value; the header fields have Python's spelling, or 1 and 0."""
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(value.lower()) if isinstance(value, str) else None


def _snapshot(
    plan: object, windows: Iterable[Window | None], credits: Credits | None, now: float, source: Source
) -> Snapshot | None:
    present = tuple(w for w in windows if w is not None)[:_MOST_WINDOWS]
    named = safe_text(plan) if isinstance(plan, str) else ""
    if not present and credits is None and not named:
        return None
    return Snapshot(named, present, credits, now, source)

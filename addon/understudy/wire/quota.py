"""How much of an account's plan is used, read from whatever the backend says about it.

Each reader takes any value in any field and never raises: a field that makes no sense is as good as absent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import ceil

from understudy.wire.numbers import number, read_reset, read_time
from understudy.wire.reply import Headers
from understudy.wire.text import safe_text

MAIN_LIMIT = "codex"
"""The limit id that ordinary use counts against."""
LIMIT_WINDOW = "limit"
"""The name of the window that the body of a 429 tells of: used up, and nobody knows which one it is."""

_MOST_WINDOWS = 24
_MOST_RESETS = 1000
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

    def has_reset(self, now: float) -> bool:
        """Whether the figure is of the time before its reset. `now`: epoch seconds."""
        return self.resets_at is not None and self.resets_at <= now

    def used_at(self, now: float) -> float:
        """Percent used at `now` (epoch seconds): after its reset a window is fresh, until something else is seen."""
        return 0.0 if self.has_reset(now) else self.used_percent


@dataclass(frozen=True, slots=True)
class Credits:
    """What was bought beyond the plan: with it an account goes on past 100 %. `balance`: in the backend's words."""

    has_credits: bool
    unlimited: bool
    balance: str

    @property
    def carry_on(self) -> bool:
        """Whether they do so."""
        return self.has_credits or self.unlimited


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of an account's use. `plan`: empty where unknown. `updated_at`: epoch seconds."""

    plan: str
    windows: tuple[Window, ...]
    credits: Credits | None
    updated_at: float
    source: Source
    active_limit: str = ""
    """The id of the limit that the answer's model counts against; empty where the answer does not say."""
    reset_credits: int | None = None
    """How many early resets the account may still ask for; None: unknown. Only the usage endpoint tells."""

    @property
    def goes_on(self) -> bool:
        """Whether credits carry the account past its limits."""
        return self.credits is not None and self.credits.carry_on


def limit_words(names: Iterable[str]) -> str:
    """Windows by their names, in words: `5h and weekly limit`; `limit` where nobody knows which one it is."""
    known = [name for name in names if name != LIMIT_WINDOW]
    return f"{' and '.join(known)} limit".lstrip()


def from_headers(headers: Headers, now: float) -> Snapshot | None:
    """From the head of any answer: `x-codex-primary-used-percent`, ..., one family of fields for each limit id."""
    fields = {name.lower(): value for name, value in reversed(headers)}
    slots: dict[tuple[str, str], dict[str, object]] = {}
    for name, value in fields.items():
        if found := _SLOT_FIELD.fullmatch(name):
            limit, slot, key = found.groups()
            slots.setdefault((_one_name(limit), slot), {})[key.replace("-", "_")] = value
    there = _read_date(fields.get("date", ""))
    windows = (
        _window(limit, slot, _by_its_own_clock(slots[limit, slot], there, now), now)
        for limit, slot in sorted(slots, key=_main_limit_first)
    )
    credits = _credits({name: fields.get(f"x-codex-credits-{name.replace('_', '-')}") for name in _CREDIT_FIELDS})
    snapshot = _snapshot(fields.get("x-codex-plan-type"), windows, credits, now, Source.HEADERS)
    return snapshot and replace(snapshot, active_limit=active_limit(headers))


def active_limit(headers: Headers) -> str:
    """The id of the limit that the answer's model counts against (`x-codex-active-limit`); empty where it is not said.

    `premium` is what paid plans are told of the main limit: there is no family of fields of that name beside it. If
    there ever is one, it is a limit of its own.
    """
    fields = {name.lower(): value for name, value in reversed(headers)}
    named = _limit_id(fields.get("x-codex-active-limit")) or ""
    return MAIN_LIMIT if named == "premium" and "x-premium-primary-used-percent" not in fields else named


def from_event(value: object, now: float) -> Snapshot | None:
    """From a `codex.rate_limits` event: `{"plan_type", "rate_limits": {"primary": {...}, ...}, "credits": {...}}`."""
    if not isinstance(value, dict):
        return None
    named = _limit_id(value.get("metered_limit_name")) or ""
    limit = MAIN_LIMIT if named == "premium" else named
    windows = [
        *_windows_of(limit or MAIN_LIMIT, value.get("rate_limits"), now),
        *_windows_of("code_review", value.get("code_review_rate_limits"), now),
    ]
    found = _snapshot(value.get("plan_type"), windows, _credits(value.get("credits")), now, Source.EVENT)
    return found and replace(found, active_limit=limit)


def from_usage(value: object, now: float) -> Snapshot | None:
    """From the answer of `GET wham/usage`: `{"plan_type", "rate_limit": {"primary_window": {"used_percent",
    "limit_window_seconds", "reset_at"}, ...}, "additional_rate_limits": [{"metered_feature", "rate_limit"}],
    "credits", "rate_limit_reset_credits": {"available_count"}}`.
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
    found = _snapshot(value.get("plan_type"), windows, _credits(value.get("credits")), now, Source.USAGE)
    resets = value.get("rate_limit_reset_credits")
    count = number(resets.get("available_count")) if isinstance(resets, dict) else None
    return found and replace(found, reset_credits=None if count is None or count > _MOST_RESETS else int(count))


def from_usage_limit(value: object, now: float, limit_id: str = "") -> Snapshot | None:
    """From a 429's body, `{"error": {"type": "usage_limit_reached", "plan_type", "resets_at"}}`, or its error alone.

    It does not say which window is used up, so the window it gives is called "limit". `limit_id`: whose, as the head
    of the same answer says (`active_limit`); else it is taken for the main one's.
    """
    error = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(error, dict) or "usage_limit_reached" not in (error.get("type"), error.get("code")):
        return None
    resets_at = read_reset(error.get("resets_at"), error.get("resets_in_seconds"), now)
    window = Window(LIMIT_WINDOW, limit_id or MAIN_LIMIT, 100.0, None, resets_at)
    found = _snapshot(error.get("plan_type"), [window], None, now, Source.LIMIT)
    return found and replace(found, active_limit=limit_id)


def merge(old: Snapshot | None, new: Snapshot) -> Snapshot:
    """What is known after `new`: for each limit it tells of, its windows and no older ones; the rest stays."""
    if old is None:
        return new
    if old.updated_at > new.updated_at:
        old, new = new, old
    new = replace(
        new,
        plan=new.plan or old.plan,
        active_limit=new.active_limit or old.active_limit,
        reset_credits=old.reset_credits if new.reset_credits is None else new.reset_credits,
    )
    if not new.windows and new.credits is None:
        # It tells of no figures: those that there are stay as old as they are.
        return replace(new, windows=old.windows, credits=old.credits, updated_at=old.updated_at, source=old.source)
    # The body of a 429 knows one window of many, so it takes none away but its own like.
    told = {(w.limit_id, w.name) for w in new.windows}
    limits = set() if new.source is Source.LIMIT else {w.limit_id for w in new.windows}
    kept = tuple(w for w in old.windows if w.limit_id not in limits and (w.limit_id, w.name) not in told)
    known = {(w.limit_id, w.name): w for w in old.windows}
    fresh = (_steady(known.get((w.limit_id, w.name)), w, new) for w in new.windows)
    return replace(new, windows=(*fresh, *kept), credits=new.credits or old.credits)


def _steady(known: Window | None, window: Window, said: Snapshot) -> Window:
    """`window` as `said` it is, without what is no news: some sources round, and an event has no reset but a moment of
    the backend's clock, where the head of an answer says how long it takes.
    """
    if known is None or known.resets_at is None or known.has_reset(said.updated_at):
        return window
    if said.source is Source.EVENT and window.used_percent >= known.used_percent:
        window = replace(window, resets_at=known.resets_at)
    moved = abs((window.resets_at or 0.0) - known.resets_at)
    fell = known.used_percent - window.used_percent
    return replace(window, used_percent=known.used_percent) if 0 < fell < 1 and moved <= _SAME_RESET else window


def full_windows(snapshot: Snapshot, now: float, limit_id: str = MAIN_LIMIT) -> tuple[Window, ...]:
    """The windows of a limit that are used up at `now` (epoch seconds); none where credits carry on past them."""
    if snapshot.goes_on:
        return ()
    return tuple(w for w in snapshot.windows if w.limit_id == limit_id and w.used_at(now) >= 100.0)


def exhausted(snapshot: Snapshot, now: float, limit_id: str = MAIN_LIMIT) -> float | None:
    """When the last of the used-up windows resets, in epoch seconds; None where there is none or nothing says when."""
    full = full_windows(snapshot, now, limit_id)
    return max((w.resets_at for w in full if w.resets_at is not None), default=None)


_SLOTS = ("primary", "secondary", "tertiary")
_SLOT_FIELD = re.compile(
    rf"x-([a-z0-9_-]{{1,64}})-({'|'.join(_SLOTS)})-(used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_LIMIT_ID = re.compile(r"[a-z0-9_-]{1,64}")
_CREDIT_FIELDS = ("has_credits", "unlimited", "balance")
_NAMES = ((300, "5h"), (7 * _DAY, "weekly"), (30 * _DAY, "monthly"))
_ABOUT = 0.05
"""How far a length may be off the one that it is named for: 10079 minutes are a week, and so are 31 days a month."""
_SAME_RESET = 60.0
"""Seconds by which two statements of one reset differ at most."""
_SKEW = 120.0
"""Seconds between the backend's clock and ours that may be the time an answer takes."""


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
    return _one_name(named) if _LIMIT_ID.fullmatch(named) else None


def _one_name(limit: str) -> str:
    """Some limits go by two names: the fields of one are `x-code-review-*` or `x-codex-code-review-*`."""
    named = limit.replace("-", "_")
    return "code_review" if named == "codex_code_review" else named


def _by_its_own_clock(fields: Mapping[str, object], there: float | None, now: float) -> Mapping[str, object]:
    """The fields of a window with the time that is left until its reset, where only the moment is told and one of the
    clocks is wrong. `there`: the Date of the answer.
    """
    reset_at = read_time(fields.get("reset_at"))
    if there is None or reset_at is None or abs(now - there) <= _SKEW or number(fields.get("reset_after_seconds")):
        return fields
    return {**fields, "reset_after_seconds": max(0.0, reset_at - there)}


def _read_date(value: str) -> float | None:
    """The Date of an answer (RFC 9110, 6.6.1) in epoch seconds."""
    try:
        return parsedate_to_datetime(value[:40]).timestamp() if value.endswith("GMT") else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


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
    if named := next((name for length, name in _NAMES if abs(minutes - length) <= length * _ABOUT), None):
        return named
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

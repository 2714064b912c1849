"""The quota of several accounts, told as one: to hosts that would take one account's figures for the user's.

Codex shows the figures of the answer's account and warns where little is left of it, though the next account is fresh.
So where accounts share the work, the main limit's windows are told as they are in the whole pool: the mean of what is
used, and the first reset of a window that is used at all, for that is when the figure falls. Other limits, credits and
the plan stay those of the account that has answered.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from understudy.wire.jsontext import dump_object, members
from understudy.wire.quota import MAIN_LIMIT, Window
from understudy.wire.reply import Headers, header
from understudy.wire.sse import Event


@dataclass(frozen=True, slots=True)
class Pooled:
    """A window of the pool. `resets_at`: epoch seconds, None where nobody has used any of it."""

    used_percent: float
    resets_at: float | None


Figures = Mapping[int, Pooled]
"""By a window's length in minutes, those that more than one account has."""

_SLOTS = ("primary", "secondary", "tertiary")
_REACHED = "x-codex-rate-limit-reached-type"


def pooled(accounts: Iterable[Iterable[Window]], now: float) -> Figures:
    """The windows of the main limit that several accounts have. `now`: epoch seconds."""
    by_length: dict[int, list[Window]] = {}
    for windows in accounts:
        own = {w.window_minutes: w for w in windows if w.limit_id == MAIN_LIMIT and w.window_minutes}
        for minutes, window in own.items():
            by_length.setdefault(minutes or 0, []).append(window)
    return {minutes: _pooled(windows, now) for minutes, windows in by_length.items() if len(windows) > 1}


def in_headers(headers: Headers, figures: Figures, now: float) -> Headers:
    """The head of an answer with the pool's figures in the place of its account's."""
    changed: dict[str, str] = {}
    for slot in _SLOTS:
        told = figures.get(_minutes(header(headers, f"x-codex-{slot}-window-minutes")))
        if told is not None:
            changed |= {f"x-codex-{slot}-{name}": value for name, value in _fields(told, now).items()}
    if not changed:
        return headers
    kept = ((name, value) for name, value in headers if name.lower() != _REACHED)
    return tuple((name, changed.get(name.lower(), value)) for name, value in kept)


def in_event(event: Event, figures: Figures, now: float) -> bytes:
    """A `codex.rate_limits` event with the pool's figures in the place of its account's; as it came if it is odd."""
    try:
        given = members(event.data)
        limits = members(given["rate_limits"].raw)
    except (ValueError, KeyError):
        return event.raw
    changed: dict[str, str] = {}
    for slot in _SLOTS:
        window = limits[slot].value if slot in limits else None
        told = figures.get(_minutes(window.get("window_minutes"))) if isinstance(window, dict) else None
        if isinstance(window, dict) and told is not None:
            own = {name: value for name, value in _values(told, now).items() if name in window}
            changed[slot] = json.dumps(window | own)
    if not changed or given.get("metered_limit_name"):
        return event.raw
    raws = {name: part.raw for name, part in limits.items()} | changed | {"limit_reached": "false", "allowed": "true"}
    told_limits = dump_object({name: raw for name, raw in raws.items() if name in limits})
    data = dump_object({name: part.raw for name, part in given.items()} | {"rate_limits": told_limits})
    return f"event: {event.type}\ndata: {data}\n\n".encode()


def _pooled(windows: list[Window], now: float) -> Pooled:
    used = [(window.used_at(now), window.resets_at) for window in windows]
    resets = [at for percent, at in used if percent > 0 and at is not None]
    return Pooled(fmean(percent for percent, _ in used), min(resets, default=None))


def _values(told: Pooled, now: float) -> dict[str, float]:
    values: dict[str, float] = {"used_percent": round(told.used_percent, 1)}
    if told.resets_at is not None:
        left = max(0, ceil(told.resets_at - now))
        values |= {"reset_at": ceil(told.resets_at), "reset_after_seconds": left}
    return values


def _fields(told: Pooled, now: float) -> dict[str, str]:
    values = _values(told, now).items()
    return {name.replace("_", "-"): str(int(value) if value == int(value) else value) for name, value in values}


def _minutes(value: object) -> int:
    """A window's length; 0 for what is none."""
    try:
        return int(value) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return 0

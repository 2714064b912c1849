"""How fast windows fill: the points that are kept of each, and the pace that they show."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from understudy.wire.quota import LIMIT_WINDOW, Snapshot

HOUR = 3600.0
EVERY = 300.0
"""Seconds between two points of one window."""
LONGEST = 2 * HOUR
"""Seconds for which a point is kept: a pace is that of the last hour."""
SHORTEST = 900.0
"""Seconds that a pace is taken over at least: two answers a minute apart say little of the hour."""


class Point(NamedTuple):
    """How full a window was. `at`: epoch seconds; `used`: percent."""

    at: float
    used: float


History = Mapping[tuple[str, str], tuple[Point, ...]]
"""The points of an account's windows, the oldest first, by limit id and name of the window."""


def noted(history: History, snapshot: Snapshot) -> History:
    """`history` with the points that `snapshot` adds to it; the same value where it adds none."""
    at = snapshot.updated_at
    added = {
        (window.limit_id, window.name): Point(at, window.used_percent)
        for window in snapshot.windows
        if window.name != LIMIT_WINDOW and _is_due(history.get((window.limit_id, window.name), ()), at)
    }
    if not added:
        return history
    grown = dict(history)
    for key, point in added.items():
        grown[key] = (*(old for old in history.get(key, ()) if old.at > at - LONGEST), point)
    return grown


def per_hour(points: Sequence[Point], now: float) -> float | None:
    """Percent per hour at which the window has filled in the hour before `now` (epoch seconds); None where nothing is
    known of it. A reset takes nothing away from that.

    Where the use began within the hour, the pace is that since it began.
    """
    late = [point for point in points if now - HOUR <= point.at <= now]
    if not points or not late:
        return 0.0 if points else None
    rise = sum(max(0.0, after.used - before.used) for before, after in pairwise(late))
    return rise * HOUR / max(now - late[0].at, SHORTEST)


def _is_due(points: Sequence[Point], at: float) -> bool:
    return not points or at - points[-1].at >= EVERY

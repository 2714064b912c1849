"""When to tell the user that little is left: once for each threshold that a window falls to."""

from dataclasses import dataclass

from understudy.wire.quota import LIMIT_WINDOW, MAIN_LIMIT, Snapshot, Window
from understudy.wire.text import clock_time

THRESHOLDS = (0.0, 2.5, 5.0, 10.0, 20.0, 25.0)
"""Percent left, the lowest first."""
AT_FIRST_SIGHT = 10.0
"""Percent left from which on a window is worth a word that nothing was known of: whoever starts the proxy wants to know
what is about to end, and not that a quarter of a week is left.
"""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A window has fallen to a threshold. `left`: percent, as it is now."""

    window: Window
    threshold: float
    left: float

    @property
    def code(self) -> str:
        """For machines: `quota_5h_remaining_below_10pct`, `quota_limit_exhausted_weekly`."""
        name = self.window.name
        if self.window.limit_id != MAIN_LIMIT:
            name = f"{self.window.limit_id}_{name}"
        return f"quota_{name}_remaining_below_{self.threshold:g}pct" if self.left else f"quota_limit_exhausted_{name}"

    def words(self, label: str, now: float) -> str:
        """`work: 10 % of its 5h limit left, resets 14:05`. `now`: epoch seconds."""
        window = self.window
        limit = f"{window.name} limit"
        if window.limit_id != MAIN_LIMIT:
            limit += f" of {window.limit_id}"
        said = f"{self.left:.3g} % of its {limit} left" if self.left else f"its {limit} is used up"
        resets = "" if window.resets_at is None else f", resets {clock_time(window.resets_at, now)}"
        return f"{label}: {said}{resets}"


def crossings(before: Snapshot | None, after: Snapshot) -> tuple[Crossing, ...]:
    """What `after` is the first to show, `before` being all that was known until then: for each window the lowest
    threshold that it has fallen to. A window that was reset in between can fall to all of them anew.
    """
    known = {(w.limit_id, w.name): 100.0 - w.used_at(after.updated_at) for w in before.windows} if before else {}
    found = (_crossing(w, known.get((w.limit_id, w.name)), after.updated_at) for w in after.windows)
    return tuple(crossing for crossing in found if crossing is not None)


def _crossing(window: Window, before: float | None, at: float) -> Crossing | None:
    left = 100.0 - window.used_at(at)
    reached = next((threshold for threshold in THRESHOLDS if left <= threshold), None)
    # A 429 alone is told of as such, and does not know which window it means.
    if reached is None or window.name == LIMIT_WINDOW:
        return None
    is_news = left <= AT_FIRST_SIGHT if before is None else before > reached
    return Crossing(window, reached, left) if is_news else None

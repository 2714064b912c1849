"""An account as the choice sees it: the login, what is known of its use, and how it has done of late."""

from dataclasses import dataclass

from understudy.pool.account import Account
from understudy.pool.vitals import FRESH, Vitals
from understudy.wire.quota import MAIN_LIMIT, Snapshot, Window

UNTRUSTED = 2 * 3600.0
"""Seconds for which a figure counts whose window does not say when it resets."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything about one account that the choice goes by."""

    account: Account
    snapshot: Snapshot | None = None
    vitals: Vitals = FRESH
    claims: int = 0
    """Requests that other processes have running on it."""
    probing: bool = False
    """A request is out to see whether it works again after failures."""
    apart: frozenset[str] = frozenset()
    """Models that count against another limit than the main one, as answers have shown."""

    def windows(self, now: float) -> tuple[Window, ...]:
        """The windows of the main limit whose figures still count: one that has been reset by `now` is fresh again."""
        snapshot = self.snapshot
        windows = () if snapshot is None else snapshot.windows
        return tuple(w for w in windows if snapshot is not None and _counts(w, snapshot.updated_at, now))

    def left(self, now: float) -> float:
        """Percent left of the main limit; 100 where nothing is known, and where credits carry on past the limit."""
        if self.snapshot is not None and self.snapshot.goes_on:
            return 100.0
        return 100.0 - max((window.used_percent for window in self.windows(now)), default=0.0)


def _counts(window: Window, seen_at: float, now: float) -> bool:
    is_void = now >= seen_at + UNTRUSTED if window.resets_at is None else window.has_reset(now)
    return window.limit_id == MAIN_LIMIT and not is_void

"""An account's quota windows, which move with every answer, in the three forms the backend shows them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.sandbox.scenario import Credits, Window

Pairs = list[tuple[str, str]]
SLOTS = ("primary", "secondary", "tertiary")


@dataclass(frozen=True, slots=True)
class Gauge:
    """One window: how full it is and when it empties. `resets_at`: epoch seconds."""

    minutes: int
    used: float
    resets_at: int
    cost: float

    def at(self, now: float) -> "Gauge":
        """The window at `now`: emptied, and begun again, as often as its reset has passed."""
        if now < self.resets_at:
            return self
        length = self.minutes * 60
        return replace(self, used=0.0, resets_at=self.resets_at + length * (int((now - self.resets_at) // length) + 1))


@dataclass(frozen=True, slots=True)
class Quota:
    """The plan, its windows and credits."""

    plan: str
    gauges: tuple[Gauge, ...]
    credits: Credits

    def at(self, now: float) -> "Quota":
        """The quota at `now`."""
        return replace(self, gauges=tuple(gauge.at(now) for gauge in self.gauges))

    def spent(self) -> "Quota":
        """The quota after one more answer."""
        return replace(self, gauges=tuple(replace(g, used=min(100.0, g.used + g.cost)) for g in self.gauges))

    def exhausted(self, index: int, resets_at: int) -> "Quota":
        """The quota with one window used up until `resets_at`. An index beyond the windows changes nothing."""
        gauges = [replace(g, used=100.0, resets_at=resets_at) if i == index else g for i, g in enumerate(self.gauges)]
        return replace(self, gauges=tuple(gauges))


def open_quota(plan: str, windows: Sequence[Window], credits: Credits, now: float) -> Quota:
    """The quota as the scenario starts it."""
    gauges = [
        Gauge(w.minutes, w.used, math.ceil(now + (w.minutes * 30 if w.resets_in is None else w.resets_in)), w.cost)
        for w in windows
    ]
    return Quota(plan, tuple(gauges), credits)


def quota_headers(quota: Quota, now: float) -> Pairs:
    """The `x-codex-*` header fields that every answer carries, refusals too."""
    fields: Pairs = [("x-codex-active-limit", "codex"), ("x-codex-plan-type", quota.plan)]
    for slot, gauge in zip(SLOTS, quota.gauges, strict=False):
        fields += [
            (f"x-codex-{slot}-used-percent", _percent(gauge.used)),
            (f"x-codex-{slot}-window-minutes", str(gauge.minutes)),
            (f"x-codex-{slot}-reset-at", str(gauge.resets_at)),
            (f"x-codex-{slot}-reset-after-seconds", str(_left(gauge, now))),
        ]
    fields += [
        ("x-codex-credits-has-credits", str(quota.credits.has_credits)),
        ("x-codex-credits-unlimited", str(quota.credits.unlimited)),
        ("x-codex-credits-balance", quota.credits.balance),
    ]
    return fields


def quota_event(quota: Quota) -> dict[str, object]:
    """The vendor event `codex.rate_limits`."""
    limits: dict[str, object] = {"allowed": True, "limit_reached": any(g.used >= 100 for g in quota.gauges)}
    for slot, gauge in zip(SLOTS, quota.gauges, strict=False):
        limits[slot] = {"used_percent": gauge.used, "window_minutes": gauge.minutes, "reset_at": gauge.resets_at}
    return {
        "type": "codex.rate_limits",
        "plan_type": quota.plan,
        "rate_limits": limits,
        "credits": _credits(quota.credits),
    }


def usage(quota: Quota, account_id: str, user_id: str, now: float) -> dict[str, object]:
    """The body of `GET wham/usage`: window lengths in seconds there."""
    windows = [
        {
            "used_percent": int(gauge.used),
            "limit_window_seconds": gauge.minutes * 60,
            "reset_after_seconds": _left(gauge, now),
            "reset_at": gauge.resets_at,
        }
        for gauge in quota.gauges
    ]
    reached = any(gauge.used >= 100 for gauge in quota.gauges)
    limit: dict[str, object] = {"allowed": not reached, "limit_reached": reached}
    limit |= {f"{slot}_window": windows[i] if i < len(windows) else None for i, slot in enumerate(SLOTS[:2])}
    return {
        "plan_type": quota.plan,
        "user_id": user_id,
        "account_id": account_id,
        "rate_limit": limit,
        "code_review_rate_limit": None,
        "additional_rate_limits": None,
        "credits": _credits(quota.credits),
        "rate_limit_reached_type": {"type": "rate_limit_reached"} if reached else None,
        "rate_limit_reset_credits": {"available_count": 0},
    }


def _credits(credits: Credits) -> dict[str, object]:
    return {"has_credits": credits.has_credits, "unlimited": credits.unlimited, "balance": credits.balance or None}


def _left(gauge: Gauge, now: float) -> int:
    return max(0, gauge.resets_at - math.ceil(now))


def _percent(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

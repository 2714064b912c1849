"""The three forms in which the backend shows an account's limits: header fields, an event, the usage endpoint."""

import math

from understudy.sandbox.quota import Gauge, Meter, Quota
from understudy.sandbox.scenario import Credits

Pairs = list[tuple[str, str]]
SLOTS = ("primary", "secondary", "tertiary")


def quota_headers(quota: Quota, model: str, now: float) -> Pairs:
    """The `x-codex-*` header fields that every answer carries, refusals too: a family of them for each limit.

    None where there are no limits at all.
    """
    if not quota.meters:
        return []
    fields: Pairs = [("x-codex-active-limit", quota.meter(model).limit_id), ("x-codex-plan-type", quota.plan)]
    for meter in quota.meters:
        fields += _family(meter, now)
    fields += [
        ("x-codex-credits-has-credits", str(quota.credits.has_credits)),
        ("x-codex-credits-unlimited", str(quota.credits.unlimited)),
        ("x-codex-credits-balance", quota.credits.balance),
    ]
    return fields


def quota_event(quota: Quota, model: str) -> dict[str, object]:
    """The vendor event `codex.rate_limits`, about the limit that the model counts against."""
    meter = quota.meter(model)
    limits: dict[str, object] = {"allowed": True, "limit_reached": meter.used_up is not None}
    for slot, gauge in zip(SLOTS, meter.gauges, strict=False):
        limits[slot] = {"used_percent": gauge.used, "window_minutes": gauge.minutes, "reset_at": gauge.resets_at}
    event = {"type": "codex.rate_limits", "plan_type": quota.plan, "rate_limits": limits}
    if meter is not quota.main:
        event |= {"metered_limit_name": meter.limit_id, "limit_name": meter.name}
    return {**event, "credits": _credits(quota.credits)}


def usage(quota: Quota, account_id: str, user_id: str, reset_credits: int, now: float) -> dict[str, object]:
    """The body of `GET wham/usage`: window lengths in seconds there."""
    main, *others = quota.meters
    more = [
        {"limit_name": meter.name, "metered_feature": meter.limit_id, "rate_limit": _rate_limit(meter, now)}
        for meter in others
    ]
    return {
        "plan_type": quota.plan,
        "user_id": user_id,
        "account_id": account_id,
        "rate_limit": _rate_limit(main, now),
        "code_review_rate_limit": None,
        "additional_rate_limits": more or None,
        "credits": _credits(quota.credits),
        "rate_limit_reached_type": {"type": "rate_limit_reached"} if main.used_up is not None else None,
        "rate_limit_reset_credits": {"available_count": reset_credits},
    }


def _family(meter: Meter, now: float) -> Pairs:
    start = f"x-{meter.limit_id.replace('_', '-')}"
    fields: Pairs = []
    for slot, gauge in zip(SLOTS, meter.gauges, strict=False):
        fields += [
            (f"{start}-{slot}-used-percent", _percent(gauge.used)),
            (f"{start}-{slot}-window-minutes", str(gauge.minutes)),
            (f"{start}-{slot}-reset-at", str(gauge.resets_at)),
            (f"{start}-{slot}-reset-after-seconds", str(_left(gauge, now))),
        ]
    return [*fields, (f"{start}-limit-name", meter.name)] if meter.name else fields


def _rate_limit(meter: Meter, now: float) -> dict[str, object]:
    windows = [
        {
            "used_percent": int(gauge.used),
            "limit_window_seconds": gauge.minutes * 60,
            "reset_after_seconds": _left(gauge, now),
            "reset_at": gauge.resets_at,
        }
        for gauge in meter.gauges
    ]
    reached = meter.used_up is not None
    limit: dict[str, object] = {"allowed": not reached, "limit_reached": reached}
    return limit | {f"{slot}_window": windows[i] if i < len(windows) else None for i, slot in enumerate(SLOTS[:2])}


def _credits(credits: Credits) -> dict[str, object]:
    return {"has_credits": credits.has_credits, "unlimited": credits.unlimited, "balance": credits.balance or None}


def _left(gauge: Gauge, now: float) -> int:
    return max(0, gauge.resets_at - math.ceil(now))


def _percent(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

"""The status as data: what `understudy status --json` and the proxy's `codex.status` give, from the snapshot cache."""

from collections.abc import Sequence

from understudy.pool.health import State, state
from understudy.state.quota import Entry
from understudy.wire.quota import Snapshot, Window


def status_object(entries: Sequence[Entry], now: float) -> dict[str, object]:
    """`{"version": 1, "accounts": [{"id", "label", "plan", "enabled", "pinned", "state", "state_reason",
    "blocked_until", "last_used_at", "updated_at", "source", "windows": [{"name", "limit_id", "used_percent",
    "window_minutes", "resets_at"}], "credits"}]}`.

    Times in epoch seconds, `state` one of ok, blocked, needs_login, disabled, `pinned` null, hard or soft, `credits`
    null or `{"has_credits", "unlimited", "balance"}`; null is: unknown.
    """
    return {"version": 1, "accounts": [_account_object(entry, now) for entry in entries]}


def condition(entry: Entry, now: float) -> State:
    """The account's condition in one word. `now`: epoch seconds."""
    return state(enabled=entry.enabled, health=entry.health, blocked_until=entry.blocked_until, now=now)


def plan(entry: Entry) -> str:
    """The plan as last seen in an answer, else as the login names it; empty where unknown."""
    return (entry.snapshot.plan if entry.snapshot else "") or entry.plan


def quota_object(snapshot: Snapshot) -> dict[str, object]:
    """`{"plan", "updated_at", "source", "windows", "credits"}`, each as in `status_object`."""
    return {"plan": snapshot.plan or None, **_figures(snapshot)}


def _account_object(entry: Entry, now: float) -> dict[str, object]:
    return {
        "id": entry.id,
        "label": entry.label,
        "plan": plan(entry) or None,
        "enabled": entry.enabled,
        "pinned": entry.pinned or None,
        "state": condition(entry, now).value,
        "state_reason": entry.health_reason or None,
        "blocked_until": entry.blocked_until if entry.blocked_until and entry.blocked_until > now else None,
        "last_used_at": entry.last_used_at,
        **_figures(entry.snapshot),
    }


def _figures(snapshot: Snapshot | None) -> dict[str, object]:
    credits = snapshot.credits if snapshot else None
    return {
        "updated_at": snapshot.updated_at if snapshot else None,
        "source": snapshot.source.value if snapshot else None,
        "windows": [_window_object(window) for window in (snapshot.windows if snapshot else ())],
        "credits": credits
        and {"has_credits": credits.has_credits, "unlimited": credits.unlimited, "balance": credits.balance},
    }


def _window_object(window: Window) -> dict[str, object]:
    return {
        "name": window.name,
        "limit_id": window.limit_id,
        "used_percent": window.used_percent,
        "window_minutes": window.window_minutes,
        "resets_at": window.resets_at,
    }

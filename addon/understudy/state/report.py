"""The status as data: what `understudy status --json` and the proxy's `codex.status` give, from the snapshot cache."""

from dataclasses import asdict

from understudy.pool.account import Block
from understudy.pool.health import State, state
from understudy.pool.ledger import share
from understudy.state.board import Board, Entry
from understudy.wire.quota import Snapshot, Window


def status_object(board: Board, now: float) -> dict[str, object]:
    """`{"version": 1, "accounts": [{"id", "label", "plan", "enabled", "pinned", "lane", "state", "state_reason",
    "blocked_until", "blocked_models": [{"model", "until", "reason"}], "reserve_percent", "last_used_at", "updated_at",
    "source", "windows": [{"name", "limit_id", "used_percent", "window_minutes", "resets_at"}], "credits",
    "reset_credits", "requests", "input_tokens", "cached_tokens", "cached_share"}], "sessions": [{"session", "account",
    "requests", "cached_share", "moves", "moved_tokens"}], "next"}`.

    Times in epoch seconds, `state` one of ok, blocked, needs_login, disabled, `pinned` null, hard or soft, `lane` codex
    or platform, `credits` null or `{"has_credits", "unlimited", "balance"}`, shares from 0 to 1; null is: unknown.
    """
    return {
        "version": 1,
        "accounts": [account_object(entry, now) for entry in board.entries],
        "sessions": [asdict(line) for line in board.sessions],
        "next": board.upcoming or None,
    }


def condition(entry: Entry, now: float) -> State:
    """The account's condition in one word. `now`: epoch seconds."""
    return state(enabled=entry.enabled, health=entry.health, blocked_until=entry.blocked_until, now=now)


def plan(entry: Entry) -> str:
    """The plan as last seen in an answer, else as the login names it; empty where unknown."""
    return (entry.snapshot.plan if entry.snapshot else "") or entry.plan


def blocks_now(entry: Entry, now: float) -> list[Block]:
    """What the account is blocked for at `now` (epoch seconds): first as a whole, then for single models."""
    return sorted((block for block in entry.blocks if block.holds_at(now)), key=lambda b: (b.model, -b.until))


def quota_object(snapshot: Snapshot) -> dict[str, object]:
    """`{"plan", "updated_at", "source", "windows", "credits", "reset_credits"}`, each as in `status_object`."""
    return {"plan": snapshot.plan or None, **_figures(snapshot)}


def account_object(entry: Entry, now: float) -> dict[str, object]:
    """One of the accounts in `status_object`."""
    figures = entry.figures
    return {
        "id": entry.id,
        "label": entry.label,
        "plan": plan(entry) or None,
        "enabled": entry.enabled,
        "pinned": entry.pinned or None,
        "lane": entry.lane.value,
        "state": condition(entry, now).value,
        "state_reason": entry.health_reason or None,
        "blocked_until": entry.blocked_until if entry.blocked_until and entry.blocked_until > now else None,
        "blocked_models": [
            {"model": block.model, "until": block.until, "reason": block.reason}
            for block in blocks_now(entry, now)
            if block.model
        ],
        "reserve_percent": entry.reserve_percent,
        "last_used_at": entry.last_used_at,
        **_figures(entry.snapshot),
        "requests": figures.requests,
        "input_tokens": figures.input_tokens,
        "cached_tokens": figures.cached_tokens,
        "cached_share": share(figures),
    }


def _figures(snapshot: Snapshot | None) -> dict[str, object]:
    credits = snapshot.credits if snapshot else None
    return {
        "updated_at": snapshot.updated_at if snapshot else None,
        "source": snapshot.source.value if snapshot else None,
        "windows": [_window_object(window) for window in (snapshot.windows if snapshot else ())],
        "credits": credits
        and {"has_credits": credits.has_credits, "unlimited": credits.unlimited, "balance": credits.balance},
        "reset_credits": snapshot.reset_credits if snapshot else None,
    }


def _window_object(window: Window) -> dict[str, object]:
    return {
        "name": window.name,
        "limit_id": window.limit_id,
        "used_percent": window.used_percent,
        "window_minutes": window.window_minutes,
        "resets_at": window.resets_at,
    }

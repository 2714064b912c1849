"""`understudy accounts show`: everything that is known of one account, but for its tokens."""

import argparse
import json
import sys
import time

from understudy.cli.accounts.list import PIN_WORDS, account_object
from understudy.cli.arguments import Commands, add_command, add_json, add_label, add_show_email
from understudy.cli.pool import (
    block_words,
    blocks_now,
    chosen,
    condition,
    condition_words,
    cure,
    email_of,
    paid_today,
    store,
)
from understudy.cli.render import Look, age, duration, look_of, wrapped
from understudy.cli.status import window_lines
from understudy.pool.account import Account, Ground, Lane
from understudy.pool.health import State
from understudy.pool.pool import Pool, pin_of
from understudy.pool.refreshes import Refreshes, wait_of
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.state.report import quota_object
from understudy.wire.quota import Snapshot
from understudy.wire.text import clock_time

NAME = 15
"""Cells of the first column."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "show",
        run,
        help="show everything about one account",
        description="Shows everything that is known of an account, but for its tokens.",
        example="understudy accounts show work",
    )
    add_label(parser)
    add_json(parser)
    add_show_email(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the account. Exit code 0 or 1."""
    pool = store().read()
    [account] = chosen(pool, [arguments.label])
    entries = QuotaCache(home()).read() or ()
    snapshot = next((entry.snapshot for entry in entries if entry.id == account.id), None)
    now, shown = time.time(), arguments.show_email
    if arguments.json:
        print(json.dumps(shown_object(pool, account, snapshot, now, shown), indent=2))
        return 0
    look = look_of(sys.stdout)
    facts = [*_identity(pool, account, now, shown), *_login(account, now), *_use(account, now)]
    for name, text in facts:
        print("\n".join(wrapped(f"{name:{NAME}}{text}", NAME)))
    for line in _quota(snapshot, now, look):
        print(line)
    return 0


def shown_object(
    pool: Pool, account: Account, snapshot: Snapshot | None, now: float, show_email: bool = False
) -> dict[str, object]:
    """`{"version": 1, "account": {...}}`: what `accounts list --json` has of it, and more. Times in epoch seconds."""
    block, refreshes = account.block, account.refreshes
    more = {
        "user_id": account.user_id or None,
        "state_since": account.health_at,
        "block": block
        and {
            "until": block.until,
            "reason": block.reason,
            "limit": block.ground is Ground.LIMIT,
            "authoritative": block.authoritative,
        },
        "access_token_expires_at": None if account.lane is Lane.PLATFORM else account.tokens.expires_at,
        "renewed_at": refreshes.renewed_at,
        "renewal_trouble": _trouble(refreshes, now) or None,
        "quota": snapshot and quota_object(snapshot),
    }
    return {"version": 1, "account": account_object(account, now, show_email, pool.pin) | more}


def _identity(pool: Pool, account: Account, now: float, show_email: bool) -> list[tuple[str, str]]:
    return [
        ("label", account.label),
        ("plan", account.plan or "unknown"),
        ("e-mail", email_of(account, show_email) or "unknown"),
        ("id", account.id),
        ("workspace", account.account_id),
        ("user", account.user_id or "unknown"),
        ("state", condition_words(account, now) + PIN_WORDS[pin_of(pool.pin, account)]),
        *_why(account, now),
        *(("", block_words(block, now)) for block in blocks_now(account, now)),
        *_terms(account, now),
        ("tags", ", ".join(account.tags) or "none"),
        ("note", account.note or "none"),
    ]


def _why(account: Account, now: float) -> list[tuple[str, str]]:
    """Why the account does not serve at all, where that is not said by its state already."""
    match condition(account, now):
        case State.NEEDS_LOGIN:
            since = f", since {_moment(account.health_at, now)}" if account.health_at is not None else ""
            return [("", f"{account.health_reason}{since}"), ("", cure(account))]
        case State.DISABLED:
            return [("", f"enable it: understudy accounts enable {account.label}")]
    return []


def _terms(account: Account, now: float) -> list[tuple[str, str]]:
    """On what terms the account serves."""
    if account.lane is Lane.PLATFORM:
        served = paid_today(account, now)
        return [
            ("lane", "platform: the last resort, where each request costs money; see codex_overflow"),
            ("paid today", "no requests" if not served else "1 request" if served == 1 else f"{served} requests"),
        ]
    kept = account.reserve_percent
    reserve = f"the last {kept:g} % of every window of the main limit" if kept else "none"
    return [("lane", "codex"), ("reserve", reserve)]


def _login(account: Account, now: float) -> list[tuple[str, str]]:
    if account.lane is Lane.PLATFORM:
        return [("key", "it does not expire, and is never renewed")]
    left = account.tokens.expires_at - now
    life = f"good for {duration(left)}" if left > 0 else "expired; it is renewed when the account is next used"
    trouble = _trouble(account.refreshes, now)
    return [
        ("access token", life),
        ("last renewed", _moment(account.refreshes.renewed_at, now, "not yet")),
        *([("renewal", trouble)] if trouble else []),
    ]


def _trouble(refreshes: Refreshes, now: float) -> str:
    """What stands in the way of the next refresh, or came of the last; empty where nothing did."""
    if wait := wait_of(refreshes, now):
        return f"not before {clock_time(wait.until, now)}: {wait.reason}"
    failed = f", {refreshes.streak} times in a row" if refreshes.streak > 1 else ""
    return f"failed last time{failed}: {refreshes.reason}" if refreshes.streak else ""


def _use(account: Account, now: float) -> list[tuple[str, str]]:
    return [("last used", _moment(account.last_used_at, now, "never")), ("added", _moment(account.added_at, now))]


def _moment(at: float | None, now: float, otherwise: str = "unknown") -> str:
    return otherwise if at is None else f"{clock_time(at, now)}, {age(now - at)}"


def _quota(snapshot: Snapshot | None, now: float, look: Look) -> list[str]:
    if snapshot is None:
        return [f"{'limits':{NAME}}no figures yet"]
    windows = (" " * NAME + line for line in window_lines(snapshot.windows, now, look))
    return [f"{'limits':{NAME}}seen {age(now - snapshot.updated_at)}", *(line.rstrip() for line in windows)]

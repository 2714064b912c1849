"""`understudy accounts list`: the accounts in the order in which they are asked."""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from understudy.cli.arguments import Commands, add_command, add_json, add_show_email
from understudy.cli.pool import (
    NO_ACCOUNTS,
    block_words,
    blocks_now,
    condition,
    condition_words,
    cure,
    email_of,
    paid_today,
    store,
)
from understudy.cli.render import Look, look_of, table, wrapped
from understudy.pool.account import Account, Block, Lane
from understudy.pool.health import State
from understudy.pool.pool import Pin, Pool, pin_of

PIN_WORDS = {"hard": ", pinned", "soft": ", preferred", "": ""}


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "list",
        run,
        help="list the accounts",
        description="Lists the accounts in the order in which they are asked. E-mail addresses are masked.",
        example="understudy accounts list --tag work",
    )
    parser.add_argument("--tag", help="only accounts with this tag")
    add_json(parser)
    add_show_email(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the pool. Exit code 0, also where it is empty."""
    pool = store().read()
    now, shown, tag = time.time(), arguments.show_email, arguments.tag
    accounts = [account for account in pool.accounts if tag is None or tag in account.tags]
    if arguments.json:
        listed = {"version": 1, "accounts": [account_object(account, now, shown, pool.pin) for account in accounts]}
        print(json.dumps(listed, indent=2))
    elif accounts:
        print("\n".join(lines(pool, accounts, now, shown, look_of(sys.stdout))))
    elif pool.accounts:
        print("No account has this tag.")
    else:
        print(NO_ACCOUNTS, end="")
    return 0


def lines(pool: Pool, accounts: Sequence[Account], now: float, show_email: bool, look: Look) -> list[str]:
    """A table of 80 columns, and below it what else there is to say of an account, and to do about it."""
    rows = [("ACCOUNT", "PLAN", "E-MAIL", "STATE")]
    for account in accounts:
        words = condition_words(account, now) + PIN_WORDS[pin_of(pool.pin, account)] + _terms(account, now)
        rows.append((account.label, account.plan or "-", email_of(account, show_email) or "-", words))
    hints = [f"{account.label}: {hint}" for account in accounts for hint in _hints(account, now)]
    return [*table(rows, look), *(line for hint in hints for line in ("", *wrapped(hint)))]


def _terms(account: Account, now: float) -> str:
    """On what terms the account serves, where those are not the usual ones."""
    if account.lane is Lane.PLATFORM:
        return f", paid: {paid_today(account, now)} today"
    return f", {account.reserve_percent:g} % reserved" if account.reserve_percent else ""


def _hints(account: Account, now: float) -> list[str]:
    if condition(account, now) is State.NEEDS_LOGIN:
        return [f"{account.health_reason}. {cure(account)}"]
    return [block_words(block, now) for block in blocks_now(account, now) if block is not account.block]


def account_object(account: Account, now: float, show_email: bool = False, pin: Pin | None = None) -> dict[str, object]:
    """An account for scripts. Times in epoch seconds; null is: unknown, or none."""
    found = condition(account, now)
    return {
        "id": account.id,
        "label": account.label,
        "account_id": account.account_id,
        "plan": account.plan or None,
        "email": email_of(account, show_email) or None,
        "enabled": account.enabled,
        "pinned": pin_of(pin, account) or None,
        "state": found.value,
        "state_reason": account.health_reason or None,
        "blocked_until": account.block.until if found is State.BLOCKED and account.block else None,
        "last_used_at": account.last_used_at,
        "added_at": account.added_at,
        "tags": list(account.tags),
        "note": account.note or None,
        "lane": account.lane.value,
        "reserve_percent": account.reserve_percent,
        "blocks": [_block_object(block) for block in blocks_now(account, now)],
        "paid_requests_today": paid_today(account, now),
    }


def _block_object(block: Block) -> dict[str, object]:
    return {
        "ground": block.ground.value,
        "reason": block.reason,
        "model": block.model or None,
        "limit_id": block.limit_id or None,
        "until": block.until,
        "authoritative": block.authoritative,
        "since": block.since or None,
        "tried_at": block.tried_at,
    }

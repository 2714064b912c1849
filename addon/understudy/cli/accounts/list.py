"""`understudy accounts list`: the accounts in the order in which they are asked."""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from understudy.cli.arguments import Commands, add_command, add_json, add_show_email
from understudy.cli.pool import (
    LOG_IN,
    NO_ACCOUNTS,
    condition,
    condition_words,
    email_of,
    store,
)
from understudy.cli.render import Look, look_of, table, wrapped
from understudy.pool.account import Account
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
    """A table of 80 columns, and what to do about the accounts that need it."""
    rows = [("ACCOUNT", "PLAN", "E-MAIL", "STATE")]
    for account in accounts:
        words = condition_words(account, now) + PIN_WORDS[pin_of(pool.pin, account)]
        rows.append((account.label, account.plan or "-", email_of(account, show_email) or "-", words))
    dead = [account for account in accounts if condition(account, now) is State.NEEDS_LOGIN]
    hints = [f"{account.label}: {account.health_reason}. Log in again: {LOG_IN}" for account in dead]
    return [*table(rows, look), *(line for hint in hints for line in ("", *wrapped(hint)))]


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
    }

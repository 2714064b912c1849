"""`understudy accounts`: the accounts of the pool, and how they come into it."""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command
from understudy.cli.render import duration, look_of, table
from understudy.pool.account import Account, Health
from understudy.pool.health import State, state
from understudy.state.home import home
from understudy.wire.text import clock_time, safe_text

if TYPE_CHECKING:
    from understudy.oauth.codex_auth import Login
    from understudy.oauth.enrol import Enrolled

EMPTY = """\
There are no accounts. Add one:

  understudy accounts import ~/.codex/auth.json
"""
SHARED = """\
A refresh token is good for one use, and two programs now hold the same one: the next refresh here logs the program
that this login came from out of it, and a refresh there logs out Understudy. Log in again in the other program, and
both have their own.
"""
MAX_SIZE = 1024 * 1024


def add_parser(commands: Commands) -> None:
    """Adds the command and its own commands to the command line."""
    accounts = commands.add_parser(
        "accounts", help="list the accounts, or add some", description="Looks after the accounts in the pool."
    )
    own = accounts.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = add_command(
        own,
        "list",
        run_list,
        help="list the accounts",
        description="Lists the accounts in the order in which they are asked. E-mail addresses are masked.",
        example="understudy accounts list",
    )
    listing.add_argument("--json", action="store_true", help="print JSON, times in epoch seconds")
    importing = add_command(
        own,
        "import",
        run_import,
        help="add accounts from the login files of Codex",
        description=(
            "Adds the ChatGPT logins in Codex's login files (auth.json, written by `codex login`). An account\n"
            "that is there already is updated. Nothing is asked of ChatGPT, and expired logins are fine: they\n"
            "are refreshed when they are first used. The files themselves are left as they are.\n\n"
            "The next refresh logs the program that a file belongs to out of that login; log in there again."
        ),
        example="understudy accounts import --label home ~/.codex/auth.json",
    )
    importing.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="an auth.json, or the folder it is in")
    importing.add_argument("--label", help="what to call the account (one PATH only)")


def run_list(arguments: argparse.Namespace) -> int:
    """Prints the pool. Exit code 0, also where it is empty."""
    from understudy.state.accounts import AccountStore

    accounts = AccountStore(home()).read().accounts
    now = time.time()
    if arguments.json:
        listed = {"version": 1, "accounts": [_account_object(account, now) for account in accounts]}
        print(json.dumps(listed, indent=2))
    elif accounts:
        rows = [("ACCOUNT", "PLAN", "E-MAIL", "STATE", "ID"), *(_row(account, now) for account in accounts)]
        print("\n".join(table(rows, look_of(sys.stdout))))
    else:
        print(EMPTY, end="")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """Puts the logins into the pool: all of them, or, where one cannot be read, none. Exit code 0 or 1."""
    if arguments.label is not None and len(arguments.paths) > 1:
        print("understudy: --label names one account: import one PATH at a time", file=sys.stderr)
        return 2
    from understudy.state.accounts import AccountStore
    from understudy.state.quota import QuotaCache

    logins = _read_logins(arguments.paths)
    if logins is None:
        print("understudy: nothing was imported", file=sys.stderr)
        return 1
    store = AccountStore(home())
    enrolled: list[Enrolled] = []

    def change(accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        enrolled.extend(_enrol_all(accounts, logins, arguments.label))
        return enrolled[-1].accounts

    try:
        pool = store.update(change)
    except ValueError as error:
        print(f"understudy: {error}", file=sys.stderr)
        return 1
    _report(enrolled)
    QuotaCache(store.home).sync_accounts(pool.accounts)
    return 0


def _read_logins(paths: Sequence[Path]) -> "list[Login] | None":
    """The logins in the files, or None, with every reason printed, where one is unreadable."""
    logins: list[Login] = []
    for path in paths:
        try:
            logins.append(read_login(path))
        except ValueError as error:
            print(f"understudy: {path}: {error}", file=sys.stderr)
    return logins if len(logins) == len(paths) else None


def read_login(path: Path) -> "Login":
    """The login in the file at `path`, or in the `auth.json` of the folder there.

    Raises ValueError, in words for the user.
    """
    from understudy.oauth.codex_auth import EXPECTED, read_auth_json

    file = path
    try:
        file = path / "auth.json" if path.is_dir() else path
        if file.stat().st_size > MAX_SIZE:
            raise ValueError(f"it is too large to be a login file; {EXPECTED}")
        return read_auth_json(file.read_bytes())
    except FileNotFoundError:
        what = "there is no auth.json in this folder" if file is not path else "there is no such file"
        raise ValueError(f"{what}; {EXPECTED}") from None
    except OSError as error:
        raise ValueError(f"cannot read {file.name} ({error.strerror or type(error).__name__}); {EXPECTED}") from None


def _enrol_all(accounts: tuple[Account, ...], logins: "list[Login]", label: str | None) -> "list[Enrolled]":
    from understudy.oauth.enrol import enrol

    results: list[Enrolled] = []
    for login in logins:
        results.append(enrol(accounts, login, f"acct_{uuid.uuid4().hex[:12]}", label))
        accounts = results[-1].accounts
    return results


def _report(enrolled: "list[Enrolled]") -> None:
    from understudy.oauth.enrol import Change

    for result in enrolled:
        print(f"{result.change.value} {result.account.label} ({_about(result.account)}){_explanation(result)}")
    if any(result.change in (Change.ADDED, Change.UPDATED) for result in enrolled):
        print(f"\n{SHARED}", end="")


def _explanation(result: "Enrolled") -> str:
    from understudy.oauth.enrol import Change

    if result.change is Change.KEPT:
        return ": the pool's own tokens are newer than the file's, so they were kept"
    if result.change is Change.UNCHANGED and result.account.health is Health.NEEDS_LOGIN:
        return ": this very login is the one that no longer works; run `codex login`, then import again"
    return ": it is in the pool with this login already" if result.change is Change.UNCHANGED else ""


def _about(account: Account) -> str:
    expires_at, now = account.tokens.expires_at, time.time()
    facts = [account.plan, _masked(account), "" if account.enabled else "disabled"]
    if expires_at <= now:
        facts.append("access token expired, refreshed on first use")
    else:
        facts.append(f"access token good for {duration(expires_at - now)}")
    return safe_text(", ".join(fact for fact in facts if fact), 200)


def _masked(account: Account) -> str:
    from understudy.oauth.claims import mask_email

    return mask_email(account.email)


def _condition(account: Account, now: float) -> State:
    until = account.block.until if account.block else None
    return state(enabled=account.enabled, health=account.health, blocked_until=until, now=now)


def _row(account: Account, now: float) -> tuple[str, ...]:
    condition = _condition(account, now)
    words = condition.value.replace("_", " ")
    if condition is State.BLOCKED and account.block is not None:
        words += f" until {clock_time(account.block.until, now)}"
    return account.label, account.plan or "-", _masked(account) or "-", words, account.id


def _account_object(account: Account, now: float) -> dict[str, object]:
    condition = _condition(account, now)
    return {
        "id": account.id,
        "label": account.label,
        "account_id": account.account_id,
        "plan": account.plan or None,
        "email": _masked(account) or None,
        "enabled": account.enabled,
        "state": condition.value,
        "state_reason": account.health_reason or None,
        "blocked_until": account.block.until if condition is State.BLOCKED and account.block else None,
        "last_used_at": account.last_used_at,
    }

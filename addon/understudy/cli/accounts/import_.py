"""`understudy accounts import`: puts the logins of other programs into the pool."""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli import import_report
from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command
from understudy.cli.import_report import Imported, Result
from understudy.cli.login_files import Source, read_file
from understudy.cli.pool import change_pool, store

if TYPE_CHECKING:
    from understudy.pool.pool import Accounts


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "import",
        run,
        help="add accounts from the login files of other programs",
        description=(
            "Adds the ChatGPT logins in the files of Codex, OpenCode, opencode-codex-auth,\n"
            "oc-codex-multi-auth, codex-multi-auth, kyoli-gam and codex-oauth, and in exports of Understudy.\n"
            "Without a PATH it tells which such files there are, and imports nothing.\n\n"
            "An account that is there already is updated, and stays disabled if it is. Nothing is asked of\n"
            "ChatGPT, and expired logins are fine: they are refreshed when they are first used. The files\n"
            "themselves are left as they are. A pool that is not empty is copied before it is changed.\n\n"
            "The next refresh logs the program that a file belongs to out of that login: `understudy login`\n"
            "gives Understudy one of its own instead."
        ),
        example="understudy accounts import --dry-run ~/.codex/auth.json",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", type=Path, help="a login file, or the folder of auth.json")
    parser.add_argument("--label", help="what to call the account (one login only)")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON, times in epoch seconds")


def run(arguments: argparse.Namespace) -> int:
    """Puts the logins into the pool: all of them, or, where a file cannot be read, none. Exit code 0, 1 or 2."""
    if not arguments.paths:
        import_report.show_files(as_json=arguments.json)
        return 0
    sources = _read(arguments.paths, arguments.label)
    result, backup = _import(sources, arguments.label, arguments.dry_run)
    if arguments.json:
        print(json.dumps(import_report.as_object(result, backup, arguments.dry_run), indent=2))
    else:
        print("\n".join(import_report.as_lines(result, backup, arguments.dry_run)))
    return 0


def _read(paths: Sequence[Path], label: str | None) -> list[Source]:
    """What is in the files. Raises CannotDo, with every reason printed, where one is unreadable."""
    if label is not None and len(paths) > 1:
        raise WrongUse("--label names one account: import one PATH at a time")
    sources: list[Source] = []
    for path in paths:
        try:
            sources.append(read_file(path))
        except ValueError as error:
            print(f"understudy: {path}: {error}", file=sys.stderr)
    if len(sources) < len(paths):
        raise CannotDo("nothing was imported")
    if label is not None and len(sources[0].found.logins) > 1:
        raise CannotDo("--label names one account, and there are several in the file; nothing was imported")
    return sources


def _import(sources: Sequence[Source], label: str | None, dry_run: bool) -> tuple[Result, Path | None]:
    """What became of the logins, and the copy of the pool as it was, if it was worth one."""
    from understudy.pool.pool import over_accounts

    before = store().read().accounts
    try:
        result = _take(before, sources, label)
    except ValueError as error:
        raise CannotDo(f"{error}; nothing was imported") from None
    if dry_run:
        return result, None
    backup = store().back_up() if before and result.accounts != before else None

    def change(accounts: "Accounts") -> "Accounts":
        nonlocal result
        # Once more: another process may have changed the pool in between.
        result = _take(accounts, sources, label)
        return result.accounts

    change_pool(over_accounts(change))
    return result, backup


def _take(accounts: "Accounts", sources: Sequence[Source], label: str | None) -> Result:
    from understudy.oauth.api_key import is_key, take_key
    from understudy.oauth.imports import Sharing, take_in

    imported: list[Imported] = []
    left_out = [(source, reason) for source in sources for reason in source.found.left_out]
    logins = [(source, found) for source in sources for found in source.found.logins]
    for source, found in logins:
        take = take_key if is_key(found.login) else take_in
        taken = take(accounts, found, f"acct_{uuid.uuid4().hex[:12]}", label, now=time.time())
        if isinstance(taken, Sharing):
            left_out.append((source, taken.reason))
        else:
            accounts = taken.accounts
            imported.append(Imported(source, taken))
    return Result(accounts, tuple(imported), tuple(left_out))

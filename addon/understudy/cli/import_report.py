"""What an import did, or would do, in words and as JSON; and which files there are to import."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.accounts.list import account_object
from understudy.cli.login_files import Source, places, present, read_file
from understudy.cli.pool import email_of
from understudy.cli.render import duration
from understudy.pool.account import Account, Health, Lane
from understudy.wire.text import safe_text

if TYPE_CHECKING:
    from understudy.oauth.enrol import Enrolled
    from understudy.pool.pool import Accounts

SHARED = """
A refresh token is good for one use, and after an import two programs hold the same one: the next refresh here logs
the program that this login came from out of it, and a refresh there logs out Understudy. To give Understudy a login
of its own, run `understudy login`; or log in again in the other program."""
DRY_RUN = "\nThis was a dry run: nothing was changed."
NO_FILES = "There is no login file where the programs that are understood keep them. Log in: understudy login"
NEXT = "\nNothing was imported. To see what a file would bring: understudy accounts import --dry-run PATH"


@dataclass(frozen=True, slots=True)
class Imported:
    """A login of a file, and what it meant to the pool."""

    source: Source
    enrolled: "Enrolled"


@dataclass(frozen=True, slots=True)
class Result:
    """The accounts of the pool after an import, what became of each login, and, by file, why others were left out."""

    accounts: "Accounts"
    imported: tuple[Imported, ...] = ()
    left_out: tuple[tuple[Source, str], ...] = ()


def as_lines(result: Result, backup: Path | None, dry_run: bool) -> Iterator[str]:
    """For people. `backup`: the copy of the pool as it was, if there is one."""
    for one in result.imported:
        yield _line(one, dry_run)
    for source, reason in result.left_out:
        yield f"left out of {_shown(source.path)} ({source.found.program}): {reason}"
    if backup is not None:
        yield f"the pool as it was: {backup}"
    if any(_is_new(one.enrolled) and one.enrolled.account.lane is Lane.CODEX for one in result.imported):
        yield SHARED
    if dry_run:
        yield DRY_RUN


def as_object(result: Result, backup: Path | None, dry_run: bool) -> dict[str, object]:
    """`{"version": 1, "dry_run", "backup", "logins": [{"path", "program", "change", "reason", "account"}], "left_out":
    [{"path", "program", "reason"}]}`; `account` is as `accounts list --json` has it.
    """
    return {
        "version": 1,
        "dry_run": dry_run,
        "backup": str(backup) if backup else None,
        "logins": [_login_object(one) for one in result.imported],
        "left_out": [{**_origin(source), "reason": reason} for source, reason in result.left_out],
    }


def show_files(*, as_json: bool) -> None:
    """Prints which login files there are, where programs keep them, and what is in them."""
    found = [(program, path, *_contents(path)) for program, path in present(places(os.environ, Path.home()))]
    if as_json:
        keys = ("program", "path", "logins", "problem")
        files = [dict(zip(keys, (program, str(path), *rest), strict=True)) for program, path, *rest in found]
        print(json.dumps({"version": 1, "files": files}, indent=2))
        return
    for program, path, count, problem in found:
        print(f"{_shown(path)}: {program}, {problem or f'logins: {count}'}")
    print(NEXT if found else NO_FILES)


def _contents(path: Path) -> tuple[int, str | None]:
    try:
        return len(read_file(path).found.logins), None
    except ValueError as error:
        # Without what else would be understood: that helps who has named a file.
        return 0, str(error).partition("; ")[0]


def _line(one: Imported, dry_run: bool) -> str:
    enrolled, reason = one.enrolled, _reason(one.enrolled)
    verb = f"would be {enrolled.change.value}" if dry_run and _is_new(enrolled) else enrolled.change.value
    line = f"{verb} {enrolled.account.label} ({_about(enrolled.account, one.source.found.program)})"
    return f"{line}: {reason}" if reason else line


def _is_new(enrolled: "Enrolled") -> bool:
    from understudy.oauth.enrol import Change

    return enrolled.change in (Change.ADDED, Change.UPDATED)


def _reason(enrolled: "Enrolled") -> str:
    from understudy.oauth.enrol import Change

    if enrolled.change is Change.KEPT:
        return "the pool's own tokens are newer than the file's, so they are kept"
    if enrolled.change is not Change.UNCHANGED:
        return ""
    if enrolled.account.health is Health.NEEDS_LOGIN:
        return "this very login is the one that no longer works; log in anew: understudy login"
    return "it is in the pool with this login already"


def _about(account: Account, program: str) -> str:
    disabled = "" if account.enabled else "disabled"
    facts = (account.plan, email_of(account), disabled, _access(account), f"from {program}")
    return safe_text(", ".join(fact for fact in facts if fact), 200)


def _access(account: Account) -> str:
    if account.lane is Lane.PLATFORM:
        return ""
    left = account.tokens.expires_at - time.time()
    return f"access token {f'good for {duration(left)}' if left > 0 else 'expired, refreshed on first use'}"


def _login_object(one: Imported) -> dict[str, object]:
    return {
        **_origin(one.source),
        "change": one.enrolled.change.value,
        "reason": _reason(one.enrolled) or None,
        "account": account_object(one.enrolled.account, time.time()),
    }


def _origin(source: Source) -> dict[str, object]:
    return {"path": str(source.path), "program": source.found.program}


def _shown(path: Path) -> str:
    return safe_text(str(path), 4096)

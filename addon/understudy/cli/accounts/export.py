"""`understudy accounts export`: writes the accounts to a file, to move them, or, redacted, to show how they stand."""

import argparse
import os
import stat
import sys
import time
from datetime import datetime
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command
from understudy.cli.pool import store
from understudy.pool.pool import Accounts
from understudy.state import files

WITH_TOKENS = """\
Whoever has this file can use the accounts. A refresh token is good for one use: the first refresh, here or where the
file is imported, logs the other out."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "export",
        run,
        help="write the accounts to a file",
        description=(
            "Writes all accounts, with their tokens, to a file that only you can read, for `understudy accounts\n"
            "import` elsewhere. Without FILE it is understudy-accounts-DATE.json in the current folder.\n\n"
            "With --redacted there is no token in it, no note, no e-mail address in full and no id of ChatGPT's,\n"
            "and FILE may be - for the terminal: for a bug report."
        ),
        example="understudy accounts export --redacted -",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="where to write to")
    parser.add_argument("--force", action="store_true", help="put it in the place of an earlier export")
    parser.add_argument("--redacted", action="store_true", help="leave out what is secret")


def run(arguments: argparse.Namespace) -> int:
    """Writes the export. Exit code 0, 1 where there is nothing to write or the file cannot be, 2 for wrong use."""
    if arguments.file == "-" and not arguments.redacted:
        raise WrongUse("tokens are not printed: name a FILE, or say --redacted")
    accounts = store().read().accounts
    if not accounts:
        raise CannotDo("there are no accounts to export")
    data = _export(accounts, arguments.redacted)
    if arguments.file == "-":
        sys.stdout.write(data.decode())
        return 0
    path = Path(arguments.file or _default_name(arguments.redacted))
    _write(path, data, arguments.force)
    print(f"exported {', '.join(account.label for account in accounts)} to {path}")
    if not arguments.redacted:
        print(WITH_TOKENS)
    return 0


def _export(accounts: Accounts, redact: bool) -> bytes:
    from understudy.oauth.formats import own

    return (own.redacted if redact else own.export)(accounts, time.time())


def _default_name(redacted: bool) -> str:
    return f"understudy-accounts-{datetime.now():%Y-%m-%d}{'-redacted' if redacted else ''}.json"


def _write(path: Path, data: bytes, force: bool) -> None:
    try:
        if force and files.stamp(path) is not None:
            _replace(path, data)
        else:
            _write_new(path, data)
    except FileExistsError:
        raise CannotDo(f"{path} is there already; name another file, or say --force") from None
    except OSError as error:
        raise CannotDo(f"cannot write {path}: {error.strerror or type(error).__name__}") from None


def _replace(path: Path, data: bytes) -> None:
    if not _is_export(path):
        # Another program's login file, say: those are never written.
        raise CannotDo(f"{path} is no export, and only an export is written over; name another file")
    files.write(path, data)


def _is_export(path: Path) -> bool:
    from understudy.oauth.formats.own import is_export
    from understudy.wire.jsontext import loads

    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > files.MAX_SIZE:
        return False
    try:
        return is_export(loads(path.read_bytes()))
    except ValueError:
        return False


def _write_new(path: Path, data: bytes) -> None:
    """Private from its first byte, never over another file nor through a link. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(file)
    except BaseException:
        path.unlink(missing_ok=True)  # Half of it would be taken for the whole.
        raise

"""`understudy accounts add-api-key`: puts a key of the OpenAI Platform into the pool; its requests cost money."""

import argparse
import getpass
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command
from understudy.cli.pool import about, change_pool, store
from understudy.pool.labels import FORM, is_label
from understudy.pool.pool import over_accounts
from understudy.wire.text import safe_text

if TYPE_CHECKING:  # what reads logins takes longer to load than `--help` takes
    from understudy.oauth.enrol import Enrolled
    from understudy.pool.pool import Accounts
    from understudy.wire.secret import Secret

LONGEST = 16 * 1024
"""Characters of a key that are read."""
WARNING = """\
Requests on an API key cost money: OpenAI bills its owner for each of them. It
is a lane of last resort: it serves where no ChatGPT account can, only with the
option codex_overflow=on, and codex_overflow_limit requests a day at most (50 if
you do not set it)."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "add-api-key",
        run,
        help="add an API key, which costs money, as the last resort",
        description=(
            "Adds a key of the OpenAI Platform as the last account of the pool. The key is asked for on the\n"
            "terminal, which does not show it, or read from the standard input or a file; it is no argument,\n"
            "so that no history and no list of processes has it. The same key again updates its account.\n\n"
            f"{WARNING}"
        ),
        example="understudy accounts add-api-key platform --key-file key.txt",
    )
    parser.add_argument("label", metavar="LABEL", help=f"what to call it: {FORM}")
    # Taken, so that it is not echoed as an argument that is not understood.
    parser.add_argument("misplaced", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--key", "--api-key", action="append", dest="misplaced_key", help=argparse.SUPPRESS)
    parser.add_argument("--key-file", metavar="PATH", type=Path, help="a file that has the key in its first line")


def run(arguments: argparse.Namespace) -> int:
    """Reads the key, and puts it into the pool. Exit code 0, 1 or 2."""
    if arguments.label.startswith("sk-") or arguments.misplaced or arguments.misplaced_key:
        raise WrongUse("give a label alone, and not the key: it is asked for. Your shell may have kept what you typed")
    if not is_label(arguments.label):
        raise WrongUse(f"not a label: {safe_text(arguments.label)!r} ({FORM})")
    # A pool that cannot be read is to be said before the user has looked for the key.
    store().read()
    print(WARNING, flush=True)
    enrolled = _keep(_key(arguments.key_file), arguments.label)
    print(f"\n{enrolled.change.value} {about(enrolled.account)}")
    return 0


def _key(path: Path | None) -> "Secret":
    from understudy.oauth.api_key import read_key

    try:
        return read_key(_text(path))
    except EOFError:
        raise CannotDo("there is no key; nothing was changed") from None
    except ValueError as error:
        raise CannotDo(f"{error}; nothing was changed") from None


def _text(path: Path | None) -> str:
    """What the user gives as the key. Raises CannotDo, EOFError and ValueError."""
    if path is None:
        return getpass.getpass("API key (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline(LONGEST)
    try:
        with path.open(encoding="ascii") as file:
            return file.readline(LONGEST)
    except UnicodeDecodeError:
        raise ValueError("there is no key in the file") from None
    except OSError as error:
        raise CannotDo(f"cannot read the file with the key: {error.strerror or type(error).__name__}") from None


def _keep(key: "Secret", label: str) -> "Enrolled":
    from understudy.oauth.api_key import enrol_key, key_login

    found: list[Enrolled] = []

    def change(accounts: "Accounts") -> "Accounts":
        new_id = f"acct_{uuid.uuid4().hex[:12]}"
        found.append(enrol_key(accounts, key_login(key), new_id, label, now=time.time(), fresh=True))
        return found[-1].accounts

    change_pool(over_accounts(change))
    return found[-1]

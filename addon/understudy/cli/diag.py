"""`understudy diag`: one text for a bug report, without anything secret."""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, add_command
from understudy.cli.render import wrapped


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "diag",
        run,
        help="write what a bug report needs to a file",
        description=(
            "Writes versions, what `understudy doctor` finds, the options, how the accounts stand, which\n"
            "proxies run and the last lines of their logs to one text file that only you can read. Without\n"
            "FILE it is understudy-diag-DATE.txt in the current folder; a file that is there is not written over.\n\n"
            "FILE may be -, for the standard output.\n\n"
            "Accounts have pseudonyms. There are no tokens, ids, e-mail addresses, bodies, hosts or paths of\n"
            "yours in it. Look through it all the same before you send it."
        ),
        example="understudy diag",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="where to write to")


def run(arguments: argparse.Namespace) -> int:
    """Writes it, and says what is in it. Exit code 0, or 1 where it cannot be written."""
    from mitmproxy.exceptions import OptionsError

    from understudy.cli.config import settings
    from understudy.cli.doctor import this_machine
    from understudy.doctor.bundle import SECTIONS, bundle

    path = Path(arguments.file or f"understudy-diag-{datetime.now():%Y-%m-%d}.txt")
    machine = this_machine()
    try:
        options = settings(next((proxy for proxy in machine.proxies if proxy.owner is None), None))
    except OptionsError:
        options = ()  # What is wrong with the file is among what the doctor finds.
    text = bundle(machine, options)
    if arguments.file == "-":
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), end="")
        return 0
    _write(path, text)
    print("\n".join(wrapped(f"wrote {path}, which holds: {', '.join(SECTIONS)}")))
    print(
        "\n".join(wrapped("Look through it before you send it: what is secret was taken out as far as we could tell."))
    )
    return 0


def _write(path: Path, text: str) -> None:
    """Private from its first byte, never over another file nor through a link. Raises CannotDo."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CannotDo(f"{path} is there already; name another file") from None
    except OSError as error:
        raise CannotDo(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(file, "w", encoding="utf-8", errors="replace") as opened:
        opened.write(text)

"""`understudy transparent down`: removes what `up` has made, and nothing else."""

import argparse
import os

from understudy.cli.arguments import CannotDo, Commands, add_command, add_yes
from understudy.cli.pool import confirm
from understudy.state.home import home


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "down",
        run,
        help="remove the redirection",
        description=(
            "Removes exactly what `understudy transparent up` has made, also where that did not come to its end,\n"
            "or where what is known of it was lost. Programs that go on running speak to the host themselves\n"
            "from their next connection on, under their own keys; it asks where there are such."
        ),
        example="understudy transparent down --dry-run",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Removes it. Exit code 0 or 1."""
    from understudy.workstation.redirection import making
    from understudy.workstation.redirection.shell import Failed, needs_sudo
    from understudy.workstation.redirection.step import rendered

    try:
        removal = making.removal(home(), os.geteuid())
        if arguments.dry_run:
            print(rendered(removal.steps, sudo=needs_sudo()) or "nothing to do")
            return 0
        if removal.running:
            pids = ", ".join(map(str, removal.running))
            confirm(
                f"Programs that run in the group (processes {pids}) will use their own keys. Remove it?", arguments.yes
            )
        making.remove(home(), removal.steps)
    except Failed as error:
        raise CannotDo(str(error)) from None
    print("removed; nothing is redirected" if removal.steps else "nothing is redirected")
    return 0

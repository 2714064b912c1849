"""`understudy service remove`: ends the service, and takes away what `install` made."""

import argparse
import shlex
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command

if TYPE_CHECKING:
    from understudy.workstation.service import Manager


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "remove",
        run,
        help="end the service and take it away",
        description="Ends the service and removes what `install` made, and nothing else: accounts and options stay.",
        example="understudy service remove",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Removes it. Exit code 0, also where there is none; raises CannotDo."""
    from understudy.cli.service.manager import carry_out, check_answers, installed, manager
    from understudy.state import files

    chosen = manager()
    if installed(chosen) is None:
        print("there is no service")
        return 0
    if arguments.dry_run:
        print(plan(chosen))
        return 0
    check_answers(chosen)
    carry_out(chosen.stop)
    files.remove((chosen.file, *chosen.made))
    carry_out(chosen.forget)
    print(f"removed the service and {chosen.file}")
    return 0


def plan(manager: "Manager") -> str:
    """What would be done, to read."""
    lines = [shlex.join(step.command) for step in manager.stop]
    lines += [f"rm -f {shlex.quote(str(path))}" for path in (manager.file, *manager.made)]
    lines += [shlex.join(step.command) for step in manager.forget]
    return "\n".join(lines)

"""`understudy service logs`: what the service's proxy has said."""

import argparse
import subprocess

from understudy.cli.arguments import CannotDo, Commands, add_command


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "logs",
        run,
        help="show what the service's proxy has said",
        description="Shows the end of the service's log: of your journal, or on macOS of service.log in our folder.",
        example="understudy service logs --follow",
    )
    parser.add_argument("--lines", type=int, default=50, help="how many; default: 50")
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Shows them. The exit code is that of the program that does; raises CannotDo where it is missing."""
    from understudy.cli.service.manager import installed, manager

    chosen = manager()
    if installed(chosen) is None:
        raise CannotDo("there is no service; `understudy service install` makes one")
    command = chosen.logs(arguments.lines, arguments.follow)
    try:
        return 1 if subprocess.run(command, check=False).returncode else 0
    except FileNotFoundError:
        raise CannotDo(f"{command[0]} is missing") from None

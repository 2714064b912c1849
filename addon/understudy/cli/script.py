"""`understudy script`: where the mitmproxy script is, for `mitmdump -s "$(understudy script)"`."""

import argparse
import sys

from understudy.cli.arguments import Commands, add_command
from understudy.workstation.installation import script_path


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    add_command(
        commands,
        "script",
        run,
        help="print the path of the mitmproxy script",
        description="Prints the path of the script that mitmdump, mitmweb and mitmproxy take with -s.",
        example='mitmdump -s "$(understudy script)"',
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the path. Exit code 0, or 1 where the installation has no script."""
    path = script_path()
    if path is None:
        print("understudy: the installation has no mitmproxy script; install Understudy again", file=sys.stderr)
        return 1
    print(path)
    return 0

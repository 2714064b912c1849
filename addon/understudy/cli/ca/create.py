"""`understudy ca create`: makes the authority where there is none."""

import argparse
import time

from understudy.cli.arguments import Commands, add_command
from understudy.cli.ca.common import add_hosts, confdir, described, wanted_hosts

DESCRIPTION = """\
Makes the certificate authority, for a year, in the folder mitmproxy/ in Understudy's own. One that
is there already stays as it is: see `understudy ca rotate`."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "create",
        run,
        help="make it",
        description=DESCRIPTION,
        example="understudy ca create --host api.openai.com",
    )
    add_hosts(parser)


def run(arguments: argparse.Namespace) -> int:
    """Makes it. Exit code 0, or 1 where the one that is there cannot serve."""
    from understudy.workstation.keeping import ensure, load

    hosts, folder = wanted_hosts(arguments.hosts), confdir()
    known = load(folder)
    authority = ensure(folder, hosts, time.time())
    print("it is there already, and stays:" if known else "made:")
    print("\n".join(described(authority)))
    return 0

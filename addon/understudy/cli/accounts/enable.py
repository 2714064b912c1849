"""`understudy accounts enable`: lets an account serve again."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit_account
from understudy.pool import edits


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "enable",
        run,
        help="let an account serve again",
        description="Lets a disabled account serve again, from a running proxy's next request on.",
        example="understudy accounts enable work",
    )
    add_label(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enables the account. Exit code 0 or 1."""
    before, after = edit_account(arguments.label, lambda pool: edits.enable(pool, arguments.label, True))
    print(f"{about(after)} is enabled{' already' if before.enabled else ''}")
    return 0

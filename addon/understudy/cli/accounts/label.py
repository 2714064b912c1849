"""`understudy accounts label`: calls an account something else."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit_account
from understudy.pool import edits
from understudy.pool.labels import FORM


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "label",
        run,
        help="call an account something else",
        description="Gives an account another label. No two accounts have the same.",
        example="understudy accounts label plus-ada work",
    )
    add_label(parser)
    parser.add_argument("new", metavar="NEW", help=FORM)


def run(arguments: argparse.Namespace) -> int:
    """Changes the label. Exit code 0 or 1."""
    before, after = edit_account(arguments.label, lambda pool: edits.relabel(pool, arguments.label, arguments.new))
    if before == after:
        print(f"{about(after)} is called so already")
    else:
        print(f"{before.label} is now {about(after)}")
    return 0

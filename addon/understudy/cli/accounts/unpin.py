"""`understudy accounts unpin`: lets the proxy choose the accounts again."""

import argparse

from understudy.cli.arguments import Commands, add_command
from understudy.cli.pool import about, edit
from understudy.pool import edits


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    add_command(
        commands,
        "unpin",
        run,
        help="let the proxy choose again",
        description="Takes the pin away: from its next request on, a running proxy chooses the account itself.",
        example="understudy accounts unpin",
    )


def run(arguments: argparse.Namespace) -> int:
    """Unpins. Exit code 0."""
    before, _ = edit(edits.unpin)
    if before.pin is None:
        print("no account is pinned")
    else:
        print(f"{about(edits.named(before, before.pin.name))} is no longer pinned")
    return 0

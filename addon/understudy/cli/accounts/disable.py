"""`understudy accounts disable`: keeps an account out of use until it is enabled again."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit
from understudy.pool import edits


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "disable",
        run,
        help="keep an account out of use",
        description=(
            "Keeps an account out of use until it is enabled again: it is not asked, and its tokens are not\n"
            "renewed. What it is answering now goes on to its end. Its pin, if it has one, is taken away."
        ),
        example="understudy accounts disable work",
    )
    add_label(parser)


def run(arguments: argparse.Namespace) -> int:
    """Disables the account. Exit code 0 or 1."""
    before, after = edit(lambda pool: edits.enable(pool, arguments.label, False))
    account = edits.named(before, arguments.label)
    pinned = ", and no longer pinned" if before.pin != after.pin else ""
    print(f"{about(account)} is disabled{pinned if account.enabled else ' already'}")
    if not any(other.enabled for other in after.accounts):
        print("No account is enabled now: requests will be refused.")
    return 0

"""`understudy accounts order`: which account is asked first."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_labels
from understudy.cli.pool import edit
from understudy.pool import edits


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "order",
        run,
        help="say which account is asked first",
        description=(
            "Puts these accounts first, in this order; the others follow in theirs. A new session goes to the\n"
            "first account that can serve; one that is under way stays with its account."
        ),
        example="understudy accounts order home work",
    )
    add_labels(parser, nargs="+", help="accounts, the one to be asked first at the beginning")


def run(arguments: argparse.Namespace) -> int:
    """Orders the accounts. Exit code 0 or 1."""
    before, after = edit(lambda pool: edits.order(pool, arguments.labels))
    labels = ", ".join(account.label for account in after.accounts)
    print(f"the order is {'already' if before == after else 'now'}: {labels}")
    return 0

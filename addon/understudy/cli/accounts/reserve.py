"""`understudy accounts reserve`: the part of an account that the user keeps for other uses."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit_account
from understudy.pool import edits
from understudy.wire.numbers import number


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "reserve",
        run,
        help="keep a part of an account for yourself",
        description=(
            "Leaves the last PERCENT of every window of the account's main limit to you: from there on a running\n"
            "proxy treats the account as it does one whose limit is reached. 0 takes the reserve away. Where\n"
            "credits carry on after the limit, nothing is kept back."
        ),
        example="understudy accounts reserve work 10",
    )
    add_label(parser)
    parser.add_argument("percent", metavar="PERCENT", type=percent, help="0 to 100")


def percent(text: str) -> float:
    """`10`, `12.5` or `10%`. Raises ArgumentTypeError, in words for the user."""
    found = number(text.removesuffix("%"))
    if found is None or found > 100:
        raise argparse.ArgumentTypeError("give a number from 0 to 100")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Sets the reserve. Exit code 0 or 1."""
    before, after = edit_account(arguments.label, lambda pool: edits.reserve(pool, arguments.label, arguments.percent))
    had, has = before.reserve_percent, after.reserve_percent
    was = " already" if had == has else f" (before: {_words(had)})" if had else ""
    print(f"{about(after)} keeps {_words(has)} for you{was}")
    return 0


def _words(percent: float) -> str:
    return f"the last {percent:g} % of its limits" if percent else "nothing"

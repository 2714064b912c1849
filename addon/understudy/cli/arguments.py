"""What the commands' arguments have in common, so that each `--help` reads like the others."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

# In quotes: at run time argparse's class takes no parameter.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]


class WrongUse(Exception):
    """The command was given what it cannot take; the message says what to give. Exit code 2."""


class CannotDo(Exception):
    """The command could not do it; the message says why, and what to do. Exit code 1."""


def add_command(
    commands: Commands, name: str, run: Run, *, help: str, description: str, example: str
) -> argparse.ArgumentParser:
    """Adds a command that `run` carries out. `help` is its line among the others, `example` ends its own page."""
    parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"example:\n  {example}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_label(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names one account."""
    parser.add_argument("label", metavar="LABEL", help="the account's label, or its id")


def add_labels(parser: argparse.ArgumentParser, nargs: str = "*", help: str = "accounts; default: all") -> None:
    """Adds the argument that names any number of accounts."""
    parser.add_argument("labels", metavar="LABEL", nargs=nargs, help=help)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, times in epoch seconds")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Adds `--yes` to a command that asks before it does what cannot be taken back."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def add_show_email(parser: argparse.ArgumentParser) -> None:
    """Adds `--show-email`."""
    parser.add_argument("--show-email", action="store_true", help="print e-mail addresses in full")

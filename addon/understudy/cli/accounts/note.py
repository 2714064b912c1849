"""`understudy accounts note`: a reminder of the user's own."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit_account
from understudy.pool import edits
from understudy.wire.text import safe_text


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "note",
        run,
        help="set an account's note",
        description="Gives an account a note in the place of the one that it has; without TEXT, it has none.",
        example='understudy accounts note plus-ada "paid until May"',
    )
    add_label(parser)
    parser.add_argument("text", metavar="TEXT", nargs="*", help=f"{edits.LONGEST_NOTE} characters at most")


def run(arguments: argparse.Namespace) -> int:
    """Sets the note. Exit code 0 or 1."""
    text = " ".join(arguments.text)
    before, after = edit_account(arguments.label, lambda pool: edits.note(pool, arguments.label, text))
    same = before.note == after.note
    had = " already" if same else f" (before: {safe_text(before.note, edits.LONGEST_NOTE)})" if before.note else ""
    print(f"{about(after)} has {'this' if after.note else 'no'} note{had}")
    return 0

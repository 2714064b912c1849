"""`understudy accounts tag`: words of the user's own to group accounts by."""

import argparse

from understudy.cli.arguments import Commands, add_command, add_label
from understudy.cli.pool import about, edit_account
from understudy.pool import edits
from understudy.pool.labels import FORM


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "tag",
        run,
        help="set an account's tags",
        description="Gives an account these tags in the place of those that it has; without any, it has none.",
        example="understudy accounts tag plus-ada work shared",
    )
    add_label(parser)
    parser.add_argument("tags", metavar="TAG", nargs="*", help=FORM)


def run(arguments: argparse.Namespace) -> int:
    """Sets the tags. Exit code 0 or 1."""
    before, after = edit_account(arguments.label, lambda pool: edits.tag(pool, arguments.label, arguments.tags))
    same = before.tags == after.tags
    had = " already" if same else f" (before: {_words(before.tags)})" if before.tags else ""
    print(f"{about(after)} has {_words(after.tags)}{had}")
    return 0


def _words(tags: tuple[str, ...]) -> str:
    return f"the tags {', '.join(tags)}" if len(tags) > 1 else f"the tag {tags[0]}" if tags else "no tags"

"""`understudy transparent`: the calls of programs that know of no proxy, led to it by the system."""

import importlib

from understudy.cli.arguments import Commands

# In the order of `--help`.
COMMANDS = ("up", "down", "status")


def add_parser(commands: Commands) -> None:
    """Adds the command and its own commands to the command line."""
    transparent = commands.add_parser(
        "transparent",
        help="lead programs to the proxy that cannot be told of one",
        description="Leads the calls of programs to the proxy that cannot be told of one. Needs root, through sudo.",
    )
    own = transparent.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"understudy.cli.transparent.{name}").add_parser(own)

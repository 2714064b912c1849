"""`understudy accounts`: the commands that look after the pool, one file each."""

import importlib

from understudy.cli.arguments import Commands

# In the order of `--help`.
COMMANDS = (
    "list",
    "show",
    "check",
    "use",
    "unpin",
    "enable",
    "disable",
    "label",
    "tag",
    "note",
    "reserve",
    "order",
    "refresh",
    "remove",
    "add-api-key",
    "import_",
    "export",
    "quarantine",
)


def add_parser(commands: Commands) -> None:
    """Adds the command and its own commands to the command line."""
    accounts = commands.add_parser(
        "accounts", help="look after the accounts", description="Looks after the accounts in the pool."
    )
    own = accounts.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"understudy.cli.accounts.{name.replace('-', '_')}").add_parser(own)

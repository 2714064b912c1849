"""`understudy service`: the proxy as a service of the user's own, that starts with the login."""

import importlib

from understudy.cli.arguments import Commands

# In the order of `--help`.
COMMANDS = ("install", "remove", "status", "logs")

DESCRIPTION = """\
Has the proxy run as a service of your own, from login to logout: by systemd on Linux, by launchd
on macOS (not run by us). Its options are those in config.yaml in the folder mitmproxy/ in ours."""


def add_parser(commands: Commands) -> None:
    """Adds the command and its own commands to the command line."""
    service = commands.add_parser("service", help="have the proxy start with your login", description=DESCRIPTION)
    own = service.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"understudy.cli.service.{name}").add_parser(own)

"""`understudy ca`: the certificate authority that programs trust, and where it is trusted."""

import importlib

from understudy.cli.arguments import Commands

# In the order of `--help`.
COMMANDS = ("create", "show", "trust", "untrust", "rotate", "doctor")

DESCRIPTION = """\
The certificate authority that the proxy signs with. It can sign for the hosts in codex_hosts and
for nothing else, whoever has its key. `understudy run` and `understudy env` make it, and have
single programs trust it; no store of the system's is touched unless you say `trust`."""


def add_parser(commands: Commands) -> None:
    """Adds the command and its own commands to the command line."""
    ca = commands.add_parser("ca", help="the certificate authority that programs trust", description=DESCRIPTION)
    own = ca.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"understudy.cli.ca.{name}").add_parser(own)

"""`understudy ca untrust`: takes the authority out of all stores again."""

import argparse
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, add_command, add_yes
from understudy.cli.ca.carrying_out import carry_out
from understudy.cli.ca.common import add_stores

DESCRIPTION = """\
Takes out of a store what `understudy ca trust` has put there, also of older authorities of yours,
and nothing else. Without --system or --nss: out of both."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "untrust",
        run,
        help="take it out of their stores",
        description=DESCRIPTION,
        example="understudy ca untrust --dry-run",
    )
    add_stores(parser)
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows what it would run, asks, and runs it. Exit code 0 or 1."""
    from understudy.workstation.stores import look
    from understudy.workstation.trust import untrust_nss, untrust_system

    facts, both = look(Path.home()), not (arguments.system or arguments.nss)
    try:
        plans = [untrust_system(facts)] if arguments.system or (both and (facts.anchors or facts.keychain)) else []
        plans += [untrust_nss(facts)] if arguments.nss or (both and any(facts.nss.values())) else []
    except ValueError as error:
        raise CannotDo(str(error)) from None
    carry_out(plans, "Take it out?", arguments)
    return 0

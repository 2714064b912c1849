"""`understudy ca rotate`: another authority in place of the one that is there."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command, add_yes
from understudy.cli.ca.common import TRUST, add_hosts, confdir, described, wanted_hosts
from understudy.cli.pool import confirm
from understudy.state.home import home

if TYPE_CHECKING:
    from understudy.workstation.trust import Facts

DESCRIPTION = """\
Makes another certificate authority in place of the one that is there, whose key is kept nowhere.
Do it where `understudy ca doctor` says so, or where somebody may have read the key: then tell the
stores that trust the old one, since they go on trusting it."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands, "rotate", run, help="make another", description=DESCRIPTION, example="understudy ca rotate --yes"
    )
    add_hosts(parser)
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Asks, makes it, and says what is left to do. Exit code 0 or 1."""
    from understudy.workstation.keeping import rotate
    from understudy.workstation.stores import look

    hosts = wanted_hosts(arguments.hosts)
    confirm("Make another certificate authority? What trusts the present one will not trust it.", arguments.yes)
    print("\n".join(["made:", *described(rotate(confdir(), hosts, time.time())), *_left(look(Path.home()))]))
    return 0


def _left(facts: "Facts") -> list[str]:
    from understudy.state.runtime import runtimes

    pids = ", ".join(str(each.pid) for each in runtimes(home()))
    proxies = [f"Start the running proxies (process {pids}) anew: they have the old one. understudy restart"]
    shells = ["Programs that were started with the old one must be started anew, shells by `understudy env` as well."]
    system = [f"The system trusts the old one: {TRUST} --system puts the new one in its place."]
    nss = [f"Your browsers trust the old one: {TRUST} --nss puts the new one in its place."]
    trusted_by_nss = any(facts.nss.values())
    return [
        *(proxies if pids else []),
        *shells,
        *(system if facts.anchors or facts.keychain else []),
        *(nss if trusted_by_nss else []),
    ]

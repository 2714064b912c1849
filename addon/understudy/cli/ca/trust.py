"""`understudy ca trust`: has the system, or the user's browsers, trust the authority."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command, add_yes
from understudy.cli.ca.carrying_out import carry_out
from understudy.cli.ca.common import add_stores, confdir, existing, wanted_hosts

if TYPE_CHECKING:
    from understudy.workstation.authority import Authority

DESCRIPTION = """\
Has a store of certificates trust the authority, for programs that cannot be pointed to it one by
one, as `understudy run` does. An older one of yours is taken out.

  --system  curl, git, Python's ssl, Go, on Debian Java too; of all users. By sudo.
            Debian and its relatives; Fedora, Arch, openSUSE and macOS (not run by us)
  --nss     your Chromium, and each of your Firefox profiles, by certutil

Programs with roots of their own heed neither: Node, Codex, Python programs that use certifi."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "trust",
        run,
        help="have the system or browsers trust it",
        description=DESCRIPTION,
        example="understudy ca trust --system --dry-run",
    )
    add_stores(parser)
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows what it would run, asks, runs it, and proves it. Exit code 0, 1 or 2."""
    from understudy.workstation.authority import ROTATE, obstacles
    from understudy.workstation.stores import look
    from understudy.workstation.trust import trust_nss, trust_system

    if not (arguments.system or arguments.nss):
        raise WrongUse("say which store: --system, --nss, or both; `understudy ca trust --help` says what they cover")
    authority, hosts = existing(), wanted_hosts()
    if wrong := obstacles(authority, hosts, time.time()):
        raise CannotDo(f"nothing should trust this authority. {' '.join(wrong)} To make another: {ROTATE}")
    facts, certificate = look(Path.home()), confdir().certificate
    try:
        plans = [trust_system(facts, authority, certificate)] if arguments.system else []
        plans += [trust_nss(facts, authority, certificate)] if arguments.nss else []
    except ValueError as error:
        raise CannotDo(str(error)) from None
    if carry_out(plans, f"Have {' and '.join(_stores(arguments))} trust {authority.name}?", arguments):
        _prove(arguments, authority, hosts)
    return 0


def _stores(arguments: argparse.Namespace) -> list[str]:
    return [*(["the system"] if arguments.system else []), *(["your browsers"] if arguments.nss else [])]


def _prove(arguments: argparse.Namespace, authority: "Authority", hosts: frozenset[str]) -> None:
    """Raises CannotDo where the store does not trust it after all."""
    from understudy.workstation.keeping import system_roots
    from understudy.workstation.stores import look, proof
    from understudy.workstation.trust import trusting

    store = system_roots()
    if arguments.system and store is not None:
        host = min(hosts)
        if wrong := proof(store, confdir().authority, host, time.time()):
            raise CannotDo(f"{store} does not trust it after all: {wrong}")
        print(f"proved: {store} trusts what it signs for {host}")
    missing = set(look(Path.home()).nss) - set(trusting(look(Path.home()), authority)) if arguments.nss else set()
    if missing:
        raise CannotDo(f"not trusted after all by {', '.join(sorted(missing))}")

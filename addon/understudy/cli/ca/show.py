"""`understudy ca show`: what the authority is, and where it is trusted."""

import argparse
import json
import sys
import time
from pathlib import Path

from understudy.cli.arguments import Commands, add_command, add_json
from understudy.cli.ca.common import confdir, described, existing, wanted_hosts


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "show",
        run,
        help="show what it is",
        description="Shows the certificate authority, what is wrong with it, and which stores have it. Never its key.",
        example="understudy ca show --pem > understudy.pem",
    )
    parser.add_argument("--pem", action="store_true", help="print the certificate, for programs to trust")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows it. Exit code 0, or 1 where there is none."""
    from understudy.workstation.authority import faults
    from understudy.workstation.stores import look
    from understudy.workstation.trust import trusting

    authority = existing()
    if arguments.pem:
        sys.stdout.write(authority.certificate.decode())
        return 0
    wrong, stores = faults(authority, wanted_hosts(), time.time()), trusting(look(Path.home()), authority)
    if not arguments.json:
        trusted = ", ".join(stores) or "by no store; programs are pointed to it one by one"
        print("\n".join([*described(authority), f"trusted:      {trusted}", *wrong]))
        return 0
    found = {
        "version": 1,
        "name": authority.name,
        "hosts": sorted(authority.permitted),
        "not_before": authority.not_before,
        "not_after": authority.not_after,
        "sha256": authority.fingerprint,
        "key": authority.key_kind,
        "certificate": str(confdir().certificate),
        "trusted": list(stores),
        "faults": list(wrong),
    }
    print(json.dumps(found, indent=2))
    return 0

"""What the commands on the authority have in common: its hosts, where it is, and how it is described."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, WrongUse
from understudy.state.home import home
from understudy.workstation.confdir import Confdir

if TYPE_CHECKING:  # cryptography takes longer to load than `--help` takes
    from understudy.workstation.authority import Authority

CREATE = "understudy ca create"
TRUST = "understudy ca trust"


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """Adds `--host`."""
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        dest="hosts",
        metavar="NAME",
        help="a host that it can sign for, and no other; default: those of the proxy's options",
    )


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which stores to change, and how."""
    parser.add_argument("--system", action="store_true", help="the system's store, for programs of all users")
    parser.add_argument("--nss", action="store_true", help="your own browsers: Chromium and Firefox")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and run nothing")


def confdir() -> Confdir:
    """Where the authority is."""
    return Confdir(home())


def wanted_hosts(named: Iterable[str] = ()) -> frozenset[str]:
    """The hosts that the user names, else those that the proxy opens TLS to. Raises WrongUse."""
    from understudy.cli.network import followed, read_options
    from understudy.proxy.values import read_hosts

    if named := tuple(named):
        try:
            return read_hosts(",".join(named))
        except ValueError as error:
            raise WrongUse(str(error)) from None
    found = followed()
    return read_options((), found.confdir, found.told).scope.all


def existing() -> "Authority":
    """The authority that is there. Raises CannotDo where there is none, and StateError."""
    from understudy.workstation.keeping import load

    found = load(confdir())
    if found is None:
        raise CannotDo(f"there is no certificate authority yet; make it: {CREATE}")
    return found


def described(authority: "Authority") -> list[str]:
    """What it is, in lines."""
    hosts = ", ".join(sorted(authority.permitted)) or "any host"
    return [
        f"{authority.name} ({authority.key_kind}), until {day(authority.not_after)}",
        f"can sign for: {hosts}",
        f"certificate:  {confdir().certificate}",
        f"SHA-256:      {authority.fingerprint}",
    ]


def day(moment: float) -> str:
    """The day, UTC, of a moment in epoch seconds."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"

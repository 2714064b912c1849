"""`understudy transparent up`: makes the redirection, and proves that it works."""

import argparse
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo, Commands, add_command, add_yes
from understudy.cli.pool import confirm
from understudy.state.home import home

if TYPE_CHECKING:
    from collections.abc import Collection

    from understudy.state.runtime import Runtime
    from understudy.workstation.redirection.making import Intent, Made

DESCRIPTION = """\
From now on, new connections to port 443 at the addresses of api.openai.com (codex_hosts) go to
the proxy, which is started, or started anew, where none takes them yet: those of programs that
`understudy run --transparent` starts, or with --user all of another user's. Over IPv4 and IPv6;
HTTP/3 is refused, so that programs use TCP. Nothing is said to be up before connections of both
kinds were made: a program's, which must meet the proxy's certificate, and one like the proxy's
own, which must not. Where that fails the redirection is taken back. The programs have to trust the
proxy's certificate: see `understudy ca` and `understudy env`.

When the proxy ends, connections are refused: nothing goes out under a program's own key. The way
back is `understudy transparent down`. After a reboot nothing is redirected until the next `up`.

A program that is given an address which the system was not given within the last ten seconds goes
there under its own key. With --every-address that cannot be: all of its connections to port 443
go through the proxy, those to other hosts undecrypted, and all are refused when the proxy ends.

On macOS by pf and --user alone; that, and --systemd, were not run by us."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "up",
        run,
        help="redirect new connections to the proxy",
        description=DESCRIPTION,
        example="understudy transparent up\n  understudy run --transparent -- opencode",
    )
    parser.add_argument("--user", metavar="NAME", help="all programs of this user, who is another than the proxy's")
    parser.add_argument("--every-address", action="store_true", help="whatever the address; no address can be new")
    parser.add_argument("--tool", choices=("nft", "iptables", "pf"), help="default: nft, or else iptables; on macOS pf")
    parser.add_argument("--systemd", action="store_true", help="the user's systemd starts the programs, without root")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Makes it. Exit code 0, or 1 where it does not work: then nothing is left of it."""
    from understudy.workstation.redirection.machine import Impossible
    from understudy.workstation.redirection.making import make
    from understudy.workstation.redirection.shell import Failed

    try:
        intent = _intent(arguments)
        if arguments.dry_run:
            print(_shown(intent))
            return 0
        made = make(home(), intent)
    except (Impossible, Failed) as error:
        raise CannotDo(str(error)) from None
    print("\n".join(_said(made, intent)))
    return 0


def _intent(arguments: argparse.Namespace) -> "Intent":
    """What is to be made, agreed to by the user. Nothing is started for what cannot be. Raises Impossible, CannotDo."""
    from understudy.workstation.redirection.machine import NoListener
    from understudy.workstation.redirection.making import Wish, aim, intend

    wish = Wish(arguments.user, arguments.systemd, arguments.every_address, arguments.tool)
    try:
        intent = intend(home(), wish)
    except NoListener as error:
        if arguments.dry_run:
            raise
        _agree(arguments, aim(wish, _hosts(error.running)).tool)
        _have_it_listen(error.running)
        return intend(home(), wish)
    if not arguments.dry_run:
        _agree(arguments, intent.tool)
    return intent


def _agree(arguments: argparse.Namespace, tool: str) -> None:
    """Raises CannotDo where the user does not."""
    if arguments.systemd or tool == "pf":
        confirm("This way was not run by us. Carry it out?", arguments.yes)


def _hosts(running: "Runtime | None") -> "Collection[str]":
    """The hosts of the proxy that is to take what is redirected, which may have to be started. Raises WrongUse."""
    from understudy.cli.start import hosts_to_sign_for
    from understudy.workstation.confdir import Confdir
    from understudy.workstation.wanted import Wanted

    return running.hosts if running else hosts_to_sign_for(Wanted(), str(Confdir(home()).path))


def _shown(intent: "Intent") -> str:
    from understudy.workstation.redirection.shell import needs_sudo
    from understudy.workstation.redirection.step import rendered

    made, tried = (rendered(steps, sudo=needs_sudo()) for steps in (intent.steps, intent.trial))
    return f"{made}\n\n# And to look whether it is there, and works:\n{tried}"


def _have_it_listen(running: "Runtime | None") -> None:
    """Starts the proxy, or the running one anew, so that it takes redirected connections. Raises CannotDo, WrongUse."""
    from understudy.cli.surroundings import hosts_of_a_new_authority
    from understudy.workstation.launch import LaunchError, Wanted, restart, start

    try:
        if running is None:
            hosts = hosts_of_a_new_authority(home(), ())
            found, how = start(home(), transparent=True, hosts=hosts), "started"
        else:
            found, how = restart(home(), running, Wanted(transparent=True)).runtime, "started anew"
    except LaunchError as error:
        raise CannotDo(str(error)) from None
    print(f"the proxy was {how}, in the background, to take redirected connections (process {found.pid})")


def _said(made: "Made", intent: "Intent") -> list[str]:
    from understudy.workstation.redirection.redirect import OtherUser

    redirect = made.record.redirect
    selector = redirect.selector
    whose = f"of {selector.name}" if isinstance(selector, OtherUser) else "of programs in the group"
    where = "any address" if redirect.every_address else ", ".join(redirect.hosts)
    lines = [
        f"{'up' if made.new else 'up already'}, and tried: new connections {whose}",
        f"to {where}, port 443, reach the proxy (process {intent.proxy}); its own do not come back to it",
    ]
    if made.untried:
        lines.append(f"there is no way to {', '.join(made.untried)} from here, so that was not tried")
    if not isinstance(selector, OtherUser):
        lines.append("start a program: understudy run --transparent -- PROGRAM")
    return [*lines, "take it back: understudy transparent down"]

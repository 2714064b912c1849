"""`understudy stop`: ends the proxy that runs, once its answers have ended."""

import argparse
import sys
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, add_command
from understudy.state.home import home
from understudy.state.runtime import Runtime, runtimes, shared_proxy
from understudy.workstation.ending import DRAIN


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "stop",
        run,
        help="stop the proxy",
        description=(
            "Ends the running proxy: it takes no new requests, and answers that are running may run to\n"
            "their end, for a minute. Proxies that serve one `understudy run` end with it, and are left alone."
        ),
        example="understudy stop",
    )
    parser.add_argument("--now", action="store_true", help="cut off the answers that are running")
    parser.add_argument("--all", action="store_true", help="also the proxies that serve one `understudy run` each")


def run(arguments: argparse.Namespace) -> int:
    """Ends it. Exit code 0, also where none runs; 1 where it does not end."""
    from understudy.workstation.ending import stop
    from understudy.workstation.errors import LaunchError

    folder = home()
    found = _found(folder, everything=arguments.all)
    if not found:
        print("No proxy runs.")
    for runtime in found:
        try:
            stop(folder, runtime, now=arguments.now, waiting=_say_waiting)
        except LaunchError as error:
            raise CannotDo(str(error)) from None
        print(f"The proxy has ended (process {runtime.pid}).")
    return 0


def _found(folder: Path, *, everything: bool) -> tuple[Runtime, ...]:
    running = runtimes(folder)
    if everything:
        return running
    # One that has no port any more is ending already.
    shared = shared_proxy(folder) or next((each for each in running if each.owner is None), None)
    return (shared,) if shared else ()


def _say_waiting() -> None:
    words = f"waiting for answers that are running, {DRAIN:.0f} s at most; --now cuts them off"
    print(f"understudy: {words}", file=sys.stderr, flush=True)

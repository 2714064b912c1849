"""`understudy restart`: the running proxy anew, on the same port, with the same options and those given besides."""

import argparse

from understudy.cli.arguments import CannotDo, Commands, add_command
from understudy.cli.start import add_wanted, hosts_to_sign_for, read_wanted, warn, where
from understudy.state.home import home
from understudy.state.runtime import shared_proxy


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "restart",
        run,
        help="start the proxy anew",
        description=(
            "Starts the running proxy anew, in the background: on the same port, with the same options\n"
            "and those that are given besides. The old one answers what it is answering to the end. If\n"
            "the new one cannot start, the old one goes on. mitmweb's page moves to another port."
        ),
        example="understudy restart --set codex_strategy=drain",
    )
    add_wanted(parser, port="the one that it has", mode="the one that it has")


def run(arguments: argparse.Namespace) -> int:
    """Starts it anew. Exit code 1 where none runs, or where it cannot be started."""
    from understudy.workstation.launch import LaunchError, restart

    folder, wanted = home(), read_wanted(arguments)
    running = shared_proxy(folder)
    if running is None:
        raise CannotDo("no proxy runs; start one: understudy start")
    try:
        hosts = hosts_to_sign_for(wanted, running.confdir, running.options)
        done = restart(folder, running, wanted, hosts=hosts)
    except LaunchError as error:
        raise CannotDo(str(error)) from None
    print(f"The proxy runs anew: {where(done.runtime)}")
    print(f"Nobody listened for {done.gap * 1000:.0f} ms at most.")
    if done.drains:
        print(f"The old one (process {running.pid}) ends with the answers that it is giving.")
    warn(done.runtime, wanted)
    return 0

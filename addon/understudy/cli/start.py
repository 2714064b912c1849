"""`understudy start`: the proxy, with our own folder, for the programs of this machine alone."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command
from understudy.cli.network import read_options
from understudy.cli.pool import store
from understudy.state.home import home
from understudy.state.runtime import Runtime, shared_proxy
from understudy.workstation.confdir import Confdir
from understudy.workstation.wanted import HOSTS, Wanted

BANNER = """\
This is the first start. What will happen:
  Calls of OpenAI's API that programs send through this proxy to {hosts}
    are opened, and carried out by {accounts}.
    Nothing else is opened. What no ChatGPT account can do (embeddings, audio, files) passes
    under the program's own key; nothing else does.
  A new certificate authority, which can sign for {hosts} alone, is in
    {authority}
    Nothing on this machine trusts it yet, and nothing needs to:
  To run one program through the proxy:  understudy run -- opencode
  To set up the shell that you are in:   eval "$(understudy env)"
"""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "start",
        run,
        help="start the proxy",
        description=(
            "Starts the proxy for the programs of this machine: mitmdump with a folder and a certificate\n"
            "authority of its own, on 127.0.0.1. In the foreground its log is on the terminal, and Ctrl-C\n"
            "ends it; twice, without waiting for running answers. If one runs already, says where."
        ),
        example="understudy start --background",
    )
    parser.add_argument("--background", action="store_true", help="leave the terminal; the log goes into a file")
    parser.add_argument("--web", action="store_true", help="mitmweb: see the requests in a browser")
    parser.add_argument("--open", action="store_true", help="with --web: open the browser")
    add_wanted(parser, port="8080, or the next one that is free", mode="regular")


def add_wanted(parser: argparse.ArgumentParser, *, port: str, mode: str) -> None:
    """Adds what can be asked of a proxy that is started. `port`, `mode`: the defaults, in words."""
    parser.add_argument("--port", type=int, metavar="PORT", help=f"default: {port}")
    parser.add_argument(
        "--mode", action="append", default=[], dest="modes", metavar="MODE", help=f"as for mitmproxy; default: {mode}"
    )
    parser.add_argument("--transparent", action="store_true", help="also take connections that are redirected to it")
    parser.add_argument(
        "--set", action="append", default=[], dest="options", metavar="NAME=VALUE", help="an option, as for mitmdump"
    )


def read_wanted(arguments: argparse.Namespace, program: str = "mitmdump") -> Wanted:
    """What the user asks of the proxy. Raises WrongUse."""
    if any("=" not in option for option in arguments.options):
        raise WrongUse("--set takes NAME=VALUE")
    if arguments.port is not None and not 0 < arguments.port < 65536:
        raise WrongUse(f"there is no port {arguments.port}")
    options, modes = tuple(arguments.options), tuple(arguments.modes)
    return Wanted(program, options, arguments.port, modes, arguments.transparent)


def run(arguments: argparse.Namespace) -> int:
    """Starts it. Exit code 0, also where it runs already; 1 where it cannot be started, or runs otherwise."""
    if arguments.open and not arguments.web:
        raise WrongUse("--open goes with --web")
    folder, wanted = home(), read_wanted(arguments, "mitmweb" if arguments.web else "mitmdump")
    running = shared_proxy(folder)
    if running is not None:
        return _runs_already(folder, running, wanted)
    if arguments.open:
        wanted = wanted.merged(Wanted(options=("web_open_browser=true",)))
    hosts = hosts_to_sign_for(wanted, str(Confdir(folder).path))
    if not Confdir(folder).authority.exists():
        print(_banner(folder, hosts), flush=True)
    from understudy.workstation.launch import LaunchError, RunsAlready, become

    try:
        if arguments.background:
            return _start(folder, wanted, hosts)
        become(folder, wanted, hosts)
    except RunsAlready as error:  # Somebody else was first.
        return _runs_already(folder, error.running, wanted)
    except LaunchError as error:
        raise CannotDo(str(error)) from None


def _start(folder: Path, wanted: Wanted, hosts: frozenset[str]) -> int:
    from understudy.cli.surroundings import passed_by
    from understudy.workstation.launch import start

    runtime = start(
        folder,
        program=wanted.program,
        options=wanted.options,
        port=wanted.port,
        modes=wanted.modes,
        transparent=wanted.transparent,
        hosts=hosts,
    )
    print(f"The proxy runs: {where(runtime)}")
    print(f"Its log: {folder / 'logs' / 'proxy.log'}")
    warn(runtime, wanted)
    for sentence in passed_by(runtime, folder, os.environ):
        print(f"understudy: {sentence}", file=sys.stderr)
    return 0


def _runs_already(folder: Path, running: Runtime, wanted: Wanted) -> int:
    from understudy.workstation.wanted import remembered

    difference = wanted.differs_from(running, remembered(folder, running))
    if difference:
        raise CannotDo(
            f"a proxy runs already ({where(running)}), and {difference}. To change it, give what you want to: "
            "understudy restart"
        )
    print(f"A proxy runs already: {where(running)}")
    if running.web:
        print(
            f"The key to its page, if it asks for one, is in its log: {folder / 'logs' / 'proxy.log'}, or its terminal."
        )
    return 0


def where(runtime: Runtime) -> str:
    """Where a proxy is to be found, in words."""
    places = ", ".join(dict.fromkeys(f"{each.host}:{each.port}" for each in runtime.listeners)) or "no port"
    page = f", its page on {runtime.web}" if runtime.web else ""
    return f"{places}, process {runtime.pid}{page}"


def hosts_to_sign_for(wanted: Wanted, confdir: str, told: Mapping[str, object] | None = None) -> frozenset[str]:
    """The hosts that the authority has to sign for. `told`: see `read_options`. Raises WrongUse."""
    options = [option for option in wanted.options if option.startswith("codex_")]
    if options or told or any(Path(confdir, name).exists() for name in ("config.yaml", "config.yml")):
        return read_options(options, confdir, told).scope.all
    return HOSTS  # To find that out otherwise takes mitmproxy, and longer than all the rest.


def warn(runtime: Runtime, wanted: Wanted) -> None:
    """Says where a proxy does not do what is asked for although it was started so."""
    if difference := wanted.differs_from(runtime, wanted):
        said = f"{difference}: its config.yaml says so, which counts before --set for mitmproxy"
        print(f"understudy: {said} ({Path(runtime.confdir, 'config.yaml')})", file=sys.stderr)


def _banner(folder: Path, hosts: frozenset[str]) -> str:
    labels = [account.label for account in store().read().accounts if account.enabled]
    return BANNER.format(
        hosts=", ".join(sorted(hosts)),
        accounts=f"your accounts: {', '.join(labels)}"
        if labels
        else "nobody: there is no account yet (understudy login)",
        authority=Confdir(folder).authority,
    )

"""`understudy env`: what a shell evaluates so that its programs go through the running proxy, or no longer do."""

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command, add_json
from understudy.state.home import home
from understudy.workstation.shells import SHELLS, how_to_evaluate, render, shell_named

DESCRIPTION = """\
Prints what sends the programs of this shell through the running proxy, for the shell to evaluate:

  eval "$(understudy env)"              sh, bash, zsh
  understudy env | source               fish
  understudy env | Out-String | iex     PowerShell (not run by us)

It ends with the shell; --unset prints what takes it back. For one program alone there is
`understudy run -- PROGRAM`."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "env",
        run,
        help="print what sends a shell's programs through the proxy",
        description=DESCRIPTION,
        example='eval "$(understudy env)"',
    )
    parser.add_argument("--shell", choices=SHELLS, help="whose language to print; default: the shell that asks")
    parser.add_argument("--unset", action="store_true", help="print what makes the environment what it was before")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the changes, or nothing at all where there is no proxy. Exit code 0 or 1; 2 where the shell is unknown."""
    from understudy.workstation.environment import restoring

    shell = None if arguments.json else arguments.shell or _shell()
    changes, url = (restoring(os.environ), None) if arguments.unset else _changes()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # A value may be any bytes, and must stay these.
    if shell is None:
        print(json.dumps({"version": 1, "proxy": url, "variables": changes}, indent=2))
        return 0
    print(render(changes, shell), end="")
    _explain(shell, arguments.unset, changes)
    return 0


def _changes() -> tuple[Mapping[str, str | None], str]:
    """What reaches the running proxy. What it takes on disk is put there. Raises CannotDo where none is running."""
    from understudy.cli.surroundings import prepared, running_proxy, url_of, warn

    proxy = running_proxy(home(), os.environ)
    if proxy is None:
        raise CannotDo(_nothing_to_use())
    surroundings = prepared(proxy, home(), os.environ)
    warn(surroundings.warnings)
    return surroundings.changes, url_of(proxy)


def _nothing_to_use() -> str:
    """Why there is no proxy that this shell could use, and what to do."""
    from understudy.state.runtime import shared_proxy

    running = shared_proxy(home())
    if running is None:
        return "no proxy is running; start one: understudy start --background"
    return (
        f"the running proxy (process {running.pid}) does not answer, or has a certificate authority of its own in "
        f"{running.confdir}; end it, and: understudy start --background"
    )


def _explain(shell: str, unset: bool, changes: Mapping[str, str | None]) -> None:
    """Who reads this on a terminal has not evaluated it."""
    if unset and not changes:
        print("understudy: there is nothing to take back in this environment", file=sys.stderr)
    elif sys.stdout.isatty():
        print(f"\n# To have it evaluated: {how_to_evaluate(shell)}", file=sys.stderr)


def _shell() -> str:
    """The shell that asks: the one that started this process, else the user's. Raises WrongUse."""
    shell = shell_named(_parent()) or shell_named(os.environ.get("SHELL", "sh"))
    if shell is None:
        named = shlex.quote(os.environ["SHELL"])
        raise WrongUse(f"what {named} evaluates is not known here; say --shell with one of {', '.join(SHELLS)}")
    return shell


def _parent() -> str:
    """The name of the program that started this process; empty where it cannot be told."""
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text()
    except OSError:
        pass
    try:
        command = ["ps", "-o", "comm=", "-p", str(os.getppid())]
        return subprocess.run(command, capture_output=True, text=True, timeout=2, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""

"""`understudy service install`: has the proxy start with the user's login."""

import argparse
import os
import shlex
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import understudy
from understudy.cli.arguments import CannotDo, Commands, WrongUse, add_command, add_yes

if TYPE_CHECKING:
    from understudy.workstation.service import Manager, Service

DESCRIPTION = """\
Has systemd (Linux) or launchd (macOS; not run by us) run the proxy from login to logout, start it
again when it fails, and keep it from all that it does not need. Once more changes what has changed.
Its port stays the same. Its options are those in config.yaml in the folder mitmproxy/ in ours."""
START_LIMIT = 30.0
"""Seconds until the proxy must answer."""


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "install",
        run,
        help="have the proxy start with your login",
        description=DESCRIPTION,
        example="understudy service install --dry-run",
    )
    parser.add_argument("--port", type=int, help="where it listens; default: where it did, else 8080")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add_yes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Installs it, or prints how. Exit code 0; raises CannotDo, WrongUse, StateError."""
    from understudy.cli.pool import confirm
    from understudy.cli.service.manager import check_answers, installed, installed_port, manager
    from understudy.state.home import home, private_folder
    from understudy.workstation.launch import PORT

    chosen, folder = manager(), home()
    old = installed(chosen)
    port = arguments.port if arguments.port is not None else installed_port(old) or PORT
    if not 0 < port < 65536:
        raise WrongUse(f"--port takes a number from 1 to 65535, not {port}")
    text = described(chosen, the_service(folder, port))
    if arguments.dry_run:
        print(plan(chosen, text))
        return 0
    check_answers(chosen)
    check_port(port, old)
    if not chosen.run_by_us:
        confirm(f"Understudy's {chosen.name} service was never run by its authors. Install it?", arguments.yes)
    private_folder(folder)
    carry_out_plan(chosen, text, old)
    wait_until_it_answers(folder, port)
    print(f"the proxy runs as a service at http://127.0.0.1:{port}; it starts with your login")
    if chosen.stay is not None:
        print(f"to keep it running after you log out: {shlex.join(chosen.stay)}")
    return 0


def the_service(folder: Path, port: int) -> "Service":
    """This installation as a service."""
    from understudy.workstation.service import Service, environment

    package = Path(understudy.__file__).parents[1]
    return Service(Path(sys.executable), folder, port, environment(folder, package, os.environ))


def described(manager: "Manager", service: "Service") -> str:
    """The service's file for the manager. Raises CannotDo where a path cannot be told."""
    from understudy.cli.service.manager import ask
    from understudy.workstation.units import agent, probe, unit

    try:
        if manager.name == "launchd":
            return agent(service)
        tried = ask(probe())
        return unit(service, confined=tried is not None and tried.returncode == 0)
    except ValueError as error:
        raise CannotDo(str(error)) from None


def plan(manager: "Manager", text: str) -> str:
    """What would be done, to read."""
    commands = "\n".join(f"  {shlex.join(step.command)}" for step in (*manager.renew, *manager.start))
    return f"{manager.file}:\n\n{text}\nthen:\n{commands}"


def check_port(port: int, old: str | None) -> None:
    """Raises CannotDo where something that is not the service listens on its port."""
    from understudy.cli.service.manager import installed_port

    if installed_port(old) == port:
        return
    with closing(socket.socket()) as visitor:
        if visitor.connect_ex(("127.0.0.1", port)) == 0:
            raise CannotDo(f"port {port} is taken: if a proxy of yours has it, `understudy stop`; else choose a --port")


def carry_out_plan(manager: "Manager", text: str, old: str | None) -> None:
    """Writes the file, unless it is as it should be, and has the manager start it. Raises CannotDo, StateError."""
    from understudy.cli.service.manager import carry_out
    from understudy.state import files

    if text != old:
        manager.file.parent.mkdir(parents=True, exist_ok=True)
        files.write(manager.file, text.encode())
        carry_out(manager.renew)
    carry_out(manager.start)


def wait_until_it_answers(folder: Path, port: int) -> None:
    """Raises CannotDo where the proxy does not answer in time."""
    from understudy.cli.service.manager import answering

    until = time.monotonic() + START_LIMIT
    while answering(folder, port) is None:
        if time.monotonic() > until:
            raise CannotDo("the service is installed, but its proxy does not answer; see `understudy service logs`")
        time.sleep(0.2)

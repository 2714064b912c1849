"""What the commands have in common: which manager there is, what is installed, and running its commands."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from understudy.cli.arguments import CannotDo
from understudy.state.home import home
from understudy.state.runtime import Runtime, runtimes
from understudy.workstation import reach
from understudy.workstation.service import MARK, Command, Manager, Step, launchd, systemd

ALTERNATIVE = "`understudy start --background` starts the proxy without one"
LIMIT = 120
"""Seconds that one command may take: to stop the service takes as long as its last answers do."""


def manager() -> Manager:
    """The manager of this platform. Raises CannotDo where there is none that we know."""
    if sys.platform == "darwin":
        return launchd(Path.home(), home(), os.getuid())
    if sys.platform.startswith("linux"):
        return systemd(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"))
    raise CannotDo(f"services are for systemd and launchd, which {sys.platform} has not; {ALTERNATIVE}")


def check_answers(manager: Manager) -> None:
    """Raises CannotDo unless the manager is there for this user."""
    done = ask(manager.answers)
    if done is None:
        raise CannotDo(f"there is no {manager.name} here ({manager.answers[0]} is missing); {ALTERNATIVE}")
    if done.returncode != 0:
        raise CannotDo(f"{manager.name} does not serve this user: {_last_line(done)}; {ALTERNATIVE}")


def installed(manager: Manager) -> str | None:
    """The service's file as it is, or None where there is none. Raises CannotDo where it is not ours."""
    try:
        text = manager.file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    if MARK not in text:
        raise CannotDo(f"{manager.file} was not made by Understudy; move it away")
    return text


def installed_port(text: str | None) -> int | None:
    """The port in the service's file; None where it does not tell."""
    found = re.search(r'--port(?:" "|</string>\s*<string>)(\d+)', text or "")
    return int(found[1]) if found else None


def answering(home: Path, port: int) -> Runtime | None:
    """The proxy of this user that answers at a port; None where there is none. Blocking."""
    found = next((each for each in runtimes(home) if each.port == port), None)
    return found and reach.ask(found)


def carry_out(steps: Iterable[Step]) -> None:
    """Runs the commands in turn. Raises CannotDo for the first that fails and may not."""
    for step in steps:
        done = ask(step.command)
        if not step.may_fail and (done is None or done.returncode != 0):
            why = "it is missing" if done is None else _last_line(done)
            raise CannotDo(f"{shlex.join(step.command)} failed: {why}")


def ask(command: Command) -> subprocess.CompletedProcess[str] | None:
    """Runs one command and keeps what it says; None where there is no such program, or no end to it."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"

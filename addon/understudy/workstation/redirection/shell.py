"""Carries out the steps of a plan, through sudo where they need root and we are not."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from understudy.workstation.redirection.step import Step

SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Where root finds programs: a user's PATH often lacks the first ones."""


class Failed(Exception):
    """A step could not be carried out; the message says which and why."""


def present(program: str) -> bool:
    """Whether root would find this program."""
    return shutil.which(program, path=SYSTEM) is not None


def needs_sudo() -> bool:
    """Whether what needs root goes through sudo."""
    return os.geteuid() != 0


def carry_out(steps: Iterable[Step]) -> tuple[str, ...]:
    """Carries the steps out in order: what each of them printed. sudo may ask for a password. Raises Failed."""
    return tuple(_carried_out(step) for step in steps)


def attempt(step: Step, *, ask: bool) -> str | None:
    """What a step printed, or None where it failed. `ask`: sudo may ask for a password.

    Raises Failed where it needs root, and that cannot be had.
    """
    if not (step.root and needs_sudo()):
        through: tuple[str, ...] = ()
    else:
        through = ("sudo",) if ask else ("sudo", "-n")
        if not present("sudo") or _run((*through, "true")).returncode:
            raise Failed(f"could not {step.why}: that needs root" + ("" if ask else "; `sudo -v` first"))
    done = _run((*through, *step.argv), step.stdin)
    return done.stdout if done.returncode == 0 else None


def _carried_out(step: Step) -> str:
    through = ("sudo", "--") if step.root and needs_sudo() else ()
    if through and not present("sudo"):
        raise Failed(f"could not {step.why}: that needs root, and there is no sudo")
    done = _run((*through, *step.argv), step.stdin)
    if done.returncode:
        raise Failed(f"could not {step.why}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _run(argv: tuple[str, ...], stdin: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": SYSTEM, "LC_ALL": "C"}
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, env=environment)
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: {error.strerror}")

"""A command of a plan: what `--dry-run` prints is what is carried out."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One command."""

    why: str
    argv: tuple[str, ...]
    stdin: str = ""
    root: bool = True
    """It needs root, so it is carried out through sudo where that is not who asks."""


def rendered(steps: Iterable[Step], *, sudo: bool) -> str:
    """The steps as a shell would take them. `sudo`: they are not carried out by root."""
    return "\n".join(_lines(step, sudo=sudo) for step in steps)


def _lines(step: Step, *, sudo: bool) -> str:
    command = shlex.join(("sudo", *step.argv) if sudo and step.root else step.argv)
    if not step.stdin:
        return f"# {step.why}\n{command}"
    return f"# {step.why}\n{command} <<'END'\n{step.stdin}END"

"""Shows plans for stores of certificates, has the user agree to them, and carries them out."""

import argparse
import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from understudy.cli.arguments import CannotDo
from understudy.cli.pool import confirm

if TYPE_CHECKING:
    from understudy.workstation.trust import Plan


def carry_out(plans: "Sequence[Plan]", question: str, arguments: argparse.Namespace) -> bool:
    """Runs the plans' steps; with `--dry-run` it shows them alone. Whether they are in force now. Raises CannotDo."""
    from understudy.workstation.trust import shown

    steps = [step for plan in plans for step in plan.steps]
    for plan in plans:
        doubt = "" if plan.tried else " (not run by us)"
        print("\n".join([f"{plan.store}{doubt}:", *(f"  {shown([step])}" for step in plan.steps or [])]))
    if not steps:
        print("there is nothing to do")
    if arguments.dry_run:
        return False
    if steps:
        confirm(question, arguments.yes)
    for step in steps:
        _run(step)
    return True


def _run(step: tuple[str, ...]) -> None:
    from understudy.workstation.stores import search_path
    from understudy.workstation.trust import shown

    try:
        # They tell at length what went well, on the one channel; sudo asks on another.
        done = subprocess.run(
            step, env=os.environ | {"PATH": search_path()}, stdout=subprocess.PIPE, text=True, errors="replace"
        )
    except OSError as error:
        raise CannotDo(f"cannot run {step[0]}: {error.strerror}; what came before it is done") from None
    if done.returncode:
        print(done.stdout, end="")
        raise CannotDo(f"this failed, with exit code {done.returncode}: {shown([step])}; what came before it is done")

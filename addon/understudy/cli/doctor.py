"""`understudy doctor`: looks for what is wrong on this machine, says how to mend it, and mends what is safe to mend."""

import argparse
import json
import os
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, WrongUse, add_command, add_json
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.render import COLUMNS, wrapped
from understudy.state.home import home
from understudy.wire.text import safe_text

if TYPE_CHECKING:  # it takes longer to load than `--help` takes
    from understudy.doctor.check import Check, Finding
    from understudy.doctor.machine import LoginFile, Machine

NAME = 16
"""Cells for a check's name."""
MARKS = {"ok": "ok", "warn": "WARNING", "bad": "BAD", "skipped": "-"}
MARK = 7


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "doctor",
        run,
        help="find what is wrong, and how to mend it",
        description=(
            "Looks at the installation, Understudy's folder, the accounts, the certificate authority, the\n"
            "running proxies and the variables of this shell, in the order in which things break. For what is\n"
            "wrong it says why that matters, and the one command that mends it. Nothing is changed, and\n"
            "nothing is asked of ChatGPT.\n\n"
            "Exit code 0 where nothing is bad, warnings or not, else 1."
        ),
        example="understudy doctor --json | jq '.checks[] | select(.state == \"bad\")'",
    )
    add_json(parser)
    parser.add_argument(
        "--fix",
        action="store_true",
        help="carry out what is safe: permissions, leftovers, a missing certificate authority; never accounts or trust",
    )
    parser.add_argument(
        "--live", action="store_true", help="ask ChatGPT, too: the time, and whether the logins work (uses nothing up)"
    )
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what was found. Exit code 0 or 1, 2 for options that are wrong."""
    from understudy.doctor.check import healthy
    from understudy.doctor.checks import as_object, look, mend

    live = _live(arguments)
    fixed = [*mend(this_machine())] if arguments.fix else []
    findings = look(this_machine(), live)
    if arguments.json:
        told = as_object(findings, [line for done, line in fixed if done])
        print(json.dumps(told, indent=2))
        return 0 if told["healthy"] else 1
    for done, line in fixed:
        print("\n".join(wrapped(f"{'fixed' if done else 'could not mend'}: {line}", 2)))
    seen = []
    for finding in findings:
        seen.append(finding)
        print("\n".join(_lines(finding)), flush=True)
    print("\n" + "\n".join(wrapped(_verdict(seen))))
    return 0 if healthy(seen) else 1


def this_machine() -> "Machine":
    """What the checks look at."""
    from understudy.doctor.machine import Machine
    from understudy.workstation.launch import PORT

    return Machine(home(), os.environ, Path.home(), time.time(), PORT, _login_files)


def _login_files() -> "Sequence[LoginFile]":
    from understudy.cli.login_files import places, present, read_file
    from understudy.doctor.machine import LoginFile

    found = []
    for program, path in present(places(os.environ, Path.home())):
        try:
            found.append(LoginFile(program, path, read_file(path).found))
        except ValueError:
            continue  # It holds no login, so it shares none.
    return found


def _lines(finding: "Finding") -> list[str]:
    """One line for what is well, a paragraph for what is not."""
    result = finding.result
    head = f"{MARKS[result.state]:{MARK}} {finding.name:{NAME}} "
    remedy = [f"To mend it: {result.command}"] if result.command else []
    remedy += ["`understudy doctor --fix` does it."] if result.fixable else []
    lines = _wrapped(head + result.said, "", " " * len(head))
    for text in (result.why, *remedy) if result.why else ():
        lines += _wrapped(text, " " * (MARK + 1), " " * (MARK + 3))
    return lines


def _wrapped(text: str, first: str, others: str) -> list[str]:
    """In lines of `COLUMNS`, but for what is to be copied as a whole, as a path."""
    return textwrap.wrap(
        safe_text(text, 2000),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _verdict(findings: "Sequence[Finding]") -> str:
    states = [finding.result.state.value for finding in findings]
    bad, warnings = states.count("bad"), states.count("warn")
    warned = f", {warnings} {'warning' if warnings == 1 else 'warnings'}" if warnings else ""
    if not bad:
        return f"Nothing is broken{warned}."
    broken = "1 thing is broken" if bad == 1 else f"{bad} things are broken"
    return f"{broken}{warned}. Begin with the first: others may follow from it."


def _live(arguments: argparse.Namespace) -> "tuple[Check[Machine], ...]":
    if not arguments.live:
        if arguments.options:
            raise WrongUse("--set is for --live, which asks the backend")
        return ()
    from understudy.doctor.live import checks

    return checks(read_network(arguments))

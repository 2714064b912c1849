"""`understudy ca doctor`: what is wrong with the authority."""

import argparse
import json
import time

from understudy.cli.arguments import Commands, add_command, add_json
from understudy.cli.ca.common import CREATE, confdir, wanted_hosts


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "doctor",
        run,
        help="say what is wrong with it",
        description="Says what is wrong with the certificate authority. Exit code 1 where anything is.",
        example="understudy ca doctor",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Says it. Exit code 0, or 1 where anything is wrong."""
    wrong, command = _diagnosis()
    if arguments.json:
        print(json.dumps({"version": 1, "faults": wrong, "command": command}, indent=2))
    else:
        print("\n".join([*wrong, f"To mend it: {command}"] if wrong else ["nothing is wrong with it"]))
    return 1 if wrong else 0


def _diagnosis() -> tuple[list[str], str | None]:
    """What is wrong, and the command that mends it."""
    from understudy.state.errors import StateError
    from understudy.workstation.authority import ROTATE, faults
    from understudy.workstation.keeping import file_faults, load

    folder = confdir()
    try:
        found = load(folder)
    except StateError as error:
        return [f"{error}"], ROTATE
    if found is None:
        return ["There is no certificate authority."], CREATE
    if wrong := faults(found, wanted_hosts(), time.time()):
        return list(wrong), ROTATE
    wrong = file_faults(folder, found)
    return list(wrong), CREATE if wrong else None

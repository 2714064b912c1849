"""`understudy transparent status`: whether the redirection does what it should, and what to do where it does not."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command, add_json
from understudy.state.home import home

if TYPE_CHECKING:
    from understudy.workstation.redirection.condition import Condition


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "status",
        run,
        help="show whether it works",
        description=(
            "Shows whether connections are redirected, and what to do where something is wrong: off, in\n"
            "step, half, gone, stale (no proxy: connections are refused), loop, or unknown. Only root can\n"
            "see the rules: sudo is used where it asks for nothing. Exit code 1 where there is something\n"
            "to mend."
        ),
        example="understudy transparent status --json | jq -r .state",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows it. Exit code 0 where nothing is to mend, or 1."""
    from understudy.state.runtime import runtimes
    from understudy.workstation.redirection.condition import examine

    found = examine(home(), runtimes(home()))
    print(json.dumps(_object(found), indent=2) if arguments.json else "\n".join(_lines(found)))
    return 0 if found.sound else 1


def _lines(found: "Condition") -> list[str]:
    from understudy.workstation.redirection.redirect import Cgroup

    lines = [found.state.value, *(f"  {reason}" for reason in found.reasons)]
    if found.known is not None:
        redirect, tool = found.known.redirect, found.known.tool
        whose = redirect.selector.folder if isinstance(redirect.selector, Cgroup) else redirect.selector.name
        where = "any address" if redirect.every_address else ", ".join(redirect.hosts)
        lines.append(f"  made with {tool}: {whose} to {where}, to ports {redirect.ports[0]} and {redirect.ports[1]}")
    return [*lines, f"  mend it: {found.mend}"] if found.mend else lines


def _object(found: "Condition") -> dict[str, object]:
    """`{"version": 1, "state", "reasons": [...], "mend": ... | null, "redirect": {...} | null}`."""
    redirect = found.known and {**asdict(found.known.redirect), "tool": found.known.tool}
    return {
        "version": 1,
        "state": found.state.value,
        "reasons": list(found.reasons),
        "mend": found.mend or None,
        "redirect": redirect,
    }

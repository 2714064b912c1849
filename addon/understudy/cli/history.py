"""`understudy history`: what is kept of answers for hosts that refer to them, and wiping it."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.arguments import Commands, add_command, add_json, add_yes
from understudy.cli.pool import confirm
from understudy.cli.render import age
from understudy.state.home import home

if TYPE_CHECKING:  # SQLite takes longer to load than `--help` takes
    from understudy.state.answers.book import Figures

DESCRIPTION = """\
Shows what is kept of answers, so that hosts can refer to them by previous_response_id, by the
ids of items and by conversations, though ChatGPT keeps none. Where, is for the proxy's option
codex_history: in the memory of each proxy, on disk for all of them, or nowhere."""


def add_parser(commands: Commands) -> None:
    """Adds the command, and its own, to the command line."""
    parser = add_command(
        commands,
        "history",
        run_show,
        help="show or wipe the answers that are kept for hosts",
        description=DESCRIPTION,
        example="understudy history clear",
    )
    add_json(parser)
    own = parser.add_subparsers(title="commands", metavar="COMMAND")
    show = add_command(
        own,
        "show",
        run_show,
        help="show what is kept, and where",
        description=DESCRIPTION,
        example="understudy history show --json | jq .disk.bytes",
    )
    add_json(show)
    clear = add_command(
        own,
        "clear",
        run_clear,
        help="delete all that is kept",
        description=(
            "Deletes all answers and conversations that are kept, on disk and in the memory of running proxies.\n"
            "A host that refers to one of them is told that it is not found."
        ),
        example="understudy history clear --yes",
    )
    add_yes(clear)


def run_show(arguments: argparse.Namespace) -> int:
    """Shows it. Exit code 0, or 1 where the file cannot be read."""
    from understudy.state.answers.disk import NAME, figures
    from understudy.state.running import Running

    folder, now = home(), time.time()
    found = figures(folder)
    modes = [(record.pid, record.told.get("history")) for record in Running(folder).all()]
    if arguments.json:
        print(json.dumps(_object(folder / NAME, found, modes), indent=2))
        return 0
    print("\n".join(_disk_lines(folder / NAME, found, now)))
    for pid, mode in modes:
        print(f"proxy (process {pid}): {_WHERE.get(str(mode), 'does not say where it keeps answers')}")
    if not modes:
        print("no proxy is running")
    return 0


def run_clear(arguments: argparse.Namespace) -> int:
    """Asks, and wipes it. Exit code 0 or 1."""
    from understudy.state.answers.disk import wipe

    confirm("Delete all answers and conversations that are kept, also those in running proxies?", arguments.yes)
    wipe(home())
    print("deleted all answers and conversations that were kept")
    return 0


_WHERE = {
    "off": "keeps no answers",
    "memory": "keeps answers in its own memory, which cannot be seen from here; they end with it",
    "disk": "keeps answers on disk",
}
"""What a running proxy does, by its mode."""


def _disk_lines(path: Path, found: "Figures | None", now: float) -> list[str]:
    if found is None:
        return ["on disk: nothing"]
    oldest = "" if found.oldest is None else f", the oldest {age(now - found.oldest)}"
    return [
        f"on disk: {_count(found.responses, 'response')}, {_count(found.conversations, 'conversation')}{oldest}",
        f"         {found.size} bytes in {path}",
    ]


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def _object(path: Path, found: "Figures | None", modes: list[tuple[int, object]]) -> dict[str, object]:
    kept = found and {
        "path": str(path),
        "responses": found.responses,
        "conversations": found.conversations,
        "bytes": found.size,
        "oldest_at": found.oldest,
    }
    proxies = [{"pid": pid, "mode": mode if str(mode) in _WHERE else None} for pid, mode in modes]
    return {"version": 1, "disk": kept, "proxies": proxies}

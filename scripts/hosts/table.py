"""Prints what the tests of real programs have told: one line for each program and case."""

import json
import sys
from pathlib import Path

COLUMNS = ("host", "case", "result", "proxy s", "direct s", "ratio", "what the person sees")


def main(path: Path) -> None:
    """The table in Markdown, by host."""
    rows = [_cells(json.loads(line)) for line in path.read_text().splitlines()]
    rows.sort(key=lambda row: row[0])
    for row in (COLUMNS, ("---",) * len(COLUMNS), *rows):
        print(f"| {' | '.join(row)} |")


def _cells(told: dict[str, object]) -> tuple[str, ...]:
    seconds, direct = told["seconds"], told["direct"]
    times = tuple("" if value is None else f"{value:.2f}" for value in (seconds, direct))
    ratio = f"{seconds / direct:.2f}" if isinstance(seconds, float) and isinstance(direct, float) else ""
    result = str(told["result"])
    seen = str(told["seen"]).replace("|", "\\|")
    return str(told["host"]), str(told["case"]), result if result == "passed" else result.upper(), *times, ratio, seen


main(Path(sys.argv[1]))

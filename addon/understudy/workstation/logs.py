"""What proxies in the background write: files of ours in `logs/`, of which a few are kept."""

import os
from itertools import pairwise
from pathlib import Path

from understudy.state.home import private_folder

LARGEST = 1024 * 1024
"""Bytes from which on a log is put aside when a proxy starts."""
KEPT = 3
"""How many of those that were put aside are kept."""
LINES = 8
"""How many lines tell why a proxy did not start."""
SHOWN = 64 * 1024
"""Bytes of a log that are looked at for them."""


def folder(home: Path) -> Path:
    """Where they are."""
    return home / "logs"


def opened(path: Path) -> int:
    """The log to write on, for its owner alone; a large one is put aside first. Raises StateError, OSError."""
    private_folder(path.parent)
    if path.exists() and path.stat().st_size > LARGEST:
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def why(path: Path, began: int) -> str:
    """The lines that say why a proxy did not start: its errors, or else the last that it wrote. `began`: bytes."""
    with path.open("rb") as log:
        log.seek(max(began, path.stat().st_size - SHOWN))
        lines = [line for line in log.read(SHOWN).decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "understudy:" in line or "error" in line.lower()]
    return "\n".join(f"  {line.strip()}" for line in (errors or lines)[-LINES:]) or "  it wrote nothing"

"""What `up` has made, as it is kept in our folder: so that `down` and `status` know it, after a crash too."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from understudy.state import files
from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector

NAME = "transparent.json"


@dataclass(frozen=True, slots=True)
class Record:
    """One redirection that was made, or was being made when `up` ended."""

    redirect: Redirect
    tool: str
    boot: str
    """The boot of the machine that it was made in: rules do not outlast it."""
    essence: str | None = None
    """The rules as the tool told them once they were made; None: `up` did not come to its end."""
    group: int | None = None
    """The number of the control group, by which the rules know it: one made anew has another."""
    refresher: int | None = None
    """The process that keeps the addresses fresh."""


def read(home: Path) -> Record | None:
    """What is recorded, or None, also for what another version may have written. Raises StateError."""
    content = files.read(home / NAME)
    try:
        return _decoded(json.loads(content.data)) if content else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def write(home: Path, record: Record) -> None:
    """Records it. Raises StateError."""
    data = json.dumps({"version": 1, **asdict(record)}).encode()
    with files.locked(home / NAME):
        files.write(home / NAME, data)


def forget(home: Path) -> None:
    """There is nothing any more."""
    files.remove([home / NAME])


def _decoded(told: dict[str, Any]) -> Record | None:
    if told.pop("version") != 1:
        return None
    redirect = told.pop("redirect")
    listed = {name: tuple(redirect[name]) for name in ("ports", "hosts", "addresses")}
    return Record(Redirect(**{**redirect, **listed, "selector": _selector(redirect["selector"])}), **told)


def _selector(told: dict[str, Any]) -> Selector:
    return Cgroup(**told) if "path" in told else OtherUser(**told)

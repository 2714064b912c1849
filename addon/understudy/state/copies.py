"""Dated copies of a file, in a folder beside it: `backups/` and `quarantine/`, the latest few of each."""

import time
from pathlib import Path

from understudy.state import files
from understudy.state.home import private_folder

MOST = 5
"""Copies that are kept in a folder."""


def place_for(path: Path, folder: str) -> Path:
    """A new name for a copy of `path` in the private folder `folder` beside it; the names sort by time.

    As `backups/accounts.json.20261121T140500.123456789`. Raises StateError.
    """
    now = time.time_ns()
    date = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    return private_folder(path.parent / folder) / f"{path.name}.{date}.{now % 10**9:09d}"


def prune(latest: Path) -> None:
    """Removes what is too old of the copies beside this one, and what killed writers left there.

    Never `latest` itself: with a clock that was set back it may bear the oldest name.
    """
    name = latest.name.rsplit(".", 2)[0]
    others = sorted(path for path in latest.parent.glob(f"{name}.[0-9]*") if path != latest)
    files.remove([*others[: 1 - MOST], *latest.parent.glob(f".{name}.*.tmp")])

"""What is Understudy's in its folder, by name: whatever else lies there is not judged, and never changed."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_DATED = r"(?:accounts\.json|answers\.sqlite3)[\w.-]*"
_FOLDERS: Mapping[str, str] = {
    "leases": r"\w[\w-]*\.json",
    "running": r"[0-9]+-[0-9a-f]{16}\.(?:json|lock)",
    "backups": _DATED,
    "quarantine": _DATED,
    "mitmproxy": r"mitmproxy-(?:ca(?:-cert)?\.(?:pem|p12|cer)|dhparam\.pem)|bundle\.pem|(?:config|keys)\.ya?ml",
    "logs": r"(?:proxy|run)\.log(?:\.[0-9])?",
}
"""Our folders, with what the files in each are called."""
_FILES = (
    r"accounts\.json(?:\.bak)?|(?:quota|affinity|history|models|start|transparent)\.json"
    r"|answers\.(?:wiped|sqlite3(?:-wal|-shm|-journal)?)|service\.log(?:\.[0-9])?|\.start\.lock"
)
_NOBODYS = frozenset({".DS_Store", "lost+found"})
"""What systems put into any folder."""
_BESIDE = r"\.(?:{0})\.(?:lock|[0-9a-f]{{16}}\.(?:tmp|room))"
"""The lock of a file, and what is to take its place."""


def _named(files: str) -> re.Pattern[str]:
    return re.compile(f"(?:{files})|{_BESIDE.format(files)}", re.ASCII)


_NAMES: Mapping[str, re.Pattern[str]] = {folder: _named(files) for folder, files in _FOLDERS.items()}
_AT_TOP = _named(_FILES)


def belongings(folder: Path) -> Iterator[Path]:
    """What is ours in `folder`, and in our folders there, in the order of the names. Links are not followed."""
    for path in _entries(folder):
        if path.name in _NAMES:
            yield path
            if not path.is_symlink():
                yield from (below for below in _entries(path) if _NAMES[path.name].fullmatch(below.name))
        elif _AT_TOP.fullmatch(path.name):
            yield path


def stranger(home: Path, user_home: Path) -> str:
    """Why `home` is not Understudy's folder, in words; empty where it is, or is not there.

    It is where it holds accounts, or records of proxies, or nothing else than what is ours.
    """
    folder = home.resolve()
    if folder == Path(folder.anchor):
        return "it is the root folder"
    if folder == user_home.resolve():
        return "it is your home"
    if os.path.lexists(folder / "accounts.json") or os.path.lexists(folder / "running"):
        return ""
    others = [path.name for path in _entries(folder) if not _is_known(path.name)]
    return f"it has {', '.join(others[:3])}, and no accounts" if others else ""


def _is_known(name: str) -> bool:
    return name in _NAMES or name in _NOBODYS or _AT_TOP.fullmatch(name) is not None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []  # It is none, or closed to us: then that is what is said of it.

"""The login files of other programs: where they lie by default, and what is in one. They are never written."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from understudy.oauth.formats.found import Found

_ACCOUNTS = "openai-codex-accounts.json"
"""The name that codex-multi-auth, and older versions of other programs, give their pool."""
_OC_ACCOUNTS = "oc-codex-multi-auth-accounts.json"


class Place(NamedTuple):
    """Where a program keeps logins: the files below `folder` that `pattern` names, which may have a wildcard."""

    program: str
    folder: Path
    pattern: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what was found in it."""

    path: Path
    found: "Found"


def places(environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where each program keeps its logins unless it is told otherwise. `home`: the user's home folder."""
    codex = _folder(environ, "CODEX_HOME", home / ".codex")
    config = _folder(environ, "XDG_CONFIG_HOME", home / ".config") / "opencode"
    multi_auth = _folder(environ, "CODEX_MULTI_AUTH_DIR", codex / "multi-auth")
    return [
        Place("Codex", codex, "auth.json"),
        Place("OpenCode", _folder(environ, "XDG_DATA_HOME", home / ".local" / "share") / "opencode", "auth.json"),
        Place("opencode-codex-auth", config, "codex-accounts.json"),
        Place("opencode-codex-auth", config, _ACCOUNTS),
        Place("oc-codex-multi-auth", home / ".opencode", _OC_ACCOUNTS),
        Place("oc-codex-multi-auth", home / ".opencode", _ACCOUNTS),
        Place("oc-codex-multi-auth", home / ".opencode" / "projects", f"*/{_OC_ACCOUNTS}"),
        Place("codex-multi-auth", multi_auth, _ACCOUNTS),
        Place("codex-multi-auth", multi_auth / "projects", f"*/{_ACCOUNTS}"),
        Place("kyoli-gam", _folder(environ, "OPENCODE_CONFIG_DIR", config), "openai-multi-account-accounts.json"),
        Place("codex-oauth", home / ".claude", "auth.json"),
    ]


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    named = Path(environ.get(name, "").strip())
    return named if named.is_absolute() else default


def present(known: list[Place]) -> Iterator[tuple[str, Path]]:
    """The files that are there, each with the program that it should be of."""
    for place in known:
        for path in sorted(place.folder.glob(place.pattern)):
            yield place.program, path


def read_file(path: Path) -> Source:
    """What is in the file at `path`, or in the `auth.json` of the folder there.

    Raises ValueError, in words for the user, where that is no login.
    """
    from understudy.oauth.imports import read_logins

    file = path
    try:
        file = path / "auth.json" if path.is_dir() else path
        found = read_logins(_content(file))
    except FileNotFoundError:
        what = "there is no auth.json in this folder" if file is not path else "there is no such file"
        raise ValueError(what) from None
    except OSError as error:
        raise ValueError(f"cannot read {file.name} ({error.strerror or type(error).__name__})") from None
    if not found.logins:
        why = f" ({'; '.join(found.left_out)})" if found.left_out else ""
        raise ValueError(f"it is of {found.program}, and holds no ChatGPT login that can be used{why}")
    return Source(file, found)


def _content(file: Path) -> bytes:
    from understudy.oauth.imports import MAX_SIZE

    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("it is no regular file")
    with file.open("rb") as opened:
        return opened.read(MAX_SIZE + 1)

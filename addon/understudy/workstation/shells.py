"""Changes of an environment as the text that a shell evaluates."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Word = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Shell:
    quoted: Word
    put: str
    drop: str
    evaluated: str


def _posix(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    """PowerShell takes any of the typographic single quotes for an end as well; two of them are one."""
    return "'" + re.sub("(['\u2018-\u201b])", r"\1\1", value) + "'"


_POSIX = _Shell(_posix, "export {name}={value}", "unset {name}", 'eval "$(understudy env)"')
_SHELLS = {
    "sh": _POSIX,
    "bash": _POSIX,
    "zsh": _POSIX,
    "fish": _Shell(_fish, "set -gx {name} {value}", "set -e {name}", "understudy env | source"),
    "pwsh": _Shell(
        _powershell,
        "$env:{name} = {value}",
        "Remove-Item Env:{name} -ErrorAction SilentlyContinue",
        "understudy env --shell pwsh | Out-String | Invoke-Expression",
    ),
}
SHELLS = tuple(_SHELLS)


def render(changes: Mapping[str, str | None], shell: str) -> str:
    """A line for each change, as `shell`, one of SHELLS, evaluates it. None: the variable goes."""
    words = _SHELLS[shell]
    lines = (
        words.drop.format(name=name) if value is None else words.put.format(name=name, value=words.quoted(value))
        for name, value in changes.items()
    )
    return "".join(f"{line}\n" for line in lines)


def how_to_evaluate(shell: str) -> str:
    """What the user types in `shell` for it to evaluate what is printed."""
    return _SHELLS[shell].evaluated


def shell_named(program: str) -> str | None:
    """The shell that a program's name or path stands for (`-zsh`, `/bin/dash`), or None where it is none of SHELLS."""
    name = program.strip().rpartition("/")[2].removeprefix("-").removesuffix(".exe")
    kin = {"dash": "sh", "ash": "sh", "busybox": "sh", "ksh": "sh", "mksh": "sh", "powershell": "pwsh"}
    found = kin.get(name, name)
    return found if found in _SHELLS else None

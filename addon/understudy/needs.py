"""What the package needs of the Python that it is in, and one line that says what is not there, and how to get it.

It is imported before everything else and by Pythons that we do not support, so it uses nothing that they have not.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

PYTHON = ">=3.11,<3.14"
MITMPROXY = "mitmproxy>=11.0.2,<12.3"
PACKAGES = {
    "brotli": "brotli>=1.1",
    "certifi": "certifi>=2019.9.11",
    "cryptography": "cryptography>=42",
    "filelock": "filelock>=3.20.3",
    "httpx": "httpx>=0.25",
    "platformdirs": "platformdirs>=4.0",
    "pydantic": "pydantic>=2.6",
    "jwt": "pyjwt>=2.8",
    "splintr": "splintr-rs>=0.22,<1",
    "tornado": "tornado>=6.4",
    "wsproto": "wsproto>=1.2",
    "zstandard": "zstandard>=0.22",
}
"""What must be installed beside mitmproxy, by the module that it is imported as."""


def trouble() -> str | None:
    """A sentence on what is not there, and the command that helps; None where all is there."""
    here = ".".join(map(str, sys.version_info[:3]))
    if not fits(here, PYTHON):
        return f"Understudy needs Python {PYTHON}, and {sys.executable} is {here}"
    if not has("mitmproxy", MITMPROXY):
        return f"Understudy needs {MITMPROXY}, and {_found('mitmproxy')}; {cure([MITMPROXY])}"
    lacking = [requirement for module, requirement in PACKAGES.items() if not has(module, requirement)]
    if not lacking:
        return None
    return f"Understudy needs {', '.join(lacking)} in {sys.prefix}, where mitmproxy is; {cure(lacking)}"


def cure(lacking: Iterable[str]) -> str:
    """How to install requirements in this Python's place, whatever made that."""
    if getattr(sys, "frozen", False):
        return f"this mitmproxy takes no packages: install it with pip, pipx or uv, as {MITMPROXY}"
    words = list(lacking)
    place = Path(sys.prefix)
    if (place / "pipx_metadata.json").exists():
        verb = ["install", "--force"] if words == [MITMPROXY] else ["inject", place.name]
        return f"run: {shlex.join(['pipx', *verb, *words])}"
    if (place / "uv-receipt.toml").exists():
        others = [word for each in words if each != MITMPROXY for word in ("--with", each)]
        return f"run: {shlex.join(['uv', 'tool', 'install', MITMPROXY, *others])}"
    if (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists() and sys.prefix == sys.base_prefix:
        return "this Python is your distribution's: install mitmproxy and Understudy with pipx, uv or in a venv"
    return f"run: {shlex.join([sys.executable, '-m', 'pip', 'install', *words])}"


def has(module: str, requirement: str) -> bool:
    """Whether a module can be imported, and what it belongs to is of a version that is good."""
    if importlib.util.find_spec(module) is None:
        return False
    name, limits = re.match(r"([a-z-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
    try:
        return fits(importlib.metadata.version(name), limits)
    except importlib.metadata.PackageNotFoundError:
        return True  # It does not say.


def _found(name: str) -> str:
    try:
        return f"{sys.prefix} has {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"it is not in {sys.prefix}"


def fits(version: str, limits: str) -> bool:
    """Whether a version is within limits such as `>=11.0.2,<12.3`."""
    found = _numbers(version)
    for operator, bound in re.findall(r"(>=|<)([0-9.]+)", limits):
        if (found >= _numbers(bound)) is not (operator == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """Of a release; what tells a pre-release from it does not count."""
    release = re.match(r"[0-9.]*", version)
    return tuple(int(part) for part in (release[0] if release else "").split(".") if part)

"""Where the parts of this installation are: mitmproxy's programs, and the script that they load."""

import shutil
import sys
from pathlib import Path

import understudy


def script_path(package: Path = Path(understudy.__file__).parent) -> Path | None:
    """The script that belongs to the package in the folder `package`: within it where it was installed from a wheel,
    beside it in a checkout.
    """
    candidates = (package / "script" / "codex.py", package.parent / "codex.py")
    return next((path for path in candidates if path.is_file()), None)


def program_path(name: str, executable: str = sys.executable) -> Path | None:
    """mitmproxy's program of that name: the one beside this Python, else the first that a shell would find."""
    beside = Path(executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    return Path(found) if found else None

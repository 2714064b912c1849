"""Disks that are full, or that may not be written to."""

import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PREAMBLE = f"""
import sys
from pathlib import Path

sys.path.append({str(Path(__file__).parents[1])!r})
home = Path(sys.argv[1])
"""


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """This process can write no file of more than so many bytes (RLIMIT_FSIZE)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def run_on_a_disk(program: str, home: Path, options: str) -> None:
    """Runs a test's program, in which `home` is the folder, with a file system of its own (a tmpfs) mounted there.

    `options`: of mount(8). Nobody else sees it. Skips the test where that is not allowed.
    """
    if shutil.which("unshare") is None or _run("true", home, "size=64k").returncode != 0:
        pytest.skip("NO REAL DISK IS TESTED: a file system of its own cannot be mounted here")
    done = _run('"$@"', home, options, sys.executable, "-c", PREAMBLE + program, str(home))
    assert done.returncode == 0, done.stderr


def _run(script: str, home: Path, options: str, *command: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(mode=0o700, exist_ok=True)
    mount = f"mount -t tmpfs -o mode=700,{options} tmpfs '{home}' && {script}"
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *command]
    return subprocess.run(unshare, capture_output=True, text=True, timeout=60)

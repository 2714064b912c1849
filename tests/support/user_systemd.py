"""A systemd of a user's own, also on machines that were not booted with one: in a mount namespace, as root."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.proxy import clean_environment

PROGRAM = Path("/lib/systemd/systemd")
CGROUPS = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
"""Where the hierarchies are that it needs, on a machine that has them apart."""
BOOT = """
set -e
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system
for group in "$@"; do mkdir "$group"; echo $$ > "$group/cgroup.procs"; done
exec /lib/systemd/systemd --user
"""


def missing() -> str:
    """Why there can be none here; empty where there can."""
    if os.geteuid() != 0:
        return "only root can start one"
    if not PROGRAM.exists() or not Path("/run/systemd").is_dir() or shutil.which("nsenter") is None:
        return "systemd or nsenter is not installed"
    if Path("/run/systemd/system").exists():
        return "this machine was booted with one, which is left alone"
    return "" if all(path.is_dir() for path in CGROUPS) else "the cgroups are not mounted as they must be"


@dataclass(frozen=True, slots=True)
class UserSystemd:
    """A running one. `home`: the user's home folder."""

    pid: int
    home: Path
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a program as the user would."""
        command = ["nsenter", "--target", str(self.pid), "--mount", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=150, check=False)


@contextmanager
def user_systemd() -> Iterator[UserSystemd]:
    """Starts one; ends it, with all that it runs."""
    with tempfile.TemporaryDirectory(prefix="usd") as name:  # short: sockets lie in it
        folder = Path(name)
        (folder / "run").mkdir(mode=0o700)
        (folder / "home").mkdir()
        environment = clean_environment(HOME=str(folder / "home"), XDG_RUNTIME_DIR=str(folder / "run"))
        groups = [path / folder.name for path in CGROUPS]
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT, "sh", *map(str, groups)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            running = UserSystemd(process.pid, folder / "home", environment)
            _wait_until_up(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(100)
            _remove(groups)


def _wait_until_up(running: UserSystemd) -> None:
    until = time.monotonic() + 20
    while running.run("systemctl", "--user", "is-system-running", "--wait").stdout.strip() not in (
        "running",
        "degraded",
    ):
        assert time.monotonic() < until, "the user's systemd does not start"
        time.sleep(0.1)


def _remove(groups: list[Path]) -> None:
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()

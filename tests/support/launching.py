"""Proxies that are started as `understudy start` does it, in folders of their own, and ended for certain."""

import os
import random
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from understudy.sandbox.server import Sandbox
from understudy.state.runtime import runtimes
from understudy.workstation import child


def options_for(sandbox: Sandbox) -> tuple[str, ...]:
    """Those that lead to the sandbox."""
    return f"codex_backend={sandbox.backend}", f"codex_issuer={sandbox.issuer}"


def words_for(options: Sequence[str]) -> list[str]:
    """The same on a command line."""
    return [word for option in options for word in ("--set", option)]


def quiet_port() -> int:
    """A port that nobody has, below those that the system gives to whoever asks for any."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def accepts(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether there is such a process, one that has ended and is not reaped apart."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill_all(home: Path) -> None:
    """Nothing that was started in `home` runs any more."""
    pids = {runtime.pid for runtime in runtimes(home)}
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while runtimes(home):
        assert time.monotonic() < until
        time.sleep(0.01)
    for process in child._children:
        if process.pid in pids or not is_alive(process.pid):
            process.wait(10)

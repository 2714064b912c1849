"""The `understudy` command as a process that is spoken to while it runs."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.proxy import clean_environment

# The ports that are registered for logins may be in use on this machine.
PROGRAM = """
import sys
from understudy.oauth import callback
callback.PORTS = tuple(int(port) for port in sys.argv.pop(1).split(","))
from understudy.cli.main import main
sys.exit(main())
"""
LIMIT = 20.0
"""Seconds that a line, or the end, may take to come."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Command:
    """A running command. Leaving the block kills it where it has not ended."""

    def __init__(
        self, home: Path, arguments: Sequence[str], ports: Sequence[int] = (1455, 1457), **environment: str
    ) -> None:
        self.output = ""
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, ",".join(map(str, ports)), *arguments],
            env=clean_environment(UNDERSTUDY_HOME=str(home), HOME=str(home.parent), **environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line_with(self, text: str) -> str:
        """The next line that has `text` in it, stripped."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            line = self._lines.get(timeout=LIMIT)
            self.output += line
            if text in line:
                return line.strip()
            if not line:
                break
        raise AssertionError(f"no line with {text!r} in:\n{self.output}")

    def enter(self, text: str) -> None:
        """Types a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        """Waits for the command to end: its exit code. `output` is then whole."""
        code = self._process.wait(LIMIT)
        self._reader.join(LIMIT)
        while not self._lines.empty():
            self.output += self._lines.get()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._reader.join(LIMIT)
        with self._process:
            pass

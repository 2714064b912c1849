"""The line between a proxy and the command that starts it: what the proxy is, once it is up, and its owner's end.

It is an open file that the proxy inherits, and whose number the environment names. A socket hears what the proxy is,
and, where the proxy serves one process alone, ends with that process, however it ends. Any other file is a lock that is
held until the proxy is up: that of a command which has become the proxy.
"""

import json
import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from understudy.state.runtime import Runtime, decode, encode

VARIABLE = "UNDERSTUDY_LAUNCHER"
"""`FILE` or `FILE:OWNER`: the number of the open file, and the process that the proxy serves alone."""
LARGEST = 256 * 1024
"""Bytes that are read of what a proxy says."""


def variable(file: int, owner: int | None = None) -> Mapping[str, str]:
    """What the proxy's environment needs. `file`: as the proxy has it."""
    return {VARIABLE: f"{file}" if owner is None else f"{file}:{owner}"}


def hear(line: socket.socket) -> Runtime | None:
    """What the proxy says at the other end of `line`; None where it ends before. Raises OSError, ValueError."""
    said = b""
    while not said.endswith(b"\n") and len(said) < LARGEST:
        if not (piece := line.recv(65536)):
            return None
        said += piece
    pid, told = json.loads(said)
    return decode(pid, told)


def let_in(line: socket.socket) -> None:
    """Has a proxy that was started with its ports closed open them: it says once more what it is. Raises OSError."""
    line.sendall(b"\n")


class Launcher:
    """The proxy's end of the line; one for the life of its process."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        file, _, owner = environ.pop(VARIABLE, "").partition(":")
        self.owner = int(owner) if owner.isdecimal() else None
        """The process that the proxy serves alone."""
        self._line = _opened(int(file)) if file.isdecimal() else None
        self._lock = int(file) if file.isdecimal() and self._line is None else None

    @property
    def file(self) -> int | None:
        """What can be read once the command has something to say, or has ended; None where no command listens."""
        return self._line.fileno() if self._line is not None else None

    def say(self, runtime: Runtime) -> None:
        """Says what the proxy is."""
        if self._line is not None:
            with suppress(OSError):  # Who has started it is gone.
                self._line.sendall(json.dumps([runtime.pid, encode(runtime)]).encode() + b"\n")

    def has_said(self) -> bool:
        """Reads what the command says. False once it has ended: then the line is closed."""
        if self._line is None:
            return False
        try:
            if self._line.recv(16):
                return True
        except OSError:
            pass
        self._line.close()
        self._line = None
        return False

    def is_up(self) -> None:
        """The proxy is up: the command is not needed any more, but for an owner."""
        if self._line is not None and self.owner is None:
            self._line.close()
            self._line = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _opened(file: int) -> socket.socket | None:
    try:
        os.set_inheritable(file, False)
        return socket.socket(fileno=file)
    except OSError:
        return None  # A lock, or nothing at all.

"""A proxy's process while it comes up: in the background, in a session of its own, writing into a log."""

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.state import logs
from understudy.state.launcher import hear, let_in, variable
from understudy.state.runtime import Runtime
from understudy.workstation.errors import LaunchError
from understudy.workstation.logs import why

TIMEOUT = 60.0
"""Seconds that a proxy may take for a step."""

_children: list["subprocess.Popen[bytes]"] = []
"""Kept as long as we live: those that end before us are then reaped."""


class Child:
    """Runs `words`. `owner`: the process that it serves alone. Raises LaunchError, StateError."""

    def __init__(self, words: Sequence[str], owner: int | None, log: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        self._line, theirs = socket.socketpair()
        self._line.settimeout(TIMEOUT)
        file = logs.opened(log)
        self._began = os.fstat(file).st_size
        more = {"PYTHONUNBUFFERED": "1", **variable(theirs.fileno(), owner)}
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                env={**environ, **more},
            )
        except OSError as error:
            self._line.close()
            raise LaunchError(f"{words[0]} cannot be run: {error.strerror}") from None
        finally:
            theirs.close()
            os.close(file)
        _children.append(self._process)

    def told(self) -> Runtime:
        """What it says that it is. Raises LaunchError, with the reason from its log, where it ends or is silent."""
        try:
            runtime = hear(self._line)
        except (OSError, ValueError, TypeError):
            runtime = None
        except BaseException:  # As by Ctrl-C: the user takes it for ended.
            self.give_up()
            raise
        if runtime is None:
            self.give_up()
            raise LaunchError(f"the proxy did not start:\n{why(self._log, self._began)}\n  (all of it: {self._log})")
        return runtime

    def let_in(self) -> Runtime:
        """Has it open the ports that it was started without. Raises LaunchError."""
        try:
            let_in(self._line)
        except OSError:
            pass  # It has ended: the next line says why.
        runtime = self.told()
        if not runtime.listeners:
            self.give_up()
            raise LaunchError(f"the proxy has no port:\n{why(self._log, self._began)}\n  (all of it: {self._log})")
        return runtime

    def release(self) -> None:
        """It stays when we end."""
        self._line.close()

    def keep(self) -> None:
        """It ends when we end, however we do: that is when this file of ours is closed."""
        self._line.detach()

    def give_up(self) -> None:
        """Ends it."""
        self._line.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

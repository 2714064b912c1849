"""Ends a proxy in good order, and makes sure that it is that proxy and no other process of the same number."""

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from understudy.state.runtime import Runtime, runtimes
from understudy.workstation.errors import LaunchError

DRAIN = 60.0
"""Seconds that running answers may take: the proxy's own bound."""
GRACE = 15.0
"""Seconds that it may take beyond that, to write what it knows."""
SOON = 1.0
"""Seconds within which a proxy ends that answers nobody."""
LOOK = 0.02
"""Seconds between two looks."""


class Living:
    """One running proxy: what is done here reaches it, or nobody. `with` opens it; raises LaunchError where it is gone.

    Linux gives a handle on a process; then the number is made sure of: a process whose record is held locked lives, so
    a handle that was taken before leads to it. Elsewhere there is a moment between the look and the signal.
    """

    def __init__(self, home: Path, runtime: Runtime) -> None:
        self._home = home
        self._runtime = runtime
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            if hasattr(os, "pidfd_open"):
                self._handle = os.pidfd_open(self._runtime.pid)
        except OSError:
            raise LaunchError(_gone(self._runtime)) from None
        if self.told() is None or not self._is_here():
            self._close()
            raise LaunchError(_gone(self._runtime))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def told(self) -> Runtime | None:
        """What it tells now; None where it has ended."""
        same = (self._runtime.pid, self._runtime.started_at)
        return next((each for each in runtimes(self._home) if (each.pid, each.started_at) == same), None)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal. Raises LaunchError where that is not allowed."""
        try:
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)
            elif self.told() is not None:
                os.kill(self._runtime.pid, number)
        except ProcessLookupError:
            pass
        except OSError as error:
            raise LaunchError(f"the proxy (process {self._runtime.pid}) cannot be ended: {error.strerror}") from None

    def wait(self, until: float) -> bool:
        """Waits for the end of its process. `until`: monotonic seconds. Whether that came."""
        if self._handle is not None:
            return bool(select.select([self._handle], [], [], max(0.0, until - time.monotonic()))[0])
        return _eventually(lambda: self.told() is None, until)

    def close(self, until: float) -> bool:
        """Tells it to end, and waits until it listens no more. `until`: monotonic seconds. Whether that came."""
        self.send(signal.SIGTERM)
        return _eventually(lambda: (told := self.told()) is None or not told.listeners, until)

    def _is_here(self) -> bool:
        """Whether the number means the same process here as where it was told: a container has numbers of its own."""
        if not Path("/proc/self/fd").exists():
            return True
        try:
            return any(map(self._is_its_lock, Path("/proc", str(self._runtime.pid), "fd").iterdir()))
        except PermissionError:
            return True  # Then no signal reaches it either, unless it is one that hides.
        except OSError:
            return False

    def _is_its_lock(self, file: Path) -> bool:
        try:
            found = file.readlink()
        except OSError:
            return False  # It has been closed meanwhile.
        return found.name.startswith(f"{self._runtime.pid}-") and found.suffix == ".lock"

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def stop(
    home: Path,
    runtime: Runtime,
    *,
    timeout: float = DRAIN + GRACE,
    now: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """Ends a proxy. Answers that are running may run to their end; with `now` they are cut off.

    Returns once its process is gone. `timeout`: seconds. `waiting` is called where there are such answers. Raises
    LaunchError where it is gone already, or does not end.
    """
    until = time.monotonic() + timeout
    with Living(home, runtime) as living:
        living.close(until)
        if now:
            living.send(signal.SIGTERM)  # The second one says that nobody waits.
        if living.wait(time.monotonic() + SOON):
            return
        waiting()
        if not living.wait(until):
            raise LaunchError(f"the proxy (process {runtime.pid}) has not ended within {timeout:.0f} s")


def _eventually(holds: Callable[[], bool], until: float) -> bool:
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(LOOK)
    return held


def _gone(runtime: Runtime) -> str:
    return f"there is no proxy with process {runtime.pid} any more"

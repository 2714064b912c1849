"""Leases: the right to do something alone, as a small file that says who has it and until when.

A file lock cannot be held across network I/O; a lease is data, and no lock is held while its holder works. It keeps
others from doing the same at the same time; it does not make that safe. A holder may be suspended past its lease's
end, so what it writes has to look at what is there.
"""

import asyncio
import json
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from understudy.state import files
from understudy.state.errors import StateError
from understudy.state.home import private_folder
from understudy.wire.jsontext import loads

LIFETIME = 20.0
"""Seconds after which a lease ends by itself: so long a killed holder stops the others."""
BEAT = 5.0
"""Seconds between two renewals while it is held: three may fail."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this process holds."""

    path: Path
    holder: str

    def renew(self, now: float) -> bool:
        """Lets it end `LIFETIME` after `now` (epoch seconds). False where it is lost. Raises StateError."""
        with files.locked(self.path):
            if not self._is_ours():
                return False
            _write(self, now)
            return True

    def release(self) -> None:
        """Gives the lease back, unless it ended and another holder has it. One that cannot be given back ends."""
        try:
            with files.locked(self.path):
                if self._is_ours():
                    self.path.unlink(missing_ok=True)
        except (StateError, OSError):
            pass

    def _is_ours(self) -> bool:
        held = _read(self.path)
        return held is not None and held[0] == self.holder


def take_lease(folder: Path, name: str, now: float) -> Lease | None:
    """The lease called `name` (one of our own ids), or None while another holder has it. `now`: epoch seconds.

    Raises StateError.
    """
    lease = Lease(folder / f"{name}.json", uuid.uuid4().hex)
    # Whoever waits for it asks often: that costs no lock.
    if _is_held(lease.path, now):
        return None
    private_folder(folder.parent)
    with files.locked(lease.path):
        if _is_held(lease.path, now):
            return None
        _write(lease, now)
    return lease


@asynccontextmanager
async def holding(lease: Lease, clock: Callable[[], float], beat: float = BEAT) -> AsyncIterator[None]:
    """Renews `lease` every `beat` seconds while the block runs, and gives it back at its end.

    From a thread of its own: the event loop is shared with whatever else the process does, and a loop that is busy
    for a while must not look like a holder that has died. A suspended process is no more alive than a killed one, and
    its thread stands still with it.
    """
    ended = threading.Event()
    threading.Thread(target=_keep, args=(lease, clock, beat, ended), name="understudy-lease", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        await asyncio.to_thread(lease.release)


def _keep(lease: Lease, clock: Callable[[], float], beat: float, ended: threading.Event) -> None:
    while not ended.wait(beat):
        try:
            if not lease.renew(clock()):
                return
        except (StateError, OSError):
            pass  # The next beat may have more luck.


def _is_held(path: Path, now: float) -> bool:
    held = _read(path)
    # One that ends much later than any that is taken now was taken by a clock that has been set back since. A little
    # later is usual: whoever waited for the lock looked at the clock before the holder did.
    return held is not None and now < held[1] <= now + 2 * LIFETIME


def _write(lease: Lease, now: float) -> None:
    content = {"version": 1, "holder": lease.holder, "pid": os.getpid(), "expires_at": now + LIFETIME}
    # After a power cut there is no holder left.
    files.write(lease.path, json.dumps(content).encode(), durable=False)


def _read(path: Path) -> tuple[str, float] | None:
    """Holder and end (epoch seconds). Whatever is unreadable is nobody's: a lease guards work, it holds no data."""
    content = files.read(path)
    try:
        held = loads(content.data) if content is not None else None
    except ValueError:
        return None
    if not isinstance(held, dict):
        return None
    holder, end = held.get("holder"), held.get("expires_at")
    return (holder, float(end)) if isinstance(holder, str) and isinstance(end, int | float) else None

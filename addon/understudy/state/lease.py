"""Leases: the right to do something alone, as a small file that says who has it and until when.

A file lock cannot be held across network I/O; a lease is data, and no lock is held while its holder works.
"""

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from understudy.state import files
from understudy.state.errors import StateError
from understudy.state.home import private_folder
from understudy.wire.jsontext import loads

LIFETIME = 30.0
"""Seconds after which a lease ends by itself. More than all that may be done under one."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this process holds."""

    path: Path
    holder: str

    def release(self) -> None:
        """Gives the lease back, unless it ended and another holder has it. One that cannot be given back ends."""
        try:
            with files.locked(self.path):
                held = _read(self.path)
                if held is not None and held[0] == self.holder:
                    self.path.unlink(missing_ok=True)
        except (StateError, OSError):
            pass


def take_lease(folder: Path, name: str, now: float) -> Lease | None:
    """The lease called `name` (one of our own ids), or None while another holder has it. `now`: epoch seconds.

    That it is on disk when this returns also shows that the folder can be written to. Raises StateError.
    """
    private_folder(folder.parent)
    path = folder / f"{name}.json"
    with files.locked(path):
        held = _read(path)
        # One that ends much later than any that is taken now was taken by a clock that has been set back since. A
        # little later is usual: whoever waited for the lock looked at the clock before the holder did.
        if held is not None and now < held[1] <= now + 2 * LIFETIME:
            return None
        holder = uuid.uuid4().hex
        lease = {"version": 1, "holder": holder, "pid": os.getpid(), "expires_at": now + LIFETIME}
        files.write(path, json.dumps(lease).encode())
    return Lease(path, holder)


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

"""Looks at files and at the records of proxies, and leaves everything as it is: no mode, no leftover is put right."""

import fcntl
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from understudy.state import files
from understudy.state.running import LARGEST, Record
from understudy.state.runtime import KEY, Runtime, decode
from understudy.wire.jsontext import loads

_NAME = re.compile(r"\.?([0-9]{1,10}-[0-9a-f]{16})\.", re.ASCII)
"""What a record, its lock and its temporary files are called."""


def read(path: Path, limit: int = files.MAX_SIZE) -> bytes | None:
    """The regular file at `path`, or None where there is none. Raises ValueError, in words, where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError("is no regular file")
        data = opened.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"is larger than {limit} bytes")
    return data


@dataclass(frozen=True, slots=True)
class Running:
    """What lies in `running/`. `leftovers`: files of processes that are dead."""

    records: tuple[Record, ...] = ()
    leftovers: tuple[Path, ...] = ()

    @property
    def proxies(self) -> tuple[Runtime, ...]:
        """The living proxies, the one that was started last first."""
        found = (decode(record.pid, record.told.get(KEY)) for record in self.records)
        return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.started_at))


def running(home: Path) -> Running:
    """As `state.running` reads it, but without the funerals."""
    folder = home / "running"
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return Running()
    ours = {path: name[1] for path in paths if (name := _NAME.match(path.name))}
    living = {name for path, name in ours.items() if path.suffix == ".lock" and _is_held(path)}
    records = (_record(path) for path, name in ours.items() if path.suffix == ".json" and name in living)
    dead = (path for path, name in ours.items() if name not in living)
    return Running(tuple(record for record in records if record is not None), tuple(dead))


def _is_held(lock: Path) -> bool:
    """Whether its process lives. Where that cannot be known, it counts as alive."""
    try:
        file = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(file)


def _record(path: Path) -> Record | None:
    try:
        told = loads(read(path, LARGEST) or b"")
    except ValueError:
        return None
    return Record(int(path.name.partition("-")[0]), told) if isinstance(told, dict) else None

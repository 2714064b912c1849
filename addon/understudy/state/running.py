"""What a running proxy tells the others and the commands: a record a process in `running/`, as long as it lives.

Beside each record lies a file that its process holds locked for life, however that ends: a record whose lock can be had
belongs to a dead process. The lock is flock(2) itself, which excludes also the threads of the process that holds it,
and which a reader tries in the shared mode, so that readers do not take each other for the owner.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.state import files
from understudy.state.errors import StateError
from understudy.state.home import private_folder
from understudy.wire.jsontext import loads

LARGEST = 256 * 1024
"""Bytes that a record may have."""

_NAME = re.compile(r"([0-9]{1,10})-[0-9a-f]{16}(?=\.(?:json|lock)\Z)", re.ASCII)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """What a living process has told."""

    pid: int
    told: Mapping[str, object]


class Running:
    """The folder `running/` in `home`, and this process's own record in it. Blocking file work; for any thread."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "running"
        self._mine = threading.Lock()
        self._name = ""
        self._lock: int | None = None
        """The descriptor of the file that is held locked."""
        self._told = b""
        self._stamp: files.Stamp | None = None
        self._ended = False
        self._troubles: set[str] = set()

    def tell(self, record: Mapping[str, object]) -> None:
        """Replaces this process's record; the first one makes it. Costs next to nothing where nothing has changed.

        Where it cannot be written that is said once, and tried again the next time. Raises ValueError or TypeError for
        what is no JSON.
        """
        data = json.dumps(record, allow_nan=False).encode()
        with self._mine:
            if self._ended or (data == self._told and files.stamp(self._path("json")) == self._stamp):
                return
            try:
                if len(data) > LARGEST:
                    raise StateError(f"the record has more than {LARGEST} bytes")
                self._hold()
                self._stamp = files.write(self._path("json"), data, durable=False)
                self._told = data
            except StateError as error:
                self._complain(error)

    def others(self) -> tuple[Record, ...]:
        """What the other living processes have told. What dead ones have left is removed."""
        return self._records(self._names() - {self._name})

    def all(self) -> tuple[Record, ...]:
        """What all living processes have told, this one among them."""
        return self._records(self._names())

    def end(self) -> None:
        """Removes this process's record. Nothing is told any more."""
        with self._mine:
            self._ended = True
            if self._lock is not None:
                files.remove((self._path("json"), self._path("lock")))
                os.close(self._lock)
                self._lock = None

    def _path(self, kind: str, name: str = "") -> Path:
        return self.folder / f"{name or self._name}.{kind}"

    def _hold(self) -> None:
        """Makes sure that there is a lock of ours, and that it is in the folder still. Raises StateError."""
        if self._lock is not None and os.fstat(self._lock).st_nlink == 0:
            os.close(self._lock)
            self._lock = None
        try:
            while self._lock is None:
                private_folder(self.folder.parent)
                private_folder(self.folder)
                self._name = f"{os.getpid()}-{secrets.token_hex(8)}"
                self._lock = _locked(self._path("lock"))
        except OSError as error:
            raise StateError(f"cannot lock a file in {self.folder}: {error.strerror}") from None

    def _names(self) -> set[str]:
        try:
            return {name[0] for path in self.folder.iterdir() if (name := _NAME.match(path.name))}
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._complain(StateError(f"cannot look into {self.folder}: {error.strerror}"))
            return set()

    def _records(self, names: set[str]) -> tuple[Record, ...]:
        found = (self._read(name) for name in sorted(names) if not self._bury(name))
        return tuple(record for record in found if record is not None)

    def _read(self, name: str) -> Record | None:
        try:
            content = files.read(self._path("json", name))
            told = loads(content.data) if content is not None and len(content.data) <= LARGEST else None
        except (StateError, ValueError):
            return None
        return Record(int(name.partition("-")[0]), told) if isinstance(told, dict) else None

    def _bury(self, name: str) -> bool:
        """Removes what a dead process has left, and tells whether it is dead."""
        try:
            lock = os.open(self._path("lock", name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            files.remove([self._path("json", name)])
            return True
        except OSError:
            return False  # It cannot be known.
        try:
            # Until it is all removed: a process that has not yet locked its new file finds out that it is gone.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            files.remove([self._path("json", name), *self.folder.glob(f".{name}.json.*.tmp"), self._path("lock", name)])
            return True
        except OSError:
            return False
        finally:
            os.close(lock)

    def _complain(self, error: StateError) -> None:
        if str(error) not in self._troubles:
            self._troubles.add(str(error))
            logger.warning("understudy: what runs here is not shared with other processes: %s", error)


def _locked(path: Path) -> int | None:
    """A new file at `path`, locked as long as its descriptor is open, or None where a reader has just removed it.

    Raises OSError, also where the file system does not lock.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_nlink:
            return file
    except BlockingIOError:
        pass  # A reader takes it for a dead one's.
    except BaseException:
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    os.close(file)
    return None

"""The one way our files are read and written: private from the first byte, whole or not at all, one writer a time."""

import logging
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from understudy.state.errors import StateError
from understudy.state.home import private_folder
from understudy.state.room import Room, remove_abandoned

MAX_SIZE = 16 * 1024 * 1024
"""Bytes that a file of ours may have: a pool of a hundred accounts has a few hundred thousand."""
LOCK_TIMEOUT = 10.0
"""Seconds to wait for another writer. A write takes milliseconds, and a lock ends with its process."""


# It tells of every lock, and what mitmproxy can no longer print would fail the write that the lock is for.
logging.getLogger("filelock").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one version of a file from the next without reading it: every write makes a new inode."""

    modified_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and the stamp of the very file they were read from."""

    data: bytes
    stamp: Stamp


def stamp(path: Path) -> Stamp | None:
    """The stamp of the file at `path`, or None where there is none (or none that we may look at)."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return _stamp(found)


def read(path: Path) -> Content | None:
    """The file at `path`, or None where there is none. Takes no lock: a write replaces the file as a whole.

    Raises StateError unless it is a regular file of our own. One that others may read is closed to them.
    """
    try:
        # O_NONBLOCK: to open a FIFO that someone planted must not wait for its other end.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise StateError(f"{path} is a symbolic link; put the file itself there") from None
        raise _unusable("read", path, error) from None
    try:
        found = os.fstat(file)
        _check(path, found)
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(file, 0o600)
        with os.fdopen(file, "rb", closefd=False) as opened:
            return Content(opened.read(), _stamp(found))
    except OSError as error:
        raise _unusable("read", path, error) from None
    finally:
        os.close(file)


def reserve(path: Path, size: int) -> Room:
    """Room for one write of `size` bytes to `path`. To be called with the file locked. Raises StateError."""
    try:
        return Room(path, size)
    except OSError as error:
        raise _unusable("reserve space for", path, error) from None


def write(path: Path, data: bytes, *, durable: bool = True, room: Room | None = None) -> Stamp:
    """Replaces the file at `path` by `data`, mode 0600; whoever reads it meets the old file or the new one, whole.

    `durable`: it outlasts a power cut once this returns; a cache need not. `room`, reserved for this path, is used up.
    Raises StateError: then the old file is as it was, or the new one is there and may not outlast a power cut. To be
    called with the file locked.
    """
    taken = room.take() if room else None
    temporary = room.path if room and taken is not None else path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            written = _fill(_create(temporary) if taken is None else taken, data, durable)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise _unusable("write", path, error) from None
    return written


def move(path: Path, target: Path) -> None:
    """Moves a file within our folder, for good. Raises StateError."""
    try:
        path.replace(target)
        _sync_folder(target.parent)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unusable("move", path, error) from None


def remove(paths: Iterable[Path]) -> None:
    """Removes files that nobody needs. One that cannot be removed does no harm, and stays."""
    for path in paths:
        try:
            path.unlink()
        except OSError:
            pass


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes the caller the only writer of `path`, over threads and processes. For one synchronous piece of work.

    Makes the private folder it lies in. What killed writers left behind is removed. Raises StateError.
    """
    # Imported here: it takes longer to load than a status, which only reads, takes to print.
    import filelock

    private_folder(path.parent)
    # A new lock object each time: one that is shared counts its holders and lets every task of a thread in.
    lock = filelock.FileLock(str(path.with_name(f".{path.name}.lock")), timeout=LOCK_TIMEOUT, mode=0o600)
    try:
        lock.acquire(poll_interval=0.01)
    except TimeoutError:
        raise StateError(f"{path} is locked by another process for {LOCK_TIMEOUT:.0f} s; end it and retry") from None
    except OSError as error:
        raise _unusable("lock", path, error) from None
    try:
        # filelock turns into this class by itself where the file system cannot lock; that one excludes nobody surely.
        if isinstance(lock, filelock.SoftFileLock):
            raise StateError(f"the file system of {path.parent} does not lock files; set UNDERSTUDY_HOME to another")
        _remove_leftovers(path)
        yield
    finally:
        lock.release()


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StateError(f"{path} is no regular file; move it away")
    if found.st_uid != os.geteuid():
        raise StateError(f"{path} belongs to another user (uid {found.st_uid}); run as that user")
    if found.st_nlink > 1:
        raise StateError(f"{path} has another name elsewhere (a hard link); put a copy in its place")
    if found.st_size > MAX_SIZE:
        raise StateError(f"{path} is larger than {MAX_SIZE} bytes; it cannot be ours, move it away")


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _fill(file: int, data: bytes, durable: bool) -> Stamp:
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
        opened.truncate()  # Room that was reserved is longer.
        opened.flush()
        if durable:
            os.fsync(file)
        return _stamp(os.fstat(file))


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_leftovers(path: Path) -> None:
    # With the lock held nobody writes: whatever temporary file there is, its writer is dead.
    remove(path.parent.glob(f".{path.name}.*.tmp"))
    remove_abandoned(path)


def _unusable(verb: str, path: Path, error: OSError) -> StateError:
    return StateError(f"cannot {verb} {path}: {error.strerror or type(error).__name__}")

"""Room on the disk for one write, taken ahead: a disk that fills up in between does not make that write fail."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self


class Room:
    """Space for one write of `target`: a file beside it, which that write fills and puts in its place.

    To be made and used with the target locked (`files.locked`), and released at the end, used or not. Raises OSError
    where there is no such space.
    """

    def __init__(self, target: Path, size: int) -> None:
        self.path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.room")
        self._file: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Held as long as this process lives: `remove_abandoned` knows by it.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(self._file, size)
            os.fsync(self._file)
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def take(self) -> int | None:
        """The file's descriptor, which is the caller's from now on; None where the room is used, released or gone."""
        file, self._file = self._file, None
        if file is not None and os.fstat(file).st_nlink == 0:
            os.close(file)
            return None
        return file

    def release(self) -> None:
        """Gives back what was not used. Where that fails, the next writer does it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            try:
                self.path.unlink()
            except OSError:
                pass


def remove_abandoned(target: Path) -> None:
    """Removes the rooms whose processes are gone. To be called with the target locked."""
    for path in target.parent.glob(f".{target.name}.*.room"):
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # It is none of ours, or has just been used.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # Its process lives.
        finally:
            os.close(file)


def _allocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.pwrite(file, bytes(size), 0)  # macOS

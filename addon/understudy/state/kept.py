"""Earlier states of the pool that lie in our folder: `quarantine/`, `backups/`, and the backup beside the pool."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from understudy.pool.edits import restored
from understudy.pool.pool import Pool
from understudy.state import files, schema
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError, StoreCorrupt
from understudy.state.home import private_folder

FOLDERS = ("quarantine", "backups")
NAME = "accounts.json"
"""What their names begin with: other files are kept there as well."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was kept. `at`: when it was written, in epoch seconds; `size`: bytes.

    `pool`: what is in it, or None where `trouble` says why it cannot be read.
    """

    path: Path
    at: float
    size: int
    pool: Pool | None
    trouble: str = ""

    @property
    def quarantined(self) -> bool:
        """Whether it was moved away because it could not be read."""
        return self.path.parent.name == FOLDERS[0]


def kept_files(home: Path) -> list[Kept]:
    """What is kept in the folder `home`, the latest first. Raises StateError."""
    try:
        paths = list(_paths(home))
    except OSError as error:
        raise StateError(f"cannot look into {home}: {error.strerror}") from None
    return sorted(map(_look, paths), key=lambda kept: kept.at, reverse=True)


def find(home: Path, name: str) -> Kept | None:
    """The kept file that the user means by its name, or by its path; no other file can be meant."""
    return next((kept for kept in kept_files(home) if name in (kept.path.name, str(kept.path))), None)


def delete(kept: Kept) -> None:
    """Deletes the file. Raises StateError."""
    try:
        kept.path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"cannot delete {kept.path}: {error.strerror}") from None


def restore(store: AccountStore, copy: Pool) -> tuple[Pool, Path | None]:
    """Puts the pool `copy` in the place of the present one. Gives the pool as it is now, and where the present one was
    copied to: nowhere if there is none, or none that can be read, which has been moved to `quarantine/`.

    `copy`: by `store.read_copy`. An account that is there now keeps its present tokens. Raises StateError.
    """
    try:
        store.read()
        backup = store.back_up()
    except StoreCorrupt:
        backup = None
        _clear_the_way(store)
    return store.update(lambda pool: restored(copy, pool)), backup


def _clear_the_way(store: AccountStore) -> None:
    """Where there is no pool, but its backup, the store refuses to write: what the user wants has to be known first.
    Now it is. The backup has the latest tokens that there are.
    """
    with files.locked(store.path):
        content = files.read(store.backup)
        if content is None or files.stamp(store.path) is not None:
            return
        if _look(store.backup).pool is not None:
            files.write(store.path, content.data)
        else:
            files.move(store.backup, private_folder(store.home / FOLDERS[0]) / store.backup.name)


def _paths(home: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        if (home / folder).is_dir():
            yield from (path for path in (home / folder).glob(f"{NAME}*") if not path.is_dir())
    backup = home / f"{NAME}.bak"
    if backup.exists():
        yield backup


def _look(path: Path) -> Kept:
    try:
        content = files.read(path)
        if content is None:
            return Kept(path, 0.0, 0, None, "it is gone")
        at, size = content.stamp.modified_ns / 1e9, content.stamp.size
        try:
            return Kept(path, at, size, schema.decode(content.data))
        except ValueError as error:
            return Kept(path, at, size, None, str(error))
    except StateError as error:
        return Kept(path, 0.0, 0, None, str(error))

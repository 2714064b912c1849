"""Finds Understudy's folder and keeps it private: everything below it is for its owner alone."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from understudy.state.errors import StateError

VARIABLE = "UNDERSTUDY_HOME"


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that `UNDERSTUDY_HOME` names, else the platform's folder for a user's data. It need not exist.

    Raises StateError where it is named below the home of a user that there is not.
    """
    named = environ.get(VARIABLE)
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError:
            raise StateError(f"{VARIABLE} names a user that there is not: {named!r}") from None
    # Imported here: it takes longer to load than a status takes to print.
    from platformdirs import user_data_path

    return user_data_path("understudy", appauthor=False).absolute()


def private_folder(path: Path) -> Path:
    """`path` as a folder that its owner alone can enter (0700): made where it is missing, repaired where it is open.

    Raises StateError where it belongs to another user (as under sudo), is no folder, or cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            pass
        # A descriptor, so that what is checked is what is changed.
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _make_private(path, folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StateError(f"cannot use the folder {path}: {error.strerror}. Set {VARIABLE} to another one.") from None
    return path


def _make_private(path: Path, folder: int) -> None:
    found = os.fstat(folder)
    if found.st_uid != os.geteuid():
        raise StateError(
            f"the folder {path} belongs to another user (uid {found.st_uid}); run as that user, or set {VARIABLE}"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.fchmod(folder, 0o700)

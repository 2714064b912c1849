"""Understudy's folder: that it is ours, that nobody else gets at it, that there is room, and what the dead left."""

import os
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.doctor.belongings import belongings
from understudy.doctor.check import Check, Result, bad, ok, warn
from understudy.doctor.machine import Machine
from understudy.workstation.confdir import Confdir

MOST_NAMED = 5
"""Files that are named in one finding."""
LEAST_FREE = 10 * 1000 * 1000
"""Bytes that are to be free: a write makes the whole file anew, and answers may be kept on disk."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or folder as it lies there, links not followed. `mode`: as `st_mode`. `owner`: a uid."""

    path: Path
    mode: int
    owner: int
    names: int = 1
    """How many names the file has."""


def seen(home: Path) -> Iterator[Seen]:
    """The folder itself, which may be behind a link, and what is ours below it."""
    folder = home.resolve()
    for path in (folder, *belongings(folder)):
        try:
            found = path.lstat()
        except OSError:
            continue  # A temporary file that is gone again.
        yield Seen(path, found.st_mode, found.st_uid, found.st_nlink)


def private(machine: Machine) -> Result:
    """Whether all of it is the user's alone."""
    if not machine.home.exists():
        return ok("it is not there yet")
    if machine.stranger:
        return bad(
            f"{machine.home} is not Understudy's folder: {machine.stranger}",
            "Understudy keeps the folder of its accounts closed to others, and that one is for other things too.",
            "unset UNDERSTUDY_HOME",
        )
    return judge(tuple(seen(machine.home)), os.geteuid(), _behind(machine))


def judge(found: Sequence[Seen], user: int, confdir: Confdir) -> Result:
    """`found`: the folder first. `user`: the uid that everything is to belong to."""
    faults: tuple[tuple[Callable[[Seen], object], Callable[[Sequence[Seen]], Result]], ...] = (
        (lambda one: one.owner != user, _foreign),
        (lambda one: not (stat.S_ISREG(one.mode) or stat.S_ISDIR(one.mode)), _strange),
        (lambda one: stat.S_ISREG(one.mode) and one.names > 1, _twice),
        (lambda one: stat.S_IMODE(one.mode) & _too_much(one, confdir), _open),
    )
    for is_so, told in faults:
        if ones := [one for one in found if is_so(one)]:
            return told(ones)
    return ok("nobody else can enter it")


def _foreign(ones: Sequence[Seen]) -> Result:
    return bad(
        f"not yours: {_named(ones)}",
        "Whoever owns a file can read and replace it. It comes from using sudo.",
        f"sudo chown -h $(id -u) {_all(ones)}",
    )


def _strange(ones: Sequence[Seen]) -> Result:
    return bad(
        f"neither a file nor a folder, but a link or something else: {_named(ones)}",
        "It may lead out of the private folder. Such a file is not read, and nothing is written through it.",
        f"rm {quoted(ones[0].path)}",
    )


def _twice(ones: Sequence[Seen]) -> Result:
    return bad(
        f"has another name elsewhere (a hard link): {_named(ones)}",
        "Whoever has the other name reads what is written here. Such a file is refused.",
        "cp -p {0} {0}.new && mv {0}.new {0}".format(quoted(ones[0].path)),
    )


def _open(ones: Sequence[Seen]) -> Result:
    return bad(
        f"open to other users: {_named(ones)}",
        "It holds logins, or what programs are made to trust.",
        f"chmod go= {_all(ones)}",
        fixable=True,
    )


def _too_much(one: Seen, confdir: Confdir) -> int:
    """The bits that it must not have. The certificates are for all to read; the folder keeps them from others."""
    readable = one.path.parent == confdir.path and one.path != confdir.authority
    return 0o022 if readable and stat.S_ISREG(one.mode) else 0o077


def _behind(machine: Machine) -> Confdir:
    return Confdir(machine.home.resolve())


def quoted(path: Path) -> str:
    """The path as a shell takes it."""
    return shlex.quote(str(path))


def _all(ones: Iterable[Seen]) -> str:
    return " ".join(quoted(one.path) for one in ones)


def _named(found: Sequence[Seen]) -> str:
    more = len(found) - MOST_NAMED
    return ", ".join(str(one.path) for one in found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def make_private(machine: Machine) -> Iterator[str]:
    """Closes what is open, by descriptors, so that no link is followed."""
    for one in seen(machine.home):
        if one.owner != os.geteuid() or not stat.S_IMODE(one.mode) & _too_much(one, _behind(machine)):
            continue
        if not (stat.S_ISREG(one.mode) or stat.S_ISDIR(one.mode)):
            continue
        file = os.open(one.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(file).st_mode) & ~_too_much(one, _behind(machine))
            os.fchmod(file, mode)
        finally:
            os.close(file)
        yield f"closed {one.path} to other users (mode {mode:04o})"


def room(machine: Machine) -> Result:
    """Whether files can be written there. None is, to find out."""
    folder = next(path for path in (machine.home, *machine.home.parents) if path.exists())
    space = os.statvfs(folder)
    # Some file systems do not say how much there is.
    free = space.f_bavail * space.f_frsize if space.f_blocks else None
    return judge_room(folder, free, bool(space.f_flag & os.ST_RDONLY), os.access(folder, os.W_OK | os.X_OK))


def judge_room(folder: Path, free: int | None, read_only: bool, may: bool) -> Result:
    """`folder`: ours, or where it would be made. `free`: bytes. `read_only`: the file system; `may`: this user."""
    unwritten = "Renewed logins cannot be kept, and are lost once the old ones end; no proxy can be started."
    if read_only:
        return bad(f"{folder} is on a file system that cannot be written to", unwritten, f"df -h {quoted(folder)}")
    if not may:
        return bad(f"{folder} cannot be written to", unwritten, f"chmod u+rwx {quoted(folder)}")
    if free is not None and free < LEAST_FREE:
        said = f"the disk of {folder} is full: {free / 1e6:.1f} MB are left"
        return bad(said, unwritten, f"df -h {quoted(folder)}")
    return ok("there is room on the disk")


def leftovers(machine: Machine) -> Result:
    """Whether killed processes have left records."""
    count = len(machine.running.leftovers)
    if not count:
        return ok("nothing is left over from processes that have ended")
    return warn(
        f"{count} {'file is' if count == 1 else 'files are'} left over from processes that were killed",
        "They do no harm; the next proxy removes them.",
        "understudy doctor --fix",
        fixable=True,
    )


def bury(machine: Machine) -> Iterator[str]:
    """Removes what dead processes have left, by the one way that does not take it from a living one."""
    from understudy.state.running import Running

    before = machine.running.leftovers
    Running(machine.home).all()
    yield from (f"removed {path}" for path in before if not path.exists())


CHECKS = (
    Check("folder", private, make_private),
    Check("room", room),
    Check("leftovers", leftovers, bury),
)

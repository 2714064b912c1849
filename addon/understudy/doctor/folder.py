"""Understudy's folder: that nobody else gets at it, and what killed processes have left in it."""

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.doctor.check import Check, Result, bad, ok, warn
from understudy.doctor.machine import Machine
from understudy.workstation.confdir import Confdir

MOST_NAMED = 5
"""Files that are named in one finding."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or folder as it lies there, links not followed. `mode`: as `st_mode`. `owner`: a uid."""

    path: Path
    mode: int
    owner: int
    names: int = 1
    """How many names the file has."""


def seen(home: Path) -> Iterator[Seen]:
    """The folder itself, which may be behind a link, and everything below it."""
    folder = home.resolve()
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            found = path.lstat()
        except OSError:
            continue  # A temporary file that is gone again.
        yield Seen(path, found.st_mode, found.st_uid, found.st_nlink)


def private(machine: Machine) -> Result:
    """Whether all of it is the user's alone."""
    if not machine.home.exists():
        return ok("it is not there yet")
    return judge(tuple(seen(machine.home)), os.geteuid(), _behind(machine))


def judge(found: Sequence[Seen], user: int, confdir: Confdir) -> Result:
    """`found`: the folder first. `user`: the uid that everything is to belong to."""
    faults: tuple[tuple[Callable[[Seen], object], Callable[[Sequence[Seen]], Result]], ...] = (
        (lambda one: one.owner != user, lambda ones: _foreign(ones, found[0].path)),
        (lambda one: not (stat.S_ISREG(one.mode) or stat.S_ISDIR(one.mode)), _strange),
        (lambda one: stat.S_ISREG(one.mode) and one.names > 1, _twice),
        (lambda one: stat.S_IMODE(one.mode) & _too_much(one, confdir), lambda ones: _open(ones, found[0].path)),
    )
    for is_so, told in faults:
        if ones := [one for one in found if is_so(one)]:
            return told(ones)
    return ok("nobody else can enter it")


def _foreign(ones: Sequence[Seen], home: Path) -> Result:
    return bad(
        f"not yours: {_named(ones)}",
        "Whoever owns a file can read and replace it. It comes from using sudo.",
        f"sudo chown -R $(id -u) {quoted(home)}",
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


def _open(ones: Sequence[Seen], home: Path) -> Result:
    return bad(
        f"open to other users: {_named(ones)}",
        "It holds logins, or what programs are made to trust.",
        f"chmod -R go= {quoted(home)}",
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
    Check("leftovers", leftovers, bury),
)

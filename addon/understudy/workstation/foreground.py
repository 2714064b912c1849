"""Runs one program in the foreground as a shell would: same terminal, same process group, signals and end passed on."""

import errno
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

LOOK = 0.5
"""Seconds between two looks at what else there is to see to."""
ASIDE = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What is sent to this process is meant for the program."""
KEYS = (signal.SIGINT, signal.SIGQUIT)
"""What a terminal sends to its whole foreground group: the program has it already."""
SHELL = "/bin/sh"
"""What runs a script that does not say what runs it."""

Enter = Callable[[], None]


class NotRun(Exception):
    """The system cannot run the program; the message is the system's own."""


def find(command: str, path: str | None) -> str:
    """The file that a shell would run for `command`. `path`: PATH.

    Raises FileNotFoundError where there is none, and PermissionError where there is one that cannot be run.
    """
    if found := shutil.which(command, path=path):
        return found
    folders = [""] if os.sep in command else (os.defpath if path is None else path).split(os.pathsep)
    there = next((file for folder in folders if (file := Path(folder, command)).exists()), None)
    if command and there is not None:
        raise PermissionError(f"{there} cannot be run: it is {'a folder' if there.is_dir() else 'not executable'}")
    raise FileNotFoundError(f"there is no command {command!r}")


def attend(
    words: Sequence[str],
    program: str,
    environ: Mapping[str, str],
    *,
    look: Callable[[], None],
    enter: Enter | None = None,
) -> int:
    """Runs the file `program` as `words` to its end: its exit code, or -n where signal n ended it.

    `enter` is called in the new process before the program is there, as to go into a cgroup. `look` is called every
    half second. Files that this process has inherited are the program's, too, such as those of `<(...)`; our own are
    closed to it. For the main thread, and while there is no other. Raises NotRun.
    """
    with _Signals() as signals:
        process = signals.spawn(words, program, environ, enter)
        process.returncode = _wait(signals, process.pid, look)
        return process.returncode


def end_like(code: int) -> int:
    """Ends this process by the signal -`code` that ended a program, as its caller expects; else gives the exit code."""
    if code >= 0:
        return code
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # The program has left what there is to see.
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


def _wait(signals: "_Signals", pid: int, look: Callable[[], None]) -> int:
    while True:
        signals.continued = False
        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if ended and not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        if ended and not signals.continued:
            # The shell watches this process alone: it is to see that the program has stopped.
            os.kill(os.getpid(), signal.SIGTSTP)
        signals.wait(LOOK)
        look()


class _Signals:
    """What becomes of this process's signals while the program runs."""

    def __init__(self) -> None:
        self.continued = False
        """Whether this process was told to go on since this was last set to False."""
        self._child: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._woken, self._waking = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waking, False)
        self._wakeup_before = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        for number in (*ASIDE, *KEYS, signal.SIGCONT, signal.SIGCHLD):
            # What is ignored, as by nohup, is to be ignored by the program as well. But how a child ended, nobody is
            # told who ignores SIGCHLD.
            if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._woken)
        os.close(self._waking)

    def spawn(
        self, words: Sequence[str], program: str, environ: Mapping[str, str], enter: Enter | None
    ) -> "subprocess.Popen[bytes]":
        """Starts the program. A signal that comes meanwhile waits until it is known for whom. Raises NotRun."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*ASIDE, *KEYS))

        def begin() -> None:
            if enter is not None:
                enter()
            if self._before[signal.SIGCHLD] is signal.SIG_IGN:
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        try:
            process = _popen(words, program, environ, begin)
            self._child = process.pid
        except OSError as error:
            raise NotRun(error.strerror) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return process

    def wait(self, seconds: float) -> None:
        """Waits for the next signal."""
        if select.select([self._woken], [], [], seconds)[0]:
            os.read(self._woken, 4096)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.continued |= number == signal.SIGCONT
        # To go on (SIGCONT) is told by a shell to the whole group. Passed on late, it would undo the next stop.
        meant = number in ASIDE or (number in KEYS and not _in_foreground())
        if meant and self._child is not None:
            try:
                os.kill(self._child, number)
            except ProcessLookupError:
                pass


def _popen(words: Sequence[str], program: str, environ: Mapping[str, str], begin: Enter) -> "subprocess.Popen[bytes]":
    def popen(words: Sequence[str], program: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(words, executable=program, env=environ, close_fds=False, preexec_fn=begin)

    try:
        return popen(words, program)
    except OSError as error:
        if error.errno != errno.ENOEXEC or not _is_text(program):
            raise
    return popen((words[0], program, *words[1:]), SHELL)


def _is_text(program: str) -> bool:
    """Whether a shell would take the file for a script, although it does not say whose."""
    try:
        with Path(program).open("rb") as file:
            return b"\0" not in file.read(256)
    except OSError:
        return False


def _in_foreground() -> bool:
    """Whether the keys of a terminal reach this process, and so the program as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)

"""Kills processes at random moments of their work, or at a step of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

# A process that has loaded everything makes a child for each round, so that a round costs no start.
_NURSERY = """
import os, signal, sys
from pathlib import Path

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child stays as a zombie
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        work(Path(sys.argv[1]))
    print(child, flush=True)
"""


def killings(
    program: str, path: Path, rng: random.Random, rounds: int = 50, *, writers: int = 1, within: float = 0.04
) -> Iterator[None]:
    """Starts `work(path)`, as `program` defines it, in processes of their own, and kills them with SIGKILL.

    Each `within` so many seconds. Yields after each of the rounds, when the processes are gone.
    """
    command = [sys.executable, "-c", program + _NURSERY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        for _ in range(rounds):
            nursery.stdin.write("go\n" * writers)
            nursery.stdin.flush()
            children = [int(nursery.stdout.readline()) for _ in range(writers)]
            for child in children:
                time.sleep(rng.uniform(0, within / writers))
                os.kill(child, signal.SIGKILL)
            while any(map(_is_there, children)):
                time.sleep(0.001)
            yield
        nursery.stdin.close()
        assert nursery.wait(timeout=10) == 0


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# Each line of standard input names a step to be killed at (-1: none, 0: none, and no counting either) and what to work
# on; the answer says how it ended.
_STEPPING = """
import os, signal, sys, threading, traceback

def _steps(last):
    taken, lock = [0], threading.Lock()

    def step():
        with lock:
            taken[0] += 1
            if taken[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    def line(frame, event, arg):
        step()
        return line

    def call(frame, event, arg):
        return line if "/understudy/" in frame.f_code.co_filename else None

    def profile(frame, event, function):
        owner = getattr(function, "__self__", None)
        module = owner.__name__ if isinstance(owner, type(sys)) else type(owner).__module__
        if event == "c_call" and module in {"posix", "fcntl", "select", "socket", "_io"}:
            step()

    threading.settrace(call)
    threading.setprofile(profile)
    sys.settrace(call)
    sys.setprofile(profile)
    return taken

def _child(last, argument):
    status = 1
    try:
        taken = _steps(last) if last else [0]
        work(argument)
        sys.setprofile(None)
        sys.settrace(None)
        os.write(told, str(taken[0]).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)

for command in sys.stdin:
    last, _, argument = command.rstrip("\\n").partition(" ")
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        _child(int(last), argument)
    os.close(told)
    steps = os.read(heard, 20).decode()
    os.close(heard)
    _, ended = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
    print("killed" if killed else f"done {steps}" if ended == 0 else "failed", flush=True)
"""


class Stepping:
    """A program whose work is killed with SIGKILL at a step that the caller names: `with Stepping(program) as ...`.

    `program` defines `work(argument)`. Every round runs it in a process of its own, which is forked from one that has
    loaded everything. A step is a line of ours, or anybody's call of the operating system: between two of them nothing
    happens that others could see. In all threads together, so the numbers differ a little where several work at a time.
    """

    def __init__(self, program: str) -> None:
        self._command = [sys.executable, "-c", program + _STEPPING]

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(10)

    def steps(self, argument: str) -> int:
        """Does the work to its end, and counts its steps."""
        ended = self._round(-1, argument)
        assert ended.startswith("done "), ended
        return int(ended.removeprefix("done "))

    def work(self, argument: str) -> None:
        """Does the work to its end, at full speed."""
        assert self._round(0, argument).startswith("done ")

    def killed(self, step: int, argument: str) -> bool:
        """Does the work until it is killed at `step`, counted from 1. False where it ended before."""
        ended = self._round(step, argument)
        assert ended != "failed", f"the work failed before step {step}"
        return ended == "killed"

    def _round(self, step: int, argument: str) -> str:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{step} {argument}\n")
        process.stdin.flush()
        return process.stdout.readline().rstrip("\n")

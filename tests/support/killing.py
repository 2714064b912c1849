"""Kills processes at random moments of their work."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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


def killings(program: str, path: Path, rng: random.Random, rounds: int = 50) -> Iterator[None]:
    """Starts `work(path)`, as `program` defines it, in a process of its own, and kills it with SIGKILL within 40 ms.

    Yields after each of the rounds, when the process is gone.
    """
    command = [sys.executable, "-c", program + _NURSERY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        for _ in range(rounds):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            time.sleep(rng.uniform(0, 0.04))
            os.kill(child, signal.SIGKILL)
            while _is_there(child):
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

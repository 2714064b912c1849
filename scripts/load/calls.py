"""Makes calls with the load client, and reads what they cost the proxy."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass

from load.client import Job, Result
from load.setting import HERE, Backend, Proxy, Setting, environment

LIMIT = 120.0
"""Seconds that one job of the client may take."""
REQUEST_SIZE = 8 * 1024
"""Bytes of a request body, about."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What came of one job. Times in milliseconds; `cpu` and `seconds` in seconds.

    `first`: to the first event of each call; `delays`: of each event; `limited`: to each 429, whole.
    """

    first: list[float]
    delays: list[float]
    limited: list[float]
    complete: int
    wrong: list[str]
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Plan:
    """`each` calls on each of `connections`, of `models` in turn; `spread`: milliseconds over which they begin."""

    models: list[str]
    connections: int
    each: int
    spread: float = 0.0


def make(setting: Setting, backend: Backend, proxy: Proxy | None, plan: Plan) -> Calls:
    """Makes the calls on warm connections, to `backend` or through `proxy`."""
    job: Job = {
        "proxy": proxy.port if proxy else 0,
        "backend": backend.port,
        "ca": str(proxy.ca if proxy else setting.authority),
        "models": plan.models,
        "connections": plan.connections,
        "calls": plan.each,
        "request_size": REQUEST_SIZE,
        "spread": plan.spread,
    }
    pipe = subprocess.PIPE
    command = [sys.executable, str(HERE / "client.py")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment({})) as process:
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            ready = process.stdout.readline()
            before = proxy.cpu() if proxy else 0.0
            process.stdin.write("go\n")
            process.stdin.flush()
            line = process.stdout.readline()
            after = proxy.cpu() if proxy else 0.0
        finally:
            timer.cancel()
            process.stdin.close()
    if ready != "ready\n" or not line:
        raise RuntimeError(f"the load client failed, or took longer than {LIMIT:.0f} s")
    result: Result = json.loads(line)
    return Calls(
        first=[value / 1e6 for value in result["first"]],
        delays=[value / 1e6 for value in result["delays"]],
        limited=[value / 1e6 for value in result["limited"]],
        complete=result["complete"],
        wrong=result["wrong"],
        seconds=result["seconds"],
        cpu=after - before,
    )

"""Makes calls with the load client, and reads what they cost the proxy."""

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPSConnection

from load.backend import RECEIVED
from load.client import Job, Result
from load.setting import HERE, Backend, Proxy, Setting, environment

LIMIT = 120.0
"""Seconds that one job of the client may take."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What came of one job. Times in milliseconds; `cpu` and `seconds` in seconds.

    `first`: to the first event of each call; `opening`: the same, of the call that warmed a connection up; `delays`: of
    each event; `limited`: to each 429, whole; `received`: the bytes that came to the backend.
    """

    opening: list[float]
    first: list[float]
    delays: list[float]
    limited: list[float]
    complete: int
    wrong: list[str]
    seconds: float
    cpu: float
    received: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`each` calls on each of `connections`, of `models` in turn; `spread`: milliseconds over which they begin.

    `request_size`: bytes of a body, about; `session`: the calls of a connection are the turns of one session, which
    begins with so much.
    """

    models: list[str]
    connections: int
    each: int
    spread: float = 0.0
    request_size: int = 8 * 1024
    websocket: bool = False
    session: bool = False


def make(setting: Setting, backend: Backend, proxy: Proxy | None, plan: Plan) -> Calls:
    """Makes the calls on warm connections, to `backend` or through `proxy`."""
    job: Job = {
        "proxy": proxy.port if proxy else 0,
        "backend": backend.port,
        "ca": str(proxy.ca if proxy else setting.authority),
        "models": plan.models,
        "connections": plan.connections,
        "calls": plan.each,
        "request_size": plan.request_size,
        "spread": plan.spread,
        "websocket": plan.websocket,
        "session": plan.session,
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
            had = received(setting, backend)
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
        opening=[value / 1e6 for value in result["opening"]],
        first=[value / 1e6 for value in result["first"]],
        delays=[value / 1e6 for value in result["delays"]],
        limited=[value / 1e6 for value in result["limited"]],
        complete=result["complete"],
        wrong=result["wrong"],
        seconds=result["seconds"],
        cpu=after - before,
        received=received(setting, backend) - had,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all stay at or under."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def received(setting: Setting, backend: Backend) -> int:
    """The bytes that have come to the backend so far, inside TLS; asking for them takes some, too."""
    context = ssl.create_default_context(cafile=setting.authority)
    connection = HTTPSConnection("127.0.0.1", backend.port, context=context, timeout=10)
    try:
        connection.request("GET", RECEIVED)
        return int(connection.getresponse().read())
    finally:
        connection.close()

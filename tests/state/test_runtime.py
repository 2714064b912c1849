"""What running proxies are is known as long as they run, and no longer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from support.proxy import clean_environment
from understudy.pool.tally import Tally
from understudy.state.running import Running
from understudy.state.runtime import KEY, Listener, Runtime, decode, encode, runtimes, shared_proxy

REGULAR = Listener("regular", "127.0.0.1", 8080)
PROXY = Runtime(
    pid=os.getpid(),
    program="mitmweb",
    version="0.1.0",
    mitmproxy="11.0.2",
    started_at=1000.0,
    confdir="/home/ada/.local/share/understudy/mitmproxy",
    listeners=(REGULAR, Listener("transparent", "::1", 8180)),
    options={"codex_hosts": "api.openai.com", "mode": ["regular"], "codex_wait": 0, "codex_keyring": None},
    owner=17,
    web="http://127.0.0.1:8081/",
    authority="ab" * 32,
    tally=Tally(3, 1, 2, {"work": 2}),
)


def tell(home: Path, runtime: Runtime) -> Running:
    running = Running(home)
    running.tell({KEY: encode(runtime)})
    return running


def test_what_is_told_is_what_is_heard() -> None:
    assert decode(PROXY.pid, json.loads(json.dumps(encode(PROXY)))) == PROXY


@pytest.mark.parametrize(
    "told",
    [None, [], {}, asdict(PROXY) | {"listeners": [{"mode": "regular"}]}, asdict(PROXY) | {"tally": None}],
    ids=["nothing", "a list", "an empty object", "half a listener", "no tally"],
)
def test_what_another_version_tells_is_nothing_and_no_error(told: object) -> None:
    assert decode(1, told) is None


@pytest.mark.parametrize(
    ("modes", "port"),
    [
        (("regular",), 1),
        (("transparent", "regular"), 2),
        (("upstream:http://127.0.0.1:3128",), 1),
        (("reverse:https://api.openai.com",), None),
        ((), None),
    ],
    ids=str,
)
def test_its_port_is_that_of_programs_with_a_proxy_variable(modes: tuple[str, ...], port: int | None) -> None:
    listeners = tuple(Listener(mode, "127.0.0.1", number) for number, mode in enumerate(modes, 1))
    assert replace(PROXY, listeners=listeners).port == port


def test_the_latest_comes_first(home: Path) -> None:
    proxies = [tell(home, replace(PROXY, started_at=started)) for started in (2.0, 3.0, 1.0)]
    assert [each.started_at for each in runtimes(home)] == [3.0, 2.0, 1.0]
    for proxy in proxies:
        proxy.end()
    assert runtimes(home) == ()


@pytest.mark.parametrize(
    ("change", "is_shared"),
    [({"owner": None}, True), ({}, False), ({"owner": None, "listeners": ()}, False)],
    ids=["anybody's", "one process's", "without a port"],
)
def test_only_one_that_anybody_can_use_is_shared(home: Path, change: Mapping[str, object], is_shared: bool) -> None:
    proxy = tell(home, replace(PROXY, **change))  # type: ignore[arg-type]
    assert (shared_proxy(home) is not None) is is_shared
    proxy.end()


def test_a_process_that_tells_no_more_than_how_it_chooses_is_no_proxy_that_can_be_used(home: Path) -> None:
    running = Running(home)
    running.tell({"rules": {}})
    assert runtimes(home) == ()
    running.end()


def test_of_a_proxy_that_was_killed_nothing_is_left(home: Path) -> None:
    told = json.dumps(dict(encode(PROXY)))
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom understudy.state.running import Running\n"
        f"Running(Path(sys.argv[1])).tell({{{KEY!r}: json.loads(sys.argv[2])}})\n"
        "print(flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(home), told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [each.pid for each in runtimes(home)] == [process.pid]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert runtimes(home) == ()
        assert list((home / "running").iterdir()) == []

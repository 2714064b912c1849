"""A proxy is stopped, started anew and killed while it answers: no host that it has taken on loses by it.

Started as `understudy start` does it, with the authority that `understudy start` makes.
"""

import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.backstage import Backstage
from support.hosts import HOST_KEY
from support.launching import accepts, is_alive, kill_all, options_for, quiet_port
from support.theatre import URL, eventually, read_events
from understudy.pool.tally import Tally
from understudy.sandbox.server import Sandbox
from understudy.state.runtime import Runtime, shared_proxy
from understudy.workstation import keeping
from understudy.workstation.confdir import Confdir
from understudy.workstation.launch import Wanted, restart, start, stop
from understudy.workstation.reach import ask

WORDS = 40
SLOW = {"do": "answer", "words": WORDS, "delay": 0.05}
QUICK = {"do": "answer", "words": 3}
LIMIT = {"do": "usage_limit"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    accounts = {"work": {"steps": [QUICK]}, "home": {"steps": [QUICK]}}
    with Sandbox({"accounts": accounts}) as running:
        yield running


@pytest.fixture
def folder(
    make_backstage: Callable[[], Backstage], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    stage = make_backstage()
    stage.enrol(sandbox)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(stage.home))
    yield stage.home
    kill_all(stage.home)


@pytest.fixture
def proxy(folder: Path, sandbox: Sandbox) -> Runtime:
    return start(folder, options=options_for(sandbox), port=quiet_port())


class Host(threading.Thread):
    """A program that asks for a stream and hears it to its end."""

    def __init__(self, folder: Path, port: int | None) -> None:
        super().__init__(daemon=True)
        context = ssl.create_default_context(cafile=str(Confdir(folder).certificate))
        self._client = httpx.Client(proxy=f"http://127.0.0.1:{port}", verify=context, trust_env=False, timeout=30)
        self.heard = b""
        self.broken = ""
        self.start()

    def run(self) -> None:
        body = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": True}).encode()
        headers = {"authorization": f"Bearer {HOST_KEY}", "content-type": "application/json"}
        with self._client as client:
            try:
                with client.stream("POST", URL, content=body, headers=headers) as response:
                    for piece in response.iter_raw():
                        self.heard += piece
            except httpx.TransportError as error:
                self.broken = str(error) or type(error).__name__

    def begins(self) -> None:
        """Waits until there is output."""
        eventually(lambda: b"output_text.delta" in self.heard or bool(self.broken))
        assert not self.broken

    def ends(self) -> list[str]:
        """The events' types, once the answer is over."""
        self.join(30)
        assert not self.is_alive()
        return [str(event["type"]) for event in read_events(self.heard)]


def is_whole(types: list[str]) -> bool:
    return types[-1] == "response.completed" and types.count("response.output_text.delta") >= WORDS


def test_what_is_carried_out_is_counted(folder: Path, sandbox: Sandbox, proxy: Runtime) -> None:
    sandbox.set_steps("work", [QUICK, LIMIT])
    for _ in range(2):
        assert Host(folder, proxy.port).ends()[-1] == "response.completed"
    told = ask(proxy)
    assert told is not None and told.tally == Tally(2, 0, 1, {"work": 1, "home": 1})


def test_it_tells_the_authority_that_it_has_loaded_whatever_is_on_disk_by_now(folder: Path, proxy: Runtime) -> None:
    loaded = keeping.load(Confdir(folder))
    assert loaded is not None and proxy.authority == loaded.fingerprint
    new = keeping.rotate(Confdir(folder), frozenset(proxy.hosts), time.time())
    told = ask(proxy)
    assert told is not None and told.authority == loaded.fingerprint != new.fingerprint


def test_to_stop_it_is_to_let_its_answers_end(folder: Path, sandbox: Sandbox, proxy: Runtime) -> None:
    sandbox.set_steps("work", [SLOW])
    host, waits = Host(folder, proxy.port), threading.Event()
    host.begins()
    stop(folder, proxy, waiting=waits.set)
    assert waits.is_set() and not is_alive(proxy.pid)
    assert is_whole(host.ends())


def test_unless_they_are_to_be_cut_off(folder: Path, sandbox: Sandbox, proxy: Runtime) -> None:
    sandbox.set_steps("work", [{**SLOW, "words": 2000}])
    host = Host(folder, proxy.port)
    host.begins()
    began = time.monotonic()
    stop(folder, proxy, now=True)
    assert time.monotonic() - began < 10
    assert host.ends()[-1] != "response.completed"


def test_it_takes_no_new_ones_meanwhile_and_is_nobodys_to_use(folder: Path, sandbox: Sandbox, proxy: Runtime) -> None:
    sandbox.set_steps("work", [SLOW])
    host = Host(folder, proxy.port)
    host.begins()
    os.kill(proxy.pid, signal.SIGTERM)
    eventually(lambda: shared_proxy(folder) is None)
    assert proxy.port is not None and not accepts(proxy.port)
    assert is_alive(proxy.pid) and is_whole(host.ends())


def test_a_restart_takes_the_port_over_while_the_old_one_answers(
    folder: Path, sandbox: Sandbox, proxy: Runtime
) -> None:
    sandbox.set_steps("work", [SLOW, QUICK])
    old = Host(folder, proxy.port)
    old.begins()
    done = restart(folder, proxy, Wanted())
    assert done.drains and is_alive(proxy.pid)
    assert Host(folder, done.runtime.port).ends()[-1] == "response.completed"
    assert is_whole(old.ends())
    eventually(lambda: not is_alive(proxy.pid))
    assert (done.runtime.port, shared_proxy(folder)) == (proxy.port, ask(done.runtime))


def test_the_port_of_one_that_was_killed_is_had_at_once(folder: Path, sandbox: Sandbox, proxy: Runtime) -> None:
    sandbox.set_steps("work", [{**SLOW, "words": 2000}])
    host = Host(folder, proxy.port)
    host.begins()
    os.kill(proxy.pid, signal.SIGKILL)
    assert host.ends()[-1] != "response.completed"
    eventually(lambda: shared_proxy(folder) is None)
    sandbox.set_steps("work", [QUICK])
    anew = start(folder, options=options_for(sandbox), port=proxy.port)
    assert Host(folder, anew.port).ends()[-1] == "response.completed"


def test_one_whose_owner_is_gone_still_ends_its_answers(folder: Path, sandbox: Sandbox) -> None:
    """The line to its owner is closed here as the system does it where the owner ends."""
    owned = start(folder, options=options_for(sandbox), owned=True)
    sandbox.set_steps("work", [SLOW])
    host = Host(folder, owned.port)
    host.begins()
    close_lines_to(owned.pid)
    assert is_whole(host.ends())
    eventually(lambda: not is_alive(owned.pid))


def close_lines_to(pid: int) -> None:
    """Closes the newest socket of this process that has no name: it is the line to the proxy that was started last."""
    unnamed = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            if path.readlink().name.startswith("socket:"):
                unnamed.append(int(path.name))
        except OSError:
            continue
    for file in sorted(unnamed, reverse=True):
        with socket.socket(fileno=os.dup(file)) as found:
            if found.family == socket.AF_UNIX and found.getpeername() == "":
                found.shutdown(socket.SHUT_RDWR)
                os.close(file)
                return
    raise AssertionError(f"there is no line to {pid}")

"""A healthy installation for the doctor: a folder with an account and an authority, and what answers as a proxy."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.command import free_port
from support.logins import account
from understudy import __version__
from understudy.doctor.check import Result, State
from understudy.doctor.checks import look, mend
from understudy.doctor.machine import LoginFile, Machine
from understudy.pool.account import Account
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.state.running import Running
from understudy.state.runtime import KEY, Listener, Runtime, encode
from understudy.wire.quota import Snapshot, Source, Window
from understudy.workstation.confdir import Confdir
from understudy.workstation.keeping import ensure

HOSTS = frozenset({"api.openai.com"})


@dataclass
class Clinic:
    """The installation in `home`, and the shell of its user. What a test changes in it is what the doctor sees."""

    home: Path
    user_home: Path
    now: float = field(default_factory=time.time)
    port: int = field(default_factory=free_port)
    environ: dict[str, str] = field(default_factory=dict)
    login_files: list[LoginFile] = field(default_factory=list)

    @property
    def confdir(self) -> Confdir:
        """Where its authority is."""
        return Confdir(self.home)

    def machine(self) -> Machine:
        """What the checks look at, now."""
        return Machine(self.home, dict(self.environ), self.user_home, self.now, self.port, lambda: self.login_files)

    def findings(self) -> Mapping[str, Result]:
        """What each check finds, by its name."""
        return {finding.name: finding.result for finding in look(self.machine())}

    def alone(self, name: str, state: State = State.BAD) -> Result:
        """What the check `name` finds. No other check finds anything wrong."""
        found = self.findings()
        wrong = {name: result.state for name, result in found.items() if result.state in (State.BAD, State.WARN)}
        assert wrong == {name: state}, found
        assert found[name].why and found[name].command
        return found[name]

    def healthy(self) -> Mapping[str, Result]:
        """What each check finds, where nothing is wrong."""
        found = self.findings()
        assert {result.state for result in found.values()} <= {State.OK, State.SKIPPED}, found
        return found

    def fix(self) -> list[str]:
        """What `--fix` says that it has done."""
        return [line for done, line in mend(self.machine()) if done]

    def set_accounts(self, *accounts: Account) -> None:
        """Puts these accounts in the pool's place, with the figures of a moment ago."""
        pool = AccountStore(self.home).update(over_accounts(lambda _: accounts))
        seen = Snapshot(
            "plus", (Window("5h", "codex", 12.0, 300, self.now + 3600),), None, self.now - 5, Source.HEADERS
        )
        QuotaCache(self.home).sync(pool, [(one.id, seen) for one in accounts])

    @contextmanager
    def proxy(self, *, answers: bool = True, **differing: object) -> Iterator[Runtime]:
        """A living process that tells of a proxy at a port, where it `answers` as ours, or not at all."""
        running = Running(self.home)
        with _server() as server:
            runtime = replace(self._runtime(server.server_address[1]), **differing)  # type: ignore[arg-type]
            server.page = json.dumps(encode(runtime)).encode() if answers else b""
            running.tell({KEY: encode(runtime)})
            try:
                yield runtime
            finally:
                running.end()

    def _runtime(self, port: int) -> Runtime:
        import os

        return Runtime(
            pid=os.getpid(),
            program="mitmdump",
            version=__version__,
            mitmproxy="11.0.2",
            started_at=self.now - 10,
            confdir=str(self.confdir.path),
            listeners=(Listener("regular", "127.0.0.1", port),),
        )


def healthy_clinic(folder: Path) -> Clinic:
    """One with nothing wrong in it."""
    (folder / "user").mkdir()
    clinic = Clinic(folder / "understudy", folder / "user")
    ensure(clinic.confdir, HOSTS, clinic.now)
    clinic.set_accounts(account("ada", expires_at=clinic.now + 3600))
    return clinic


class _Server(ThreadingHTTPServer):
    page = b""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if not self.server.page:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def _server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

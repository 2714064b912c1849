"""What the benchmark's processes run in: a folder with certificates and accounts, the backend, the proxies."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme
from mitmproxy.certs import CertStore

from load.client import HOST
from understudy.pool.account import Account, Tokens
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.wire.secret import Secret

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "addon" / "codex.py"
PATH = "/backend-api/codex"
LISTENING = re.compile(r"listening at (?:https?://)?127\.0\.0\.1:(\d+)")
START_LIMIT = 30.0


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that would lead a program elsewhere."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(more)


def end(process: "subprocess.Popen[str]") -> None:
    """Ends a process, and waits until it has."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Backend:
    """The load backend as a process."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._command = [sys.executable, str(HERE / "backend.py"), str(certificate), str(key)]
        self.port = 0

    @property
    def url(self) -> str:
        """What `codex_backend` has to be."""
        return f"https://127.0.0.1:{self.port}{PATH}"

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, env=environment({}))
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            end(self._process)


class Proxy:
    """mitmdump as a process, with one script."""

    def __init__(self, script: Path, options: Mapping[str, object], env: Mapping[str, str], folder: Path) -> None:
        self._command = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(script)]
        for name, value in options.items():
            self._command += ["--set", f"{name}={value}"]
        self._env = environment(env)
        self._log = folder / "log"
        self.ca = folder / "confdir" / "mitmproxy-ca-cert.pem"
        self.port = 0

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, text=True, env=self._env)
        try:
            self.port = self._wait_for_port()
        except BaseException:
            end(self._process)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)
        if isinstance(error, Exception):
            sys.stderr.write(f"--- the end of {' '.join(self._command[:3])}'s log\n{self._log.read_text()[-3000:]}\n")

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, all its threads, in nanosecond steps.

        The kernel's CPU clock of another process; its number is made as clock_getcpuclockid(3) does.
        """
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory(self) -> float:
        """Resident memory in MB (10**6 bytes)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def _wait_for_port(self) -> int:
        until = time.monotonic() + START_LIMIT
        while (found := LISTENING.search(self._log.read_text())) is None:
            if self._process.poll() is not None or time.monotonic() > until:
                raise TimeoutError(f"mitmdump did not start:\n{self._log.read_text()}")
            time.sleep(0.05)
        return int(found[1])


class Setting:
    """Makes certificates once, and backends and proxies that trust one another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", HOST)
        self.authority = folder / "authority.pem"
        self._certificate, self._key = folder / "certificate.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        issued.cert_chain_pems[0].write_to_path(str(self._certificate))
        issued.private_key_pem.write_to_path(str(self._key))
        CertStore.from_store(folder / "confdir", "mitmproxy", 2048)

    def backend(self) -> Backend:
        """The load backend, not started yet."""
        return Backend(self._certificate, self._key)

    def plain(self, backend: Backend) -> Proxy:
        """mitmdump that only routes to `backend`, and streams."""
        options, folder = self._place()
        return Proxy(HERE / "route.py", options, {"ROUTE_FROM": HOST, "ROUTE_TO": f"{backend.url}/responses"}, folder)

    def understudy(self, backend: Backend, accounts: int = 2) -> Proxy:
        """mitmdump with Understudy, and a new pool of `accounts` accounts."""
        options, folder = self._place()
        options |= {
            "codex_backend": backend.url,
            "codex_issuer": f"https://127.0.0.1:{backend.port}",
            "codex_hosts": HOST,
        }
        home = folder / "understudy"
        enrol_accounts(home, accounts)
        return Proxy(SCRIPT, options, {"UNDERSTUDY_HOME": str(home)}, folder)

    def _place(self) -> tuple[dict[str, object], Path]:
        """The options that both proxies have, and a folder of their own."""
        self._number += 1
        folder = self._folder / f"proxy-{self._number}"
        shutil.copytree(self._folder / "confdir", folder / "confdir")
        options: dict[str, object] = {
            "confdir": folder / "confdir",
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            "connection_strategy": "lazy",
            "dumper_filter": "!~websocket",  # Otherwise mitmdump's log has a line for each message.
            "ssl_verify_upstream_trusted_ca": self.authority,
        }
        return options, folder


def enrol_accounts(home: Path, count: int) -> None:
    """A new pool with `count` accounts whose tokens are good for hours, and as long as real ones."""
    home.mkdir(mode=0o700)
    token = Secret("load-token-" + 1500 * "x")
    tokens = Tokens(token, Secret("load-refresh-token"), token, time.time() + 36000)
    accounts = [
        Account(f"acct_{n:012x}", f"load-{n}", f"load-account-{n}", f"load-user-{n}", tokens, plan="plus")
        for n in range(count)
    ]
    AccountStore(home).update(over_accounts(lambda _: tuple(accounts)))

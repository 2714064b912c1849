"""A machine and the internet, each a network of its own: the machine's programs find api.openai.com out there."""

import fcntl
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from support.hosts import HOST_KEY
from support.members import pool_of
from support.namespaces import Namespace, joined
from support.peers import OPENAI, Origin, server_tls
from understudy.sandbox.server import Sandbox
from understudy.workstation.redirection import machine

OTHER = "other.example"
ADDRESSES = {OPENAI: ("203.0.113.10", "2001:db8::10"), OTHER: ("203.0.113.20", "2001:db8::20")}
NEW = "203.0.113.11"
"""Another address of api.openai.com, which the name service does not tell at first."""
WORDS = "Out of the wings."
PYTHON = "/usr/bin/python3"
"""Another user often may not enter our own."""
NEEDED = ("ip", "nft", "iptables", "ip6tables", "unshare", "nsenter", "setpriv", "setsid", "getent", "curl", PYTHON)
_ENTER = """\
import os, sys
from pathlib import Path
from understudy.workstation.redirection.entry import enter
enter(Path(os.environ["UNDERSTUDY_HOME"]), sys.argv)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Outside(Origin):
    """An origin on the internet, at an address of its own."""

    def __init__(self, tls: ssl.SSLContext, address: str) -> None:
        super().__init__(tls)
        self._listener.close()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 443), family=family)
        self.datagrams = socket.socket(family, socket.SOCK_DGRAM)
        """For HTTP/3; nobody answers."""
        self.datagrams.bind((address, 443))
        self.datagrams.setblocking(False)

    def forget(self) -> None:
        super().forget()
        while self.told():
            pass

    def told(self) -> bytes:
        """The next datagram that has come; empty where none has."""
        try:
            return self.datagrams.recv(64)
        except BlockingIOError:
            return b""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.datagrams.close()


class Country:
    """The machine with a sandbox on it, and the internet with two hosts. Leaving the block ends everything."""

    def __init__(self, folder: Path, authority: trustme.CA, authority_file: Path) -> None:
        self._folder = folder
        self._authority, self.authority_file = authority, authority_file
        self.home = folder / "understudy"
        self.machine = Namespace(folder / "machine")
        self.internet = Namespace(folder / "internet")
        self.sandbox = Sandbox({"accounts": {"work": {"steps": [{"do": "answer", "text": WORDS}]}}})
        self.origins: dict[str, list[Outside]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Control groups are the whole machine's: one test process at a time.
            lock = stack.enter_context(Path("/tmp/understudy-test-redirected.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._open = tempfile.TemporaryDirectory()  # Other users may read it.
            Path(stack.enter_context(self._open)).chmod(0o755)
            stack.enter_context(self.machine)
            stack.enter_context(self.internet)
            outside = [address for addresses in ADDRESSES.values() for address in addresses]
            whole = [f"{address}/{128 if ':' in address else 32}" for address in (*outside, NEW)]
            joined(self.machine, ("192.0.2.1/32", "2001:db8:1::1/128"), self.internet, whole)
            with self.internet.entered():
                for name, addresses in {OPENAI: (*ADDRESSES[OPENAI], NEW), OTHER: ADDRESSES[OTHER]}.items():
                    tls = server_tls(self._authority, name)
                    self.origins[name] = [stack.enter_context(Outside(tls, address)) for address in addresses]
            with self.machine.entered():
                stack.enter_context(self.sandbox)
            pool_of(self.sandbox, self.home)
            stack.callback(self._tidy)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def names(self, **more: Sequence[str]) -> None:
        """What the name service says: the usual, and more addresses of api.openai.com (`openai=[...]`)."""
        told = {**ADDRESSES, OPENAI: (*ADDRESSES[OPENAI], *more.get("openai", ()))}
        lines = [f"{address} {name}" for name, addresses in told.items() for address in addresses]
        self.machine.hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))

    def understudy(self, *words: str, check: bool = False) -> "subprocess.CompletedProcess[str]":
        """The command, as the proxy's user types it."""
        more = {"UNDERSTUDY_HOME": str(self.home)}
        return self.machine.run(sys.executable, "-m", "understudy", *words, check=check, environ=more)

    def start_proxy(self, *, transparent: bool = True) -> int:
        """Starts the proxy: its process."""
        settings = {
            "codex_backend": self.sandbox.backend,
            "codex_issuer": self.sandbox.issuer,
            "ssl_verify_upstream_trusted_ca": self.authority_file,
        }
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        options += ["--transparent"] if transparent else []
        self.understudy("start", "--background", *options, check=True)
        return self.proxy

    @property
    def proxy(self) -> int:
        """The process of the proxy that runs."""
        from understudy.state.runtime import shared_proxy

        found = shared_proxy(self.home)
        assert found is not None
        return found.pid

    @property
    def trusted(self) -> str:
        """The file that a program trusts the proxy and the internet by."""
        path = Path(self._open.name) / "trusted.pem"
        ours = self.home / "mitmproxy" / "mitmproxy-ca-cert.pem"
        path.write_text(ours.read_text() + self.authority_file.read_text())
        return str(path)

    def in_group(self, *words: str, proven: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs an unmodified program, without any proxy variable, in the group that is redirected.

        `proven`: as `understudy run` does it, which tries it first.
        """
        program = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs")]
        return self.elsewhere(*([sys.executable, "-c", _ENTER] if proven else program), *words)

    @property
    def group(self) -> Path:
        """The control group."""
        return Path(machine.cgroup_mount()) / "understudy-0"

    def elsewhere(self, *words: str, user: int | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs an unmodified program outside of the group."""
        trust = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE"), self.trusted)
        more = {"UNDERSTUDY_HOME": str(self.home), "OPENAI_API_KEY": HOST_KEY, **trust}
        return self.machine.run(*words, check=False, user=user, environ=more)

    @property
    def rules(self) -> str:
        """All of the machine's."""
        return self.machine.run("nft", "list", "ruleset").stdout

    def forget(self) -> None:
        """Nobody has asked anything yet."""
        for origins in self.origins.values():
            for origin in origins:
                origin.forget()
        self.sandbox.journal.clear()

    def asked(self, name: str) -> int:
        """Connections that a host on the internet has had."""
        return sum(origin.connections for origin in self.origins[name])

    def state(self) -> str:
        """What `status` says in one word."""
        return str(json.loads(self.understudy("transparent", "status", "--json").stdout)["state"])

    def told(self, name: str) -> int:
        """Datagrams that a host on the internet has had."""
        return sum(bool(origin.told()) for origin in self.origins[name])

    def _tidy(self) -> None:
        self.understudy("transparent", "down", "--yes")
        self.understudy("stop")

"""Where a proxy plays: its folders, its accounts, the names it can reach, and mitmweb's API."""

import http.client
import json
import random
import shutil
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from support.peers import redirecting_script
from support.proxy import SCRIPT, Proxy
from understudy.oauth.codex_auth import Login, read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache

PASSWORD = "a-password-for-mitmweb"


def _with_login(login: Login, new_id: str, label: str, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
    return enrol(accounts, login, new_id, label, now=0.0).accounts


class Backstage:
    """Folders of one proxy, beside each other: Understudy's own, mitmproxy's, and one for whatever a test writes."""

    def __init__(self, folder: Path, confdir_template: Path, authority_file: Path) -> None:
        self.folder = folder
        self.home = folder / "understudy"
        self.confdir = folder / "confdir"
        self._authority_file = authority_file
        shutil.copytree(confdir_template, self.confdir)

    def enrol(self, sandbox: Sandbox) -> None:
        """Fills the pool with the sandbox's accounts, in the scenario's order."""
        store = AccountStore(self.home)
        for number, label in enumerate(sandbox.scenario.accounts):
            login, new_id = read_auth_json(sandbox.auth_json(label)), f"acct_{number:012x}"
            pool = store.update(over_accounts(partial(_with_login, login, new_id, label)))
            QuotaCache(self.home).sync(pool)

    def proxy(
        self,
        sandbox: Sandbox,
        *,
        routes: Mapping[str, int] | None = None,
        scripts: tuple[Path, ...] = (),
        script: Path = SCRIPT,
        program: str = "mitmdump",
        mode: str = "regular",
        arguments: tuple[str, ...] = (),
        options: Mapping[str, object] | None = None,
    ) -> Proxy:
        """A proxy in front of `sandbox`. `routes`: names that lead to loopback ports; `scripts`: loaded after ours."""
        settings: dict[str, object] = {
            "codex_backend": sandbox.backend,
            "codex_issuer": sandbox.issuer,
            "ssl_verify_upstream_trusted_ca": self._authority_file,
        }
        if routes:
            scripts = (*scripts, redirecting_script(self.folder, routes))
        more = [text for path in scripts for text in ("-s", str(path))]
        return Proxy(
            self.home,
            self.confdir,
            settings | dict(options or {}),
            mode=mode,
            program=program,
            script=script,
            arguments=(*more, *arguments),
        )


def times(count: int, pattern: str) -> str:
    """A pattern for `Proxy.wait_for_log`: `pattern` is in the log `count` times. It takes linear time, found or not."""
    return rf"(?s)\A(?>.*?{pattern}){{{count}}}"


def _free_port() -> int:
    """A port for a program that cannot say which one it took, free until that program is there: it is below those
    that the system gives to everybody who asks for any, for a listener or for a connection (32768 and up on Linux)."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


class Web:
    """mitmweb's API. Give `options` to the proxy that it is the API of."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.options: dict[str, object] = {"web_port": self.port, "web_open_browser": "false", "web_password": PASSWORD}

    def get(self, path: str) -> bytes:
        """What is there. Any status but 200 is an error."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object = None) -> bytes:
        """What an action answers. Any status but 200 is an error."""
        return self._ask("POST", path, json.dumps(body or {}).encode())

    def flows(self) -> list[dict[str, object]]:
        """All flows that mitmweb shows."""
        flows: list[dict[str, object]] = json.loads(self.get("/flows"))
        return flows

    def command(self, name: str, *arguments: str) -> object:
        """What a mitmproxy command gives, or, as text, why it fails."""
        answer = json.loads(self.post(f"/commands/{name}", {"arguments": arguments}))
        return answer["error"] if "error" in answer else answer["value"]

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        # mitmproxy 12 asks for the password, 11 for proof that the request is no other site's.
        cookies = "_xsrf=5afe; _mitmproxy_xsrf=5afe"
        headers = {"Authorization": f"Bearer {PASSWORD}", "Cookie": cookies, "X-XSRFToken": "5afe"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request(method, path, body, headers | {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        assert response.status == 200, f"{method} {path}: {response.status} {answer[:300]!r}"
        return answer

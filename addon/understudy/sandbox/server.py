"""The running sandbox: in a thread of its own for tests, or in the foreground for the command."""

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hypercorn.config import Config

from understudy.sandbox.app import build_app
from understudy.sandbox.coding import MAX_BODY
from understudy.sandbox.connection import Listener
from understudy.sandbox.encrypted import Json, account_mark, key_mark, mark_of, new_id, new_item
from understudy.sandbox.issuer import Issuer
from understudy.sandbox.journal import Journal
from understudy.sandbox.scenario import (
    DEMO,
    Scenario,
    read_platform_steps,
    read_scenario,
    read_steps,
    read_usage_steps,
)
from understudy.sandbox.steps import PlatformStep, Step, UsageStep
from understudy.sandbox.tokens import TokenSet, login_file
from understudy.sandbox.world import World

BACKEND_PATH = "/backend-api/codex"
START_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Tls:
    """How to serve TLS: PEM files of the certificate chain and its key, and the protocols offered (ALPN, RFC 7301)."""

    cert: Path
    key: Path
    alpn: tuple[str, ...] = ("h2", "http/1.1")

    def context(self) -> ssl.SSLContext:
        """The context for the listening side. Raises OSError where the files are missing, ssl.SSLError where bad."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self.key)
        context.set_alpn_protocols(list(self.alpn))
        return context


class Sandbox:
    """A loopback ChatGPT. As a context manager it serves from a thread and event loop of its own.

    Leaving the block stops it, and raises an ExceptionGroup if the sandbox itself failed on a request: a test must not
    pass on a broken upstream.
    """

    def __init__(
        self,
        scenario: Scenario | Mapping[str, object] = DEMO,
        *,
        tls: Tls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.scenario = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
        self.host = host
        self.port = port
        self.journal = Journal()
        self._tls = tls
        self._issuer = Issuer("")
        self._world = World(self.scenario, self._issuer, self.journal)
        self._listener = Listener(build_app(self._world), _hypercorn())
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port, e.g. `http://127.0.0.1:8787`."""
        return f"{'http' if self._tls is None else 'https'}://{self.host}:{self.port}"

    @property
    def backend(self) -> str:
        """What `codex_backend` has to be."""
        return self.origin + BACKEND_PATH

    @property
    def issuer(self) -> str:
        """What `codex_issuer` has to be."""
        return self.origin

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return self._listener.connections

    def auth_json(self, label: str) -> str:
        """Codex's `auth.json` for an account, with the tokens that are good now."""
        login = self._issuer.logins[label]
        return login_file(login.identity, login.tokens, time.time())

    def tokens(self, label: str) -> TokenSet:
        """The tokens of an account that are good now."""
        return self._issuer.logins[label].tokens

    def account_id(self, label: str) -> str:
        """ChatGPT's id of an account."""
        return self._issuer.logins[label].identity.account_id

    def email(self, label: str) -> str:
        """The e-mail address of an account."""
        return self._issuer.logins[label].identity.email

    def secrets(self) -> tuple[str, ...]:
        """Every token, code, device id and key so far, for searches through what must not hold any."""
        keys = (key.key for key in self.scenario.api_keys.values())
        return (*self._issuer.secrets(), *self._world.signin.secrets(), *keys)

    def item(self, label: str, kind: str = "reasoning") -> Json:
        """An input item with ciphertext made for an account: `encrypted.PREFIXES` has the kinds."""
        return new_item(kind, account_mark(label))

    def key_item(self, label: str) -> Json:
        """A reasoning item with ciphertext made for a key of the Platform."""
        return new_item("reasoning", key_mark(label))

    def file_id(self, label: str) -> str:
        """The id of a file that an account has uploaded."""
        return new_id("file", account_mark(label))

    def maker(self, id: str) -> str | None:
        """The label of the account that an item's, a file's or a response's id was made for; None: of none."""
        return next((label for label in self.scenario.accounts if mark_of(id) == account_mark(label)), None)

    def set_steps(self, label: str, steps: Sequence[Step | Mapping[str, object]]) -> None:
        """From the account's next request on, these steps. Raises ValueError where they are none."""
        self._world.members[label].play(read_steps(steps))

    def set_usage_steps(self, label: str, steps: Sequence[UsageStep | Mapping[str, object]]) -> None:
        """The same for the account's usage endpoint."""
        self._world.members[label].usage_steps = list(read_usage_steps(steps))

    def set_key_steps(self, label: str, steps: Sequence[PlatformStep | Mapping[str, object]]) -> None:
        """The same for a key of the Platform API."""
        self._world.play_key(label, read_platform_steps(steps))

    def lift(self, label: str) -> None:
        """Empties the account's windows now, whatever reset it has named, and ends limits that its steps have next."""
        member = self._world.members[label]
        member.lift(member.clock(time.time()))

    async def serve(self, started: Callable[[], None], stop: asyncio.Event) -> None:
        """Serves until `stop` is set; `started` is called once the port is open. Raises OSError where it is taken."""
        context = self._tls.context() if self._tls else None
        self.port = await self._listener.start(self.host, self.port, context)
        self._issuer.url = self.origin
        self._world.reset(time.time())
        try:
            started()
            await stop.wait()
        finally:
            await self._listener.stop()

    def __enter__(self) -> Self:
        ready = threading.Event()
        failed: list[BaseException] = []

        async def main() -> None:
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            await self.serve(ready.set, self._stopping)

        self._thread = threading.Thread(target=_run, args=(main(), failed, ready), name="sandbox", daemon=True)
        self._thread.start()
        if not ready.wait(START_LIMIT):
            raise TimeoutError("the sandbox did not start")
        if failed:
            raise failed[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._stopping is not None and self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_LIMIT)
        if self._thread.is_alive():
            raise TimeoutError("the sandbox did not stop")
        if self._listener.failures:
            raise ExceptionGroup("the sandbox failed on a request", self._listener.failures)


def _run(main: Coroutine[object, object, None], failed: list[BaseException], ready: threading.Event) -> None:
    """The thread's body: what goes wrong before the port is open is the starting thread's to raise."""
    try:
        asyncio.run(main)
    except BaseException as error:
        if ready.is_set():
            raise
        failed.append(error)
    finally:
        ready.set()


def _hypercorn() -> Config:
    """Hypercorn as the real servers behave: connections that last, header fields as they came, no words of its own."""
    config = Config()
    config.errorlog = logging.getLogger("understudy.sandbox")
    config.include_server_header = False
    config.include_date_header = False  # `exchange` sends one, which may be wrong by intent
    config.h11_pass_raw_headers = True
    config.h2_max_concurrent_streams = 1000
    config.websocket_max_message_size = MAX_BODY
    config.keep_alive_timeout = 300
    config.keep_alive_max_requests = 10**9
    return config

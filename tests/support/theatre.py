"""A theatre for many tests: one sandbox and one proxy, and for every test accounts that no other test has touched."""

import json
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import httpx

from support.hosts import HOST_KEY
from support.proxy import Proxy
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account
from understudy.pool.lifts import by_user
from understudy.pool.pool import over_accounts, with_account
from understudy.sandbox.journal import Entry
from understudy.sandbox.performance import Scene, stage
from understudy.sandbox.quota import open_quota
from understudy.sandbox.scenario import Credits, read_steps
from understudy.sandbox.server import Sandbox
from understudy.sandbox.stream import Asked
from understudy.state.accounts import AccountStore

URL = "https://api.openai.com/v1/responses"
ROLES = ("work", "home", "third", "fourth", "fifth")
CASTS = 200
"""How many tests one theatre has fresh accounts for."""

Json = dict[str, object]
Steps = Mapping[str, object] | Sequence[Mapping[str, object]]


def roles(**specs: Mapping[str, object]) -> dict[str, object]:
    """A scenario with fresh accounts for every test: of the usual roles, and of those that `specs` describes."""
    all_specs: dict[str, Mapping[str, object]] = {**{role: {} for role in ROLES}, **specs}
    accounts = {f"{role}{n}": spec for role, spec in all_specs.items() for n in range(CASTS)}
    return {"accounts": accounts, "models": ["gpt-*", "codex-*"]}


@dataclass(frozen=True)
class Heard:
    """An answer as a host heard it: each piece of the body with the moment it came (`time.monotonic()` seconds)."""

    status: int
    headers: Mapping[str, str]
    http_version: str
    pieces: tuple[tuple[float, bytes], ...]
    ended_at: float
    broken: str = ""
    """How the connection failed before the answer's end; empty where it did not."""

    @cached_property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(piece for _, piece in self.pieces)

    @property
    def json(self) -> Json:
        """The body as a JSON object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> Json:
        """OpenAI's error object."""
        return member(self.json, "error")

    @property
    def events(self) -> list[Json]:
        """The data of the stream's events, comments left out."""
        return read_events(self.body)

    @property
    def types(self) -> list[str]:
        """The events' types."""
        return [str(event["type"]) for event in self.events]

    @property
    def text(self) -> str:
        """The text that the stream's deltas add up to."""
        deltas = [event for event in self.events if event["type"] == "response.output_text.delta"]
        return "".join(str(event["delta"]) for event in deltas)

    def event_times(self) -> list[float]:
        """When the last byte of each event came."""
        ends = [found.end() for found in re.finditer(rb"\n\n", self.body)]
        times: list[float] = []
        heard = 0
        for at, piece in self.pieces:
            heard += len(piece)
            while len(times) < len(ends) and ends[len(times)] <= heard:
                times.append(at)
        return times


def member(value: Mapping[str, object], name: str) -> Json:
    """A member that is an object itself."""
    found = value[name]
    assert isinstance(found, dict)
    return found


def raw(body: str, **headers: str) -> Json:
    """The step of a stream of exactly these bytes."""
    return {"do": "status", "status": 200, "body": body, "headers": {"content-type": "text/event-stream", **headers}}


def read_events(body: bytes) -> list[Json]:
    """The JSON data of server-sent events, in order (WHATWG HTML, 9.2.6)."""
    lines = re.split(r"\r\n|\n|\r", body.decode().removeprefix("\ufeff"))
    return [json.loads(line.removeprefix("data:")) for line in lines if re.match(r"data: ?\{", line)]


def eventually(predicate: Callable[[], bool], timeout: float = 15.0) -> None:
    """Waits for what nothing announces, such as a change of a file."""
    until = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)


class _Http2First(ssl.SSLContext):
    """httpx offers HTTP/2 behind HTTP/1.1, and proxies take the first that they know."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(sorted(alpn_protocols, key=["h2", "http/1.1"].index))


class Theatre:
    """A sandbox and a proxy in front of it."""

    def __init__(self, sandbox: Sandbox, proxy: Proxy) -> None:
        self.sandbox = sandbox
        self.proxy = proxy
        self.store = AccountStore(proxy.home)
        self._number = 0
        self._clients: dict[bool, httpx.Client] = {}

    def cast(self, *, retries: int = 0, disabled: Sequence[str] = (), **parts: Steps) -> None:
        """Makes fresh accounts the whole pool, in this order: `cast(work=[step, ...], home=step)`.

        The last step of each repeats. The journal begins anew. `retries`: how often the test makes the proxy ask a
        failing backend again; the proxy's budget for that is for all tests of a minute.
        """
        if retries:
            self._earn_retries(retries)
        self._enrol(parts, disabled)

    def _enrol(self, parts: Mapping[str, Steps], disabled: Sequence[str] = ()) -> None:
        self._number += 1
        accounts: tuple[Account, ...] = ()
        for role, steps in parts.items():
            self.play(role, steps)
            login = read_auth_json(self.sandbox.auth_json(self.login(role)))
            accounts = enrol(accounts, login, f"acct_{uuid.uuid4().hex[:12]}", role, now=0.0).accounts
        pool = tuple(replace(account, enabled=account.label not in disabled) for account in accounts)
        self.store.update(over_accounts(lambda _: pool))
        self.sandbox.journal.clear()

    def login(self, role: str) -> str:
        """The sandbox's name for the account that plays `role` now."""
        return f"{role}{self._number % CASTS}"

    def play(self, role: str, steps: Steps) -> None:
        """What the account does from its next request on."""
        self.sandbox.set_steps(self.login(role), [steps] if isinstance(steps, Mapping) else steps)

    def lift(self, role: str) -> None:
        """The user says that the account may be asked again."""
        self.store.update(lambda pool: with_account(pool, by_user(self.account(role))))

    @property
    def calls(self) -> tuple[Entry, ...]:
        """The calls that reached the backend since the cast was chosen."""
        return self.sandbox.journal.responses()

    @property
    def asked(self) -> list[str]:
        """The roles whose accounts were asked, in order."""
        return [role_of(entry) for entry in self.calls]

    def account(self, role: str) -> Account:
        """The account as the pool on disk has it."""
        return next(account for account in self.store.read().accounts if account.label == role)

    @property
    def backend_connections(self) -> int:
        """How many connections to the backend the proxy has opened so far, as its log says."""
        return self.proxy.log.count("] server connect")

    def client(self, *, http2: bool = False) -> httpx.Client:
        """A host's connections, kept alive from test to test."""
        if http2 not in self._clients:
            self._clients[http2] = self.new_client(http2=http2)
        return self._clients[http2]

    def new_client(self, *, http2: bool = False) -> httpx.Client:
        """A host with no connection yet. On HTTP/2 it is for one thread at a time; `Http2Host` has many streams."""
        context = _Http2First(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.proxy.ca))
        return httpx.Client(proxy=self.proxy.url, verify=context, http2=http2, trust_env=False, timeout=30)

    def ask(
        self,
        body: object = None,
        *,
        stream: bool = True,
        http2: bool = False,
        headers: Mapping[str, str] | None = None,
        client: httpx.Client | None = None,
        **more: object,
    ) -> Heard:
        """Posts a Responses request as a host would, and hears the answer to its end.

        `body`: bytes, or parameters; `more` are parameters besides the usual ones.
        """
        given = {"model": "gpt-5.5", "input": "hi", "stream": stream, **more} if body is None else body
        content = given if isinstance(given, bytes) else json.dumps(given).encode()
        fields = {"authorization": f"Bearer {HOST_KEY}", "content-type": "application/json", **(headers or {})}
        return hear(client or self.client(http2=http2), content, fields)

    def _earn_retries(self, count: int) -> None:
        """Makes the requests that `count` retries cost (five each), such as are refused by the proxy itself; and one
        that is answered, so that what has failed before is no outage.
        """
        for _ in range(5 * count):
            assert self.client().post(URL, content=b"[]").status_code == 400
        self._enrol({"work": {"do": "answer"}})
        assert self.ask().status == 200

    def close(self) -> None:
        """The hosts hang up."""
        for client in self._clients.values():
            client.close()


def role_of(entry: Entry) -> str:
    """The role that the account of a call plays."""
    return (entry.account or "").rstrip("0123456789")


def hear(client: httpx.Client, content: bytes, headers: Mapping[str, str]) -> Heard:
    """Posts and hears the answer, whether or not it ends well."""
    pieces: list[tuple[float, bytes]] = []
    broken = ""
    with client.stream("POST", URL, content=content, headers=dict(headers)) as response:
        try:
            # One by one: what came before the connection failed is kept.
            for piece in response.iter_raw():
                pieces.append((time.monotonic(), piece))  # noqa: PERF401
        except httpx.TransportError as error:
            broken = str(error) or type(error).__name__
    return Heard(
        response.status_code, dict(response.headers), response.http_version, tuple(pieces), time.monotonic(), broken
    )


def backend_stream(entry: Entry, step: Mapping[str, object], answer: bytes) -> bytes:
    """The very bytes that the sandbox sent for `step`, composed a second time from what it received.

    Only the moment of creation is taken from `answer`. Not for vendor events, which show the quota.
    """
    assert isinstance(entry.body, dict)
    created_at = int(re.findall(rb'"created_at":(\d+)', answer)[0])
    asked = Asked(entry.response_id, created_at, entry.body, max(1, len(entry.content) // 4), 0)
    scene = Scene(asked, open_quota("plus", (), Credits(), 0.0), 0.0, 0, (), {})
    return b"".join(piece.data for piece in stage(read_steps([step])[0], scene).pieces)


@contextmanager
def opened_theatre(
    sandbox: Sandbox, home: Path, confdir: Path, authority: Path, *, arguments: Sequence[str] = (), **options: object
) -> Iterator[Theatre]:
    """Starts the sandbox and a proxy in front of it, with these options and more arguments on its command line."""
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        settings = {
            "codex_backend": sandbox.backend,
            "codex_issuer": sandbox.issuer,
            "ssl_verify_upstream_trusted_ca": authority,
            **options,
        }
        proxy = stack.enter_context(Proxy(home, confdir, settings, arguments=arguments))
        theatre = Theatre(sandbox, proxy)
        stack.callback(theatre.close)
        yield theatre


TheatreFactory = Callable[..., Theatre]

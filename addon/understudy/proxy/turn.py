"""A claimed request while it lives: what the hooks prepare for it and what its stream reads."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Server

from understudy.pool.account import Account, Lane
from understudy.pool.choose import Choice
from understudy.pool.obstacles import Obstacle
from understudy.pool.policy import Tried
from understudy.proxy.claim import Leave, Verdict
from understudy.proxy.messages import header_fields, with_headers
from understudy.wire.background import BackgroundAnswer
from understudy.wire.endpoints import CREATE, Endpoint, Op
from understudy.wire.errors import ErrorMap
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.provider import Provider, is_loopback
from understudy.wire.relay import Relay, RelayOptions
from understudy.wire.reply import Headers, Reply
from understudy.wire.request import HostRequest
from understudy.wire.secret import Secret
from understudy.wire.stored import Latest, Restored
from understudy.wire.text import is_token
from understudy.wire.usage import Usage

PLACEHOLDER = "Bearer understudy:"
"""What stands in a flow in the token's place, followed by the account's label."""


class SealRefused(Exception):
    """The token must not go where this request is about to go. The message names no secret."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One upstream call, ready to be sent: the account, its token, the headers and where they go."""

    choice: Choice
    provider: Provider
    path: str
    """The request target."""
    headers: Headers
    token: Secret
    body: bytes = field(repr=False)
    delay: float = 0.0
    """Seconds to wait before it is sent."""

    @property
    def account(self) -> Account:
        """Whose token it carries."""
        return self.choice.account

    @property
    def unary(self) -> bool:
        """Whether its answer is one JSON object, and no stream."""
        return self.path == self.provider.target(self.provider.rules_for(Op.COMPACT))

    @property
    def placeholder(self) -> str:
        """The Authorization value that the flow shows."""
        return f"{PLACEHOLDER}{self.account.label}"

    def seal(self, request: http.Request, connection: Server) -> http.Request:
        """A copy of `request` with the token in it, for this connection alone.

        Raises SealRefused unless the request still is what was prepared, and the connection leads, over TLS (or on
        loopback), to the origin of the account's provider.
        """
        provider = self.provider
        if request.headers.get("authorization") != self.placeholder:
            raise SealRefused("its authorization was changed after it was prepared")
        aim = (request.method, request.scheme, request.host, request.port, request.path)
        if provider.rules.account_fields is (self.account.lane is Lane.PLATFORM):
            raise SealRefused("its account is another provider's")
        if aim != ("POST", provider.scheme, provider.host, provider.port, self.path):
            raise SealRefused("its destination was changed after it was prepared")
        if connection.address is None or connection.address[:2] != (provider.host, provider.port):
            raise SealRefused("its connection leads elsewhere")
        if provider.scheme == "https":
            if not connection.tls_established or connection.sni != provider.host:
                raise SealRefused("its connection is not TLS to the backend")
        elif not is_loopback(provider.host):
            raise SealRefused("its connection is in the clear")
        if not is_token(self.token.reveal()):
            raise SealRefused("the account's access token has characters that no token has; import the account again")
        return with_headers(request, self.head(request, f"Bearer {self.token.reveal()}"))

    def head(self, request: http.Request, authorization: str) -> http.Headers:
        """The header fields that go upstream with the body of `request`: these, whatever stands in the flow."""
        host = () if request.is_http2 else (("host", self.provider.authority),)
        length = str(len(request.raw_content or b""))
        named = (*host, ("authorization", authorization), *self.headers, ("content-length", length))
        return header_fields(named)


@dataclass(frozen=True, slots=True)
class Wait:
    """No account can serve now, and one can soon: the request waits, and is decided anew after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The host's connection becomes a WebSocket, whose requests come as turns of their own."""

    then_close: bool
    """Whether it is closed after its first message: some hosts go back to HTTP upon that, and upon nothing else."""


@dataclass(slots=True, eq=False)
class Follow:
    """The host hears an answer that is made in the background, from the event after this sequence number on."""

    answer: BackgroundAnswer
    after: int = -1


@dataclass(slots=True)
class Sent:
    """An attempt that was sent: when (monotonic seconds), and how it ended."""

    attempt: Attempt
    at: float
    epoch: float
    """The same in epoch seconds."""
    outcome: Outcome | None = None
    """How it ended, where nothing was delivered."""
    ended_at: float | None = None
    code: str = ""
    """What followed and why, for machines."""
    committed_at: float | None = None

    @property
    def outcome_reply(self) -> Reply | None:
        """The backend's own words for the host, where the attempt ended with any."""
        return self.outcome.reply if self.outcome is not None else None


@dataclass(slots=True, eq=False)
class Turn:
    """The live state of one claimed request, from the claim to its last byte."""

    flow: http.HTTPFlow
    arrived_at: float
    """Monotonic seconds."""
    endpoint: Endpoint = CREATE
    """What the host asks for."""
    memory: Latest | None = None
    """What the host's WebSocket remembers, where it came over one."""
    replayed_stream: bool | None = None
    """Where the flow is replayed by the user: whether the original asked for a stream."""
    request: HostRequest | None = None
    next: Attempt | Wait | Upgrade | Follow | Reply | None = None
    """What the stream does next. None: nothing was decided, so the host is refused."""
    sent: list[Sent] = field(default_factory=list)
    response_headers: Headers = ()
    """Of the latest attempt, as they came."""
    relay: Relay | None = None
    broken: str | None = None
    """How a committed answer broke off."""
    failed_as: str = ""
    """What a committed answer failed in, where the backend ended it so."""
    given_up: bool = False
    """The last word is ours, because no account could serve; the attempts are shown by themselves."""
    answered: bool = False
    """The last word is ours, and no refusal: the request needed no account."""
    refused_as: str = ""
    """What the last word is called, where it is ours."""
    passed_over: dict[str, Obstacle] = field(default_factory=dict)
    late: dict[str, Obstacle] = field(default_factory=dict)
    """By account id: whose refresh was not waited for, because another account could serve meanwhile."""
    bound: str | None = None
    """The id of the account that the session belonged to when the request came in."""
    owner: str | None = None
    """The same, however long ago that was."""
    maker: str | None = None
    """The id of the account that answered the session last, also where the user has switched accounts since."""
    turn_owner: str | None = None
    """The id of the account that gave the turn state which the request carries."""
    usage: Usage | None = None
    """The tokens of the answer, once it is whole."""
    move_cost: int = 0
    """Input tokens that were not in the cache because the session has moved."""
    came: tuple[Headers, bytes] | None = field(default=None, repr=False)
    """The request's fields and its body, whole and decoded, where another provider may have to be asked."""
    content: bytes = field(default=b"", repr=False)
    """The body of the Responses request, whole and decoded, where it is carried out in the background."""
    restored: Restored | None = field(default=None, repr=False)
    """What its input was made of, where its answer is to be kept; see `Reading.kept`."""
    kept: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """The request's fields as they came, credentials among them: for a request that is let go."""
    asked: str = ""
    """The model that the host has asked for."""
    fallen: set[str] = field(default_factory=set)
    """The models that were asked for in its place."""
    waiting: float = 0.0
    """Seconds that the request has waited for a limit to end."""
    waits_since: float = 0.0
    """Monotonic seconds at which it began to wait, the latest time."""
    relay_options: RelayOptions = field(default_factory=RelayOptions)
    """How the answer is passed on."""
    hold: float = 0.0
    stall_timeout: float = 0.0
    opened: bool = False
    """The head of the answer has gone to the host, which waits: replay is allowed until the first event."""
    told: Headers = ()
    """Header fields of our own for the host, beside those of the answer."""
    released: bool = False
    """Let go before anything was prepared: its own credentials are back on it, and mitmproxy sends it as it is."""

    @property
    def errors(self) -> ErrorMap:
        """What the errors of the latest attempt's provider mean."""
        return self.sent[-1].attempt.provider.rules.errors

    def age(self) -> float:
        """Seconds since the request came in, without those for which it has waited for a limit to end."""
        return time.monotonic() - self.arrived_at - self.waiting

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The attempts that have ended, for the policy."""
        return tuple(Tried(s.attempt.account.id, s.outcome.kind) for s in self.sent if s.outcome is not None)

    @property
    def refused(self) -> frozenset[Secret]:
        """The access tokens that the backend did not take."""
        ended = (s for s in self.sent if s.outcome is not None and s.outcome.kind is Kind.UNAUTHORIZED)
        return frozenset(s.attempt.token for s in ended)


class Turns:
    """The claimed requests that are alive, by flow id, and the flows that a replaying stream carries."""

    def __init__(self, judge: Callable[[http.HTTPFlow], Verdict]) -> None:
        self.judge = judge
        """The verdict on a flow by its names alone."""
        self.new_memory: Callable[[], Latest]
        """Makes what a WebSocket remembers."""
        self._alive: dict[str, Turn] = {}
        self._seated: WeakKeyDictionary[http.HTTPFlow, Verdict] = WeakKeyDictionary()
        self._memories: WeakKeyDictionary[http.HTTPFlow, Latest] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._alive)

    def running(self) -> Counter[str]:
        """How many requests each account, by its id, is carrying out."""
        last = (turn.sent[-1] for turn in self._alive.values() if turn.sent)
        return Counter(sent.attempt.account.id for sent in last if sent.outcome is None)

    def release(self, flow: http.HTTPFlow) -> None:
        """The flow is let go: it is ours no more."""
        self._alive.pop(flow.id, None)
        self._seated[flow] = Leave()

    def seat(self, flow: http.HTTPFlow, verdict: Verdict, memory: Latest | None = None) -> None:
        """A replaying stream carries this flow, which may be claimed. `verdict`: by its names as the host sent them.
        `memory`: that of the WebSocket which it came over.
        """
        self._seated[flow] = verdict
        if memory is not None:
            self._memories[flow] = memory

    def memory(self, flow: http.HTTPFlow) -> Latest | None:
        """What the WebSocket remembers which a flow came over; None where it came by itself."""
        return self._memories.get(flow)

    def seated(self, flow: http.HTTPFlow) -> Verdict | None:
        """The verdict on a flow that a replaying stream carries; None where none does."""
        return self._seated.get(flow)

    def open(self, turn: Turn) -> None:
        """The flow is claimed."""
        self._alive[turn.flow.id] = turn

    def get(self, flow: http.HTTPFlow) -> Turn | None:
        """The turn of a claimed flow that is alive."""
        return self._alive.get(flow.id)

    def close(self, flow: http.HTTPFlow) -> Turn | None:
        """The flow has ended. Gives its turn the first time, None afterwards."""
        return self._alive.pop(flow.id, None)

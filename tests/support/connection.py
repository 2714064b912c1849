"""A host's connection through the replaying layer, with no socket, and no time but the test's."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mitmproxy import options
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import HTTPMode

from support.logins import account
from understudy.pool.choose import Choice
from understudy.pool.strategies import By
from understudy.proxy.claim import Claim
from understudy.proxy.layer import ReplayingLayer
from understudy.proxy.turn import Attempt, Turn, Turns, Upgrade, Wait
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.provider import read_provider
from understudy.wire.relay import RelayOptions
from understudy.wire.reply import Reply
from understudy.wire.secret import Secret

BACKEND = read_provider("http://127.0.0.1:8/codex")
ELSEWHERE = ("elsewhere.test", 80)
"""Where the host wants to go."""
REQUEST = b"POST /codex/responses HTTP/1.1\r\nHost: elsewhere.test\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\n{}"
CONNECTING = "connecting"
"""What is held where a connection to the backend is."""

Decision = Attempt | Wait | Upgrade | Reply | None


class Clock:
    """`time.monotonic` for everybody."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempt(delay: float = 0.0) -> Attempt:
    """A call to the backend."""
    return Attempt(
        Choice(account("ada"), By.ORDER), BACKEND, BACKEND.target(BACKEND.rules), (), Secret("token"), b"{}", delay
    )


def make_context() -> context.Context:
    """The connection of a host to somewhere else, in the clear."""
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=1.0)
    client.state = ConnectionState.OPEN
    made = context.Context(client, options.Options())
    for name, value in {"body_size_limit": "", "stream_large_bodies": "", "validate_inbound_headers": True}.items():
        made.options.add_option(name, type(value), value, "")
    made.server = Server(address=ELSEWHERE)
    return made


@dataclass
class Timer:
    """A wakeup that was asked for."""

    at: float
    command: commands.RequestWakeup


class HostConnection:
    """What a host says and hears. The test is the addon: `decisions` come one by one, and `change` is called first."""

    def __init__(self, clock: Clock, *decisions: Decision, options: RelayOptions | None = None) -> None:
        self.clock = clock
        self.decisions = deque(decisions)
        self.change: Callable[[Turn], None] = lambda _: None
        self.relay_options = options or RelayOptions(stream=True, record=1000)
        self.turns = Turns(lambda _: Claim(Endpoint(Op.CREATE)))
        self.turn: Turn
        self.hooks: list[str] = []
        self.held: set[str] = set()
        """What takes its time: names of hooks, and CONNECTING. `release` lets it go on."""
        self.heard = b""
        """All that the host was sent since it was last asked for."""
        self.upstream: dict[tuple[str, int], bytes] = {}
        """What was sent where."""
        self.timers: list[Timer] = []
        self.closed: list[Connection] = []
        self._waiting: list[tuple[str, events.Event]] = []
        self._server: Server
        self._context = make_context()
        self._layer = ReplayingLayer(self._context, HTTPMode.transparent, self.turns)
        self._take(events.Start())

    @property
    def client(self) -> Client:
        """The host's end."""
        return self._context.client

    def ask(self, request: bytes = REQUEST) -> "HostConnection":
        """The host sends a request."""
        self._take(events.DataReceived(self._context.client, request))
        return self

    def hang_up(self) -> None:
        """The host closes its connection."""
        self._context.client.state = ConnectionState.CLOSED
        self._take(events.ConnectionClosed(self._context.client))

    def backend(self, data: bytes) -> None:
        """The server that was connected to last sends bytes."""
        self._take(events.DataReceived(self._server, data))

    def release(self, name: str) -> None:
        """What was held goes on."""
        self.held.discard(name)
        ready = [event for held, event in self._waiting if held == name]
        self._waiting = [(held, event) for held, event in self._waiting if held != name]
        for event in ready:
            self._take(event)

    def pass_time(self, seconds: float) -> bytes:
        """Time goes by, with the wakeups that come due. Gives what the host hears meanwhile."""
        until = self.clock.now + seconds
        while due := [timer for timer in self.timers if timer.at <= until]:
            timer = min(due, key=lambda timer: timer.at)
            self.timers.remove(timer)
            self.clock.now = max(self.clock.now, timer.at)
            self._take(events.Wakeup(timer.command))
        self.clock.now = until
        return self.hear()

    def hear(self) -> bytes:
        """What the host was sent since the last time."""
        heard, self.heard = self.heard, b""
        return heard

    def _take(self, event: events.Event) -> None:
        replies = deque([event])
        while replies:
            for command in self._layer.handle_event(replies.popleft()):
                replies.extend(self._carry_out(command))

    def _carry_out(self, command: commands.Command) -> Sequence[events.Event]:
        match command:
            case commands.SendData(connection=connection, data=data):
                if connection is self._context.client:
                    self.heard += data
                elif isinstance(connection, Server) and connection.address is not None:
                    self.upstream[connection.address] = self.upstream.get(connection.address, b"") + data
            case commands.RequestWakeup(delay=delay):
                self.timers.append(Timer(self.clock.now + delay, command))
            case commands.CloseConnection(connection=connection):
                self.closed.append(connection)
            case commands.OpenConnection(connection=connection):
                self._server = connection
                connection.state, connection.timestamp_start = ConnectionState.OPEN, 1.0
                return self._unless_held(CONNECTING, events.OpenConnectionCompleted(command, None))
            case commands.StartHook():
                self._addon(command)
                return self._unless_held(command.name, events.HookCompleted(command, None))
        return ()

    def _unless_held(self, name: str, event: events.Event) -> Sequence[events.Event]:
        if name not in self.held:
            return (event,)
        self._waiting.append((name, event))
        return ()

    def _addon(self, hook: Any) -> None:
        self.hooks.append(hook.name)
        if hook.name == "requestheaders":
            self.turn = Turn(hook.flow, self.clock.now)
            self.turn.relay_options, self.turn.hold, self.turn.stall_timeout = self.relay_options, 5.0, 120.0
            self.turns.open(self.turn)
        elif hook.name in ("request", "codex_attempt_ended", "codex_waited"):
            self.turn.next = self.decisions.popleft() if self.decisions else None
            self.change(self.turn)
            self._prepare(self.turn)

    def _prepare(self, turn: Turn) -> None:
        if isinstance(turn.next, Attempt):
            shown = turn.flow.request
            shown.data.host, shown.data.port = BACKEND.host, BACKEND.port
            shown.data.headers = turn.next.head(shown, turn.next.placeholder)

"""What we rely on in mitmproxy beyond its documented interface, and whether the mitmproxy that is here has it.

The tests go through it on each version of mitmproxy that is allowed, `understudy doctor` on the one that is installed.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from mitmproxy import addonmanager, options, optmanager
from mitmproxy.addons import clientplayback, next_layer
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy import commands, context
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.server import ConnectionHandler
from wsproto import extensions

from understudy.proxy.claim import Leave
from understudy.proxy.layer import FIRST_ATTEMPT_ID, ReplayingLayer, replaying
from understudy.proxy.stream import ReplayingStream
from understudy.proxy.turn import Turns


@dataclass(frozen=True, slots=True)
class Reliance:
    """A function whose parameters, or an event whose fields, we give or take by their names and order."""

    owner: Any
    member: str
    names: tuple[str, ...]
    """Without `self`. Empty: it need only be there."""
    steps: bool = False
    """Whether it is a generator of commands."""
    at_least: bool = False
    """Whether more may follow."""

    @property
    def title(self) -> str:
        """As `HttpStream.flow_done`."""
        return f"{self.owner.__name__}.{self.member}" if self.member else str(self.owner.__name__)

    @property
    def holds(self) -> bool:
        """Whether it is as we expect it."""
        found = getattr(self.owner, self.member, None) if self.member else self.owner
        if found is None:
            return False
        has = _names(found)
        if self.steps and not inspect.isgeneratorfunction(inspect.unwrap(found)):
            return False
        return has[: len(self.names)] == self.names if self.at_least else has == self.names


def _names(found: Any) -> tuple[str, ...]:
    if is_dataclass(found):
        return tuple(field.name for field in fields(found))
    return tuple(name for name in inspect.signature(found).parameters if name != "self")


def _steps(owner: type, **methods: tuple[str, ...]) -> tuple[Reliance, ...]:
    return tuple(Reliance(owner, member, names, steps=True) for member, names in methods.items())


STREAM = (
    *_steps(
        HttpStream,
        state_wait_for_request_headers=("event",),
        state_wait_for_response_headers=("event",),
        check_body_size=("request",),
        make_server_connection=(),
        handle_protocol_error=("event",),
        check_killed=("emit_error_hook",),
        send_response=("already_streamed",),
        flow_done=(),
        _handle_event=("event",),
    ),
    # A state that handles nothing may be a plain function behind `expect`.
    Reliance(HttpStream, "state_done", ("_",)),
    Reliance(HttpStream, "state_errored", ("_",)),
)
LAYER = (
    *_steps(
        HttpLayer,
        make_stream=("stream_id",),
        event_to_child=("child", "event"),
        get_connection=("event", "reuse"),
        _handle_event=("event",),
    ),
    Reliance(HttpLayer, "__init__", ("context", "mode")),
)
EVENTS = tuple(
    Reliance(event, "", names)
    for event, names in (
        (http_layer.RequestHeaders, ("stream_id", "request", "end_stream", "replay_flow")),
        (http_layer.RequestData, ("stream_id", "data")),
        (http_layer.RequestEndOfMessage, ("stream_id",)),
        (http_layer.RequestProtocolError, ("stream_id", "message", "code")),
        (http_layer.ResponseHeaders, ("stream_id", "response", "end_stream")),
        (http_layer.ResponseData, ("stream_id", "data")),
        (http_layer.ResponseEndOfMessage, ("stream_id",)),
        (http_layer.ResponseProtocolError, ("stream_id", "message", "code")),
    )
)
COMMANDS = (
    Reliance(http_layer.DropStream, "__init__", ("stream_id",)),
    Reliance(http_layer.SendHttp, "__init__", ("event", "connection")),
    Reliance(http_layer.HttpConnection, "__init__", ("context", "conn")),
    Reliance(http_layer.ReceiveHttp, "__init__", ("event",)),
    Reliance(commands.RequestWakeup, "__init__", ("delay",)),
    Reliance(commands.CloseConnection, "__init__", ("connection",), at_least=True),
)
ADDONS = (
    Reliance(clientplayback.ReplayHandler, "__init__", ("flow", "options")),
    Reliance(next_layer.NextLayer, "next_layer", ("nextlayer",)),
    Reliance(addonmanager.AddonManager, "handle_lifecycle", ("event",)),
    Reliance(extensions.PerMessageDeflate, "frame_outbound", ("proto", "opcode", "rsv", "data", "fin")),
)
RELIED_UPON = (*STREAM, *LAYER, *EVENTS, *COMMANDS, *ADDONS)
"""Everything that is overridden, called or made."""

SOURCES: tuple[tuple[Callable[..., Any], str], ...] = (
    (ConnectionHandler.wakeup, "self.server_event(events.Wakeup(request))"),
    (HttpLayer.event_to_child, "conn = self.connections[command.connection]"),
    (HttpLayer.event_to_child, "yield from self.make_stream(command.event.stream_id)"),
    (HttpLayer._handle_event, "handler = self.connections[event.connection]"),
    (
        clientplayback.ReplayHandler.__init__,
        "self.layer = layers.HttpLayer(context, HTTPMode.transparent)",
    ),
    (clientplayback.ReplayHandler.__init__, "self.layer.connections["),
    # `replay.client` looks the class up by this name at every replay.
    (clientplayback.ClientPlayback.playback, "ReplayHandler("),
)
"""What is relied upon inside functions: the very text of it."""


def make_context() -> context.Context:
    """A connection of a host, before anything was decided about it."""
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=1.0)
    client.state = ConnectionState.OPEN
    return context.Context(client, options.Options())


def faults() -> tuple[str, ...]:
    """What of mitmproxy is not as we expect it; none where requests can be replayed. Takes milliseconds, no network."""
    return (*_changed(), *_behaviour())


def _changed() -> Iterator[str]:
    yield from (f"{reliance.title} is another" for reliance in RELIED_UPON if not reliance.holds)
    for function, text in SOURCES:
        if text not in inspect.getsource(function):
            yield f"{function.__qualname__} works in another way"


def _behaviour() -> Iterator[str]:
    turns = Turns(lambda _: Leave())
    stock = HttpLayer(make_context(), HTTPMode.transparent)
    tables = (stock.streams, stock.connections, stock.waiting_for_establishment)
    if not all(isinstance(table, dict) for table in tables):
        yield "HttpLayer keeps its streams and connections in another way"
    ours = replaying(stock, turns)
    if not (isinstance(ours, ReplayingLayer) and ours.context.layers == [ours]):
        yield "our layer does not get into the place of mitmproxy's"
        return
    if [*ours.make_stream(1)] or not isinstance(stream := ours.streams[1], ReplayingStream):
        yield "a stream of our layer does not start as mitmproxy's does"
        return
    if stream.client_state != stream.state_wait_for_request_headers or ours.register(stream) != FIRST_ATTEMPT_ID:
        yield "a stream of our layer starts in another state"
    if options.Options()._options["listen_host"].value is not optmanager.unset:
        yield "an option that nobody set cannot be told from one that was set"

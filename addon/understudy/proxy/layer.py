"""The replaying layer: `HttpLayer` with streams that can replay, and where it is put in mitmproxy's place.

This module is one of those that know mitmproxy's internals (docs/architecture.md).
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from mitmproxy import http
from mitmproxy.addons import clientplayback
from mitmproxy.connection import Connection
from mitmproxy.options import Options
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers.http import (
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    RegisterHttpConnection,
    ResponseData,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Client

from understudy.proxy.attempts import HEADERS_TIMEOUT
from understudy.proxy.socket import Opening, SocketServer
from understudy.proxy.stream import ReplayingStream
from understudy.proxy.timed import DeadlineReached, Steps, TimedStream
from understudy.proxy.turn import Turns
from understudy.proxy.upgrade import UpgradingStream

FIRST_ATTEMPT_ID = 2**40 + 1
"""Attempts' stream ids: far above any id that a host can use (HTTP/2 has 31 bits), odd, in steps of 2."""


class ReplayingLayer(HttpLayer):
    """`HttpLayer` with streams that can replay, attempts' ids, and one timer for all its streams' deadlines."""

    def __init__(self, ctx: context.Context, mode: HTTPMode, turns: Turns) -> None:
        super().__init__(ctx, mode)
        self.turns = turns
        self._attempt_ids = itertools.count(FIRST_ATTEMPT_ID, 2)
        self._timers: dict[commands.RequestWakeup, float] = {}
        self._socket: SocketServer | None = None
        self.to_arm = False

    def claims_nothing(self) -> None:
        """No request here is ever claimed, so no stream has deadlines: every event goes mitmproxy's way at once.

        All that a host says in its tunnel passes this layer as well.
        """
        self._handle_event = super()._handle_event  # type: ignore[method-assign]

    def make_stream(self, stream_id: int) -> Steps:
        stream = UpgradingStream(self.context.fork(), stream_id, self)
        stream.memory = self._socket.memory if self._socket else None
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def register(self, stream: TimedStream) -> int:
        """A new stream id for an attempt of `stream`."""
        attempt_id = next(self._attempt_ids)
        self.streams[attempt_id] = stream
        return attempt_id

    def upgrade(self, opening: Opening) -> None:
        """The host's connection becomes a WebSocket, once the answer of the upgrade's stream has ended."""
        http1 = self.connections[self.context.client]
        assert isinstance(http1, Http1Server)
        self._socket = SocketServer(self.context.fork(), self, opening, bytes(http1.buf))
        self.connections[self.context.client] = self._socket
        self.to_arm = True

    def _handle_event(self, event: events.Event) -> Steps:
        if isinstance(event, events.Wakeup) and event.command in self._timers:
            del self._timers[event.command]
            self.to_arm = True
            now = time.monotonic()
            for stream_id, stream in [*self._waiting()]:
                if stream.keepalive_at is not None and stream.keepalive_at <= now:
                    # Not through the stream, which may be deaf: it waits for hooks and connections.
                    sign = ResponseData(stream_id, stream.keep_alive())
                    yield from self.event_to_child(self.connections[self.context.client], sign)
                if stream.deadline is not None and stream.deadline <= now:
                    yield from self._wake(stream_id, stream)
            if self._socket is not None and self._socket.due is not None and self._socket.due <= now:
                yield from self.event_to_child(self._socket, DeadlineReached(0))
        else:
            yield from super()._handle_event(event)
        if self.to_arm:
            self.to_arm = False
            yield from self._arm()

    def _wake(self, stream_id: int, stream: ReplayingStream) -> Steps:
        if stream.connecting is None:
            yield from self.event_to_child(stream, DeadlineReached(stream_id))
            return
        # A stream that waits for its connection is deaf to all but the answer to its own command. To close what is
        # being opened does not always bring one: mitmproxy ignores it below a proxy, and where it queues connections.
        stream.deadline, command = None, stream.connecting
        for connection, waiting in [*self.waiting_for_establishment.items()]:
            if any(waits is command for waits in waiting):
                waiting[:] = [waits for waits in waiting if waits is not command]
                if not waiting:
                    del self.waiting_for_establishment[connection]
                    yield commands.CloseConnection(connection)
        self.command_sources.pop(command, None)
        reply = (None, f"none in {HEADERS_TIMEOUT:.0f} s")
        yield from self.event_to_child(stream, GetHttpConnectionCompleted(command, reply))

    def register_connection(self, command: RegisterHttpConnection) -> Steps:
        """A connection that every stream has given up on comes too late for all of them."""
        if command.connection in self.waiting_for_establishment:
            yield from super().register_connection(command)

    def unsend(self, attempt_id: int, connection: Connection) -> bool:
        """Takes back an attempt that waits for a free HTTP/2 stream. Whether there was something to take back.

        A cancellation would queue up behind it: the whole request would be sent, and then cancelled.
        """
        client = self.connections[connection].context.layers[-1]
        return isinstance(client, Http2Client) and client.stream_queue.pop(attempt_id, None) is not None

    def _waiting(self) -> Iterator[tuple[int, ReplayingStream]]:
        for stream_id, stream in self.streams.items():
            if stream_id == stream.stream_id and isinstance(stream, ReplayingStream) and stream.due is not None:
                yield stream_id, stream

    def _arm(self) -> Steps:
        """Asks for a wakeup where none is due in time. The layer takes it itself: a wakeup that is routed to a
        stream would keep that stream, and its flow, alive until it fires."""
        socket_due = self._socket.due if self._socket is not None else None
        dues = [stream.due for _, stream in self._waiting()]
        due = min((due for due in (*dues, socket_due) if due is not None), default=None)
        if due is None or any(at <= due for at in self._timers.values()):
            return
        timer = commands.RequestWakeup(max(0.0, due - time.monotonic()))
        self._timers[timer] = due
        yield timer


def replaying(top: layer.Layer, turns: Turns) -> layer.Layer:
    """`top` with the stock `HttpLayer` in it, or below its TLS layers, swapped for a replaying one.

    Also the layer that speaks to an explicit proxy's clients: requests in the clear are never claimed, but refused.
    """
    above: Any = None
    node: Any = top
    while node is not None and type(node) is not HttpLayer:
        above, node = node, getattr(node, "child_layer", None)
    if node is None:
        return top
    swapped = swap(node, turns)
    if node.mode is not HTTPMode.transparent:
        swapped.claims_nothing()
    if above is None:
        return swapped
    above.child_layer = swapped
    return top


def swap(stock: HttpLayer, turns: Turns) -> ReplayingLayer:
    """A replaying layer in the place of `stock`, which has seen no event yet."""
    swapped = ReplayingLayer(stock.context, stock.mode, turns)
    swapped.connections = stock.connections
    layers = stock.context.layers
    layers.remove(swapped)
    layers[layers.index(stock)] = swapped
    return swapped


def teach_client_replay(turns: Turns) -> None:
    """Makes mitmproxy's client replay run on a replaying layer as well, so that a claimed flow can be replayed."""
    handler: Any = clientplayback.ReplayHandler

    class ReplayingHandler(handler):  # type: ignore[misc]
        """Client replay over a `ReplayingLayer`."""

        layer: Any

        def __init__(self, flow: http.HTTPFlow, options: Options) -> None:
            super().__init__(flow, options)
            self.layer = swap(self.layer, turns)

    clientplayback.ReplayHandler = ReplayingHandler  # type: ignore[misc]

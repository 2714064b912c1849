"""A host's WebSocket: its messages become requests on streams of their own, and their answers become messages.

To mitmproxy's layer it is one more kind of host connection, as HTTP/1.1 and HTTP/2 are; it takes the place of the
HTTP/1.1 connection that it began as. The socket ends here: upstream, every message is an HTTP request.
"""

import time
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import (
    HttpConnection,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionState as ProtocolState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from understudy.proxy.attempts import CANCEL, MAX_REQUEST
from understudy.proxy.messages import fields, header_fields
from understudy.proxy.timed import DeadlineReached, Parent, Steps
from understudy.wire import frames, sse
from understudy.wire.coding import RequestRefused
from understudy.wire.identity import is_codex
from understudy.wire.relay import is_event_stream
from understudy.wire.reply import Headers, Reply

LIFETIME = 3600.0
"""Seconds after which a connection takes no more requests, as OpenAI's own does (PROTOCOL, 4.1)."""
PING_AFTER = 20.0
"""Seconds of silence after which the host is sent a ping: whatever is in between hangs up on silent connections."""
CLOSING_TIMEOUT = 5.0
"""Seconds that the host has to answer our goodbye."""
PIECE = 16 * 1024
"""Bytes that are read at once: compressed, they may become a thousand times as many (RFC 7692, 8)."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An upgrade that was accepted. `request`: what each message is a POST like."""

    stream_id: int
    protocol: Protocol = field(repr=False)
    request: http.Request
    then_close: bool
    """Whether it is closed upon its first message."""


@dataclass(slots=True)
class Exchange:
    """A message that is being answered."""

    stream_id: int
    head: http.Response | None = None
    events: sse.Decoder | None = None
    """Where the answer is a stream."""
    body: bytearray = field(default_factory=bytearray)
    told: bool = False
    """The host has heard the answer's end; its flow has not ended yet."""
    following: frames.Create | None = None
    """What the host asks next, and has asked in between."""


class SocketServer(HttpConnection):
    """Our end of a host's WebSocket."""

    def __init__(self, ctx: context.Context, parent: Parent, opening: Opening, early: bytes) -> None:
        """`early`: what the host has sent already, behind its upgrade request."""
        super().__init__(ctx, ctx.client)
        self.memory = parent.turns.new_memory()
        """What the requests of this connection may refer to."""
        self._parent = parent
        self._opening = opening
        self._protocol = opening.protocol
        self._early = early
        self._is_codex = is_codex(fields(opening.request.headers))
        self._last_id = opening.stream_id
        self._exchange: Exchange | None = None
        self._message = bytearray()
        self._active_at = time.monotonic()
        self._expires_at = self._active_at + LIFETIME
        self._closing_at: float | None = None
        self._over = False

    @property
    def due(self) -> float | None:
        """Monotonic seconds at which the layer has to look after this connection."""
        if self._over or self._closing_at is not None:
            return None if self._over else self._closing_at
        silent_at = self._active_at + PING_AFTER
        return silent_at if self._exchange is not None else min(silent_at, self._expires_at)

    def _handle_event(self, event: events.Event) -> Steps:
        exchange = self._exchange
        if self._over:
            return
        if isinstance(event, events.DataReceived):
            yield from self._receive(event.data)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._gone()
        elif isinstance(event, DeadlineReached):
            yield from self._look(time.monotonic())
        elif exchange is not None and isinstance(event, HttpEvent) and event.stream_id == exchange.stream_id:
            yield from self._answer(exchange, event)
        elif self._early:
            # The upgrade's own answer has ended.
            early, self._early = self._early, b""
            yield from self._receive(early)

    # From the host

    def _receive(self, data: bytes) -> Steps:
        self._active_at = time.monotonic()
        for at in range(0, len(data), PIECE):
            if self._over:
                return
            self._protocol.receive_data(data[at : at + PIECE])
            for event in self._protocol.events():
                yield from self._take(event)

    def _take(self, event: Event) -> Steps:
        if isinstance(event, CloseConnection):
            yield from self._goodbye(event)
        elif self._closing_at is not None:
            return  # Nothing is listened to but the answer to our goodbye.
        elif isinstance(event, TextMessage):
            yield from self._add(event)
        elif isinstance(event, BytesMessage):
            yield from self._close(CloseReason.UNSUPPORTED_DATA)
        elif isinstance(event, Ping):
            yield from self._send(event.response())

    def _add(self, part: TextMessage) -> Steps:
        self._message += part.data.encode()
        if len(self._message) > MAX_REQUEST:
            yield from self._close(CloseReason.MESSAGE_TOO_BIG)
        elif part.message_finished:
            message = bytes(self._message)
            self._message.clear()
            yield from self._read(message)

    def _read(self, message: bytes) -> Steps:
        """Does what a message asks for, or says why not."""
        if self._opening.then_close:
            yield from self._close(CloseReason.MESSAGE_TOO_BIG)
            return
        try:
            asked = frames.read_message(message)
        except RequestRefused as refused:
            yield from self._refuse(refused.reply)
            return
        if asked is not None:
            yield from self._ask(asked)

    def _ask(self, asked: frames.Create) -> Steps:
        exchange = self._exchange
        if exchange is None:
            yield from self._request(asked)
        elif exchange.told and exchange.following is None:
            exchange.following = asked
        else:
            yield from self._refuse(frames.busy())

    def _request(self, asked: frames.Create) -> Steps:
        if time.monotonic() >= self._expires_at:
            yield from self._expire()
            return
        self._last_id += 2
        self._exchange = Exchange(self._last_id)
        request = post_like(self._opening.request, asked)
        yield ReceiveHttp(RequestHeaders(self._last_id, request, end_stream=False))
        yield ReceiveHttp(RequestData(self._last_id, asked.body))
        yield ReceiveHttp(RequestEndOfMessage(self._last_id))

    # To the host

    def _answer(self, exchange: Exchange, event: HttpEvent) -> Steps:
        match event:
            case ResponseHeaders(response=response):
                exchange.head = response
                yield from self._begin(exchange, response.status_code, fields(response.headers))
            case ResponseData(data=data) if exchange.events is not None:
                yield from self._tell(exchange, exchange.events, data)
            case ResponseData(data=data):
                exchange.body += data
            case ResponseEndOfMessage():
                yield from self._answered(exchange)
            case ResponseProtocolError():
                # There is no answer, and there will be none.
                exchange.told = True
                yield from self._close(CloseReason.INTERNAL_ERROR)

    def _begin(self, exchange: Exchange, status: int, head: Headers) -> Steps:
        if is_event_stream(status, head):
            exchange.events = sse.Decoder()
            for tell in (frames.metadata_message, frames.limits_message) if self._is_codex else ():
                if (said := tell(head)) is not None:
                    yield from self._send(TextMessage(data=said))

    def _tell(self, exchange: Exchange, decoder: sse.Decoder, data: bytes) -> Steps:
        try:
            texts, ended = frames.event_messages(decoder.feed(data))
        except ValueError:
            yield from self._close(CloseReason.INTERNAL_ERROR)
            return
        exchange.told = exchange.told or ended
        yield from self._send(*(TextMessage(data=text) for text in texts))

    def _answered(self, exchange: Exchange) -> Steps:
        """The flow has ended: what was not told yet is told, then the host may ask the next."""
        if exchange.events is not None:
            texts, _ = frames.event_messages(exchange.events.flush())
            yield from self._send(*(TextMessage(data=text) for text in texts))
        elif exchange.head is not None:
            head = exchange.head
            yield from self._refuse(Reply(head.status_code, fields(head.headers), bytes(exchange.body)))
        self._exchange = None
        if self._closing_at is not None:
            return
        if exchange.following is not None:
            yield from self._request(exchange.following)
        elif time.monotonic() >= self._expires_at:
            yield from self._expire()

    def _refuse(self, reply: Reply) -> Steps:
        yield from self._send(TextMessage(data=frames.error_message(reply)))

    def _send(self, *told: Event) -> Steps:
        if told and self._protocol.state is ProtocolState.OPEN:
            self._active_at = time.monotonic()
            yield commands.SendData(self.conn, b"".join([self._protocol.send(event) for event in told]))

    # Time

    def _look(self, now: float) -> Steps:
        if self._closing_at is not None:
            yield from self._hang_up()
        elif self._exchange is None and now >= self._expires_at:
            yield from self._expire()
        else:
            yield from self._send(Ping())

    def _expire(self) -> Steps:
        yield from self._refuse(frames.too_old())
        yield from self._close(CloseReason.NORMAL_CLOSURE)

    # Ends

    def _close(self, code: CloseReason) -> Steps:
        """Says goodbye, and waits for the host's: to hang up at once might lose what it was sent."""
        yield from self._cancel("the WebSocket was closed")
        self._message.clear()
        yield from self._send(CloseConnection(code=code))
        self._closing_at = time.monotonic() + CLOSING_TIMEOUT
        self._parent.to_arm = True

    def _goodbye(self, event: CloseConnection) -> Steps:
        """The host closes, or answers our goodbye, or has broken the protocol."""
        state = self._protocol.state
        if state is ProtocolState.OPEN:
            yield from self._close(CloseReason(event.code))
            return
        if state is ProtocolState.REMOTE_CLOSING:
            yield commands.SendData(self.conn, self._protocol.send(event.response()))
        yield from self._cancel("Client disconnected.")
        yield from self._hang_up()

    def _gone(self) -> Steps:
        yield from self._cancel("Client disconnected.")
        if self.conn.state is not ConnectionState.CLOSED:
            yield from self._hang_up()
        self._over = True

    def _cancel(self, why: str) -> Steps:
        """Nobody waits for the answer any more. One that the host has heard to its end may end in order."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.told:
            yield ReceiveHttp(RequestProtocolError(exchange.stream_id, why, CANCEL))

    def _hang_up(self) -> Steps:
        self._over = True
        self._message.clear()
        yield commands.CloseConnection(self.conn)


def post_like(request: http.Request, asked: frames.Create) -> http.Request:
    """The request that a message is, on a connection that was opened by `request`."""
    named = {name for name, _ in asked.fields}
    kept = ((name, value) for name, value in fields(request.headers) if name.lower() not in named)
    own: Headers = (("content-length", str(len(asked.body))), *asked.fields)
    headers = header_fields((*kept, *own))
    return http.Request(
        host="",
        port=0,
        method=b"POST",
        scheme=b"",
        authority=b"",
        path=request.data.path,
        http_version=b"HTTP/1.1",
        headers=headers,
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
    )

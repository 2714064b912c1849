"""Serves ASGI on Hypercorn, and reaches below it: real TCP resets, closes and HTTP/2 RST_STREAM for one request.

All knowledge of Hypercorn's and asyncio's insides is here. Hypercorn's `TCPServer` serves one connection; ours is the
accepting side, so that each connection's transport is at hand.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from h2.errors import ErrorCodes  # type: ignore[import-untyped, unused-ignore]
from h2.exceptions import ProtocolError  # type: ignore[import-untyped, unused-ignore]
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from starlette.types import ASGIApp

WIRE = "understudy.wire"
"""Key of the request's `Wire` in its ASGI scope."""

DRAIN_LIMIT = 5.0


class _Server(TCPServer):
    """Hypercorn's server of one connection, which ends with its connection.

    The original waits for its idle timer, which the last answer starts anew although nobody is there any more; and it
    writes to a transport that is closing, which asyncio's TLS does not bear.
    """

    async def protocol_send(self, event: Event) -> None:
        """What the protocol has to say: bytes, an end, or a change of state."""
        gone = self.writer.is_closing() or self.reader.at_eof()
        if isinstance(event, Updated) and gone:
            await self.idle_task.stop()
        elif isinstance(event, RawData) and self.writer.is_closing():
            await self.protocol.handle(Closed())
        else:
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class Connection:
    """One accepted connection; as Hypercorn's application it gives each request its `Wire`."""

    def __init__(self, app: ASGIApp, writer: asyncio.StreamWriter, failed: Callable[[Exception], None]) -> None:
        self._app = app
        self._writer = writer
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._failed = failed
        self.server: TCPServer

    async def __call__(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: Callable[..., Any],
        call_soon: Callable[..., Any],
    ) -> None:
        """Hypercorn's application interface: ASGI and two ways of reaching its loop, which we do not need."""
        wire = Wire(self, cast(Any, send).__self__)
        try:
            await self._app({**scope, WIRE: wire}, cast(Any, receive), cast(Any, send))
        except Exception as error:
            self._failed(error)
            raise

    def abort(self) -> None:
        """Drops the connection and all unsent bytes; with a zero linger time TCP says so by RST (RFC 9293, 3.10.5)."""
        with suppress(OSError):  # closed already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Closes the connection after what was written, in the middle of whatever it was saying."""
        self._writer.transport.close()


class Wire:
    """One request's way out, for what ASGI has no words for."""

    def __init__(self, connection: Connection, stream: HTTPStream) -> None:
        self._connection = connection
        self._stream = stream
        self.torn = False

    @property
    def whole(self) -> bool:
        """Whether the answer is out to its end. A disconnect before that is the peer's doing, or ours if `torn`."""
        return self.torn or self._stream.state is ASGIHTTPState.CLOSED

    @property
    def multiplexed(self) -> bool:
        """Whether this is one stream among others, on HTTP/2."""
        return self._h2 is not None

    @property
    def _h2(self) -> H2Protocol | None:
        protocol = self._connection.server.protocol.protocol
        return protocol if isinstance(protocol, H2Protocol) else None

    async def drain(self) -> None:
        """Waits until HTTP/2 flow control has let out what was sent on this stream."""
        h2 = self._h2
        buffer = h2.stream_buffers.get(self._stream.stream_id) if h2 else None
        if buffer is not None and buffer.buffer:
            with suppress(TimeoutError):
                await asyncio.wait_for(buffer.drain(), DRAIN_LIMIT)

    def reset_connection(self) -> None:
        """A TCP reset, from here to whoever is at the other end."""
        self.torn = True
        self._connection.abort()

    def close_connection(self) -> None:
        """A TCP close without the end of the body."""
        self.torn = True
        self._connection.close()

    async def reset_stream(self) -> None:
        """An HTTP/2 RST_STREAM (RFC 9113, 6.4). Raises ValueError on HTTP/1.1, which has no streams."""
        h2 = self._h2
        if h2 is None:
            raise ValueError("RST_STREAM needs HTTP/2: use how=rst or how=fin, or serve TLS with h2")
        self.torn = True
        with suppress(ProtocolError):
            h2.connection.reset_stream(self._stream.stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._connection.server.protocol_send(RawData(data=h2.connection.data_to_send()))


class Listener:
    """Accepts connections on one port and serves them; `failures` keeps the application's exceptions."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self.failures: list[Exception] = []
        self._app = app
        self._config = config
        self._context = WorkerContext(None)
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Begins to listen; 0 takes a free port. Returns the port. Raises OSError where it is taken."""
        self._server = await asyncio.start_server(self._accept, host, port, ssl=tls, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stops listening and drops every connection."""
        assert self._server is not None
        self._server.close()
        await self._context.terminated.set()
        tasks = list(self._connections)
        for connection in self._connections.values():
            connection.abort()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_LIMIT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(self._app, writer, self.failures.append)
        connection.server = _Server(
            connection, asyncio.get_running_loop(), self._config, self._context, {}, reader, writer
        )
        self._connections[task] = connection
        try:
            with suppress(OSError):  # the peer may have its last word after our TLS close_notify
                await connection.server.run()
        finally:
            del self._connections[task]

"""A claimed request without a host: carried out like any other, and heard by whoever asked for it.

It runs on mitmproxy's client replay, whose HTTP layer `layer.teach_client_replay` has swapped: with the same hooks,
attempts and replays, and a flow of its own.
"""

from typing import Any, Protocol

from mitmproxy import ctx, http
from mitmproxy.addons import clientplayback
from mitmproxy.connection import Server
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import (
    ReceiveHttp,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from understudy.proxy.attempts import CANCEL
from understudy.proxy.messages import fields, header_fields
from understudy.proxy.timed import Steps
from understudy.wire.reply import Headers

_STREAM = 1
"""The id of the one stream."""


class Listener(Protocol):
    """Who hears the answer."""

    def head(self, status: int, headers: Headers) -> None:
        """It begins."""

    def data(self, data: bytes) -> None:
        """More of its body."""

    def end(self) -> None:
        """It has ended, in order or not. Called once."""


class Solo:
    """One request. `like`: the flow of the host that asked, whose names and fields it has."""

    def __init__(self, like: http.HTTPFlow, body: bytes, listener: Listener) -> None:
        self.flow = flow = http.HTTPFlow(like.client_conn.copy(), Server(address=like.server_conn.address))
        kept = [(n, v) for n, v in fields(like.request.headers) if n.lower() not in _OF_THE_BODY]
        flow.request = like.request.copy()
        flow.request.headers = header_fields((*kept, ("content-length", str(len(body)))))
        flow.request.raw_content = body
        flow.is_replay = "request"  # No host is there to sign in to the proxy, or has a key for it to be let go with.
        if "proxyauth" in like.metadata:
            flow.metadata["proxyauth"] = like.metadata["proxyauth"]
        self._listener = listener
        handler: Any = clientplayback.ReplayHandler(flow, ctx.options)
        client = handler.layer.context.client
        handler.layer.connections[client] = self._ear = _Ear(flow, handler.layer.context.fork(), listener)
        self._handler, self._client = handler, client

    async def run(self) -> None:
        """Carries it out, to its end."""
        try:
            await self._handler.replay()
        finally:
            if not self._ear.heard and (whole := self.flow.response) is not None:
                # An answer in one piece goes out behind the hook that ends the handler.
                self._listener.head(whole.status_code, fields(whole.headers))
                self._listener.data(whole.raw_content or b"")
            self._listener.end()

    async def cancel(self) -> None:
        """Nobody wants the answer any more: what is on its way upstream is cancelled, as when a host hangs up."""
        await self._handler.server_event(events.ConnectionClosed(self._client))


_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding"})


class _Ear(clientplayback.MockServer):
    """In the host's place."""

    def __init__(self, flow: http.HTTPFlow, context: Any, listener: Listener) -> None:
        super().__init__(flow, context)
        self._listener = listener
        self.heard = False

    def _handle_event(self, event: events.Event) -> Steps:
        match event:
            case ResponseHeaders():
                self.heard = True
                self._listener.head(event.response.status_code, fields(event.response.headers))
            case ResponseData():
                self._listener.data(event.data)
            case events.ConnectionClosed():
                yield ReceiveHttp(RequestProtocolError(_STREAM, "cancelled", CANCEL))
            case ResponseEndOfMessage() | ResponseProtocolError():
                pass  # The response or error hook says so too, and ends the handler.
            case _:
                yield from super()._handle_event(event)

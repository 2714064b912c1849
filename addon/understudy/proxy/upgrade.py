"""How a host's connection becomes a WebSocket: the handshake, and the end of its HTTP.

This module is one of those that know mitmproxy's internals (docs/architecture.md).
"""

import time
from base64 import b64encode

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy.layers.http import (
    DropStream,
    HttpResponseHeadersHook,
    HttpResponseHook,
    ResponseEndOfMessage,
    ResponseHeaders,
    SendHttp,
)
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from understudy.proxy import refusals
from understudy.proxy.messages import fields, header_fields
from understudy.proxy.socket import Opening
from understudy.proxy.stream import ReplayingStream
from understudy.proxy.timed import Steps
from understudy.proxy.turn import Upgrade
from understudy.wire.frames import no_handshake
from understudy.wire.reply import Headers

_OF_THE_CONNECTION = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "keep-alive",
        "openai-beta",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What the upgrade request says of itself, and no message's request does. OpenAI-Beta: the WebSocket's own version."""
_OWN: Headers = (("content-type", "application/json"), ("accept", "text/event-stream"))


class Deflate(PerMessageDeflate):
    """Hosts may compress what they send; what they are sent is not: most hosts are on this very machine."""

    def frame_outbound(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        """The frame as it is (RFC 7692, 6: an endpoint may compress a message, and need not)."""
        return rsv, data


class UpgradingStream(ReplayingStream):
    """A replaying stream whose connection may become a WebSocket."""

    def _upgrade(self, decided: Upgrade) -> Steps:
        if self.flow.is_replay:
            yield from self._answer(refusals.not_replayable("it opened a WebSocket; replay a message of it"))
            return
        try:
            self.flow.response, protocol = accept(self.flow.request)
        except (ProtocolError, ValueError):
            yield from self._answer(no_handshake())
            return
        template = template_of(self.flow, self._claimed().kept)
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield HttpResponseHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, end_stream=True), self.context.client)
        self._parent.upgrade(Opening(self.stream_id, protocol, template, decided.then_close))
        self._sleep()
        self.turn, self.flow.live = None, False
        self.client_state = self.server_state = self.state_errored
        yield DropStream(self.stream_id)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)


def accept(request: http.Request) -> tuple[http.Response, Protocol]:
    """The answer to a handshake (RFC 6455, 4.2), and what speaks the protocol from then on.

    Raises ProtocolError or ValueError where the handshake is none.
    """
    if request.http_version != "HTTP/1.1":
        raise ValueError("a WebSocket begins on HTTP/1.1")
    handshake = H11Handshake(ConnectionType.SERVER)
    handshake.initiate_upgrade_connection([*request.headers.fields], request.data.path)
    head = handshake.send(AcceptConnection(extensions=[Deflate()]))
    protocol = handshake.connection
    assert protocol is not None
    response = http1.read_response_head(head.strip().splitlines())
    response.headers["upgrade"] = "websocket"  # Some versions of wsproto write it in another case.
    response.data.content, response.reason = b"", "Switching Protocols"
    response.timestamp_start = response.timestamp_end = time.time()
    return response, protocol


def template_of(flow: http.HTTPFlow, kept: tuple[tuple[bytes, bytes], ...]) -> http.Request:
    """What each message's request is like: the upgrade request without what concerns its connection.

    `kept`: its fields as they came, with the host's credentials, where a message may be let go with them.
    """
    given = fields(http.Headers(kept)) if kept else fields(flow.request.headers)
    left = ((name, value) for name, value in given if not _is_of_the_connection(name.lower()))
    made = flow.request.copy()
    made.headers = header_fields((*left, *_OWN))
    if "proxyauth" in flow.metadata:
        made.headers.setdefault("authorization", _basic(*flow.metadata["proxyauth"]))
    return made


def _basic(user: str, password: str) -> str:
    """What mitmproxy's `proxyauth` has taken off the upgrade request, and asks of every request: RFC 7617."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _is_of_the_connection(name: str) -> bool:
    return name in _OF_THE_CONNECTION or name.startswith("sec-websocket-")

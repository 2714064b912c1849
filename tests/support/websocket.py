"""A program's side of a WebSocket, blocking, over a real socket: straight, or through an HTTP proxy and with TLS."""

import json
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from wsproto import WSConnection
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
"""The events that end an answer."""
ABNORMAL = 1006
"""The code of a connection that ended without a close frame (RFC 6455, 7.1.5)."""

Fields = Mapping[str, str] | Iterable[tuple[str, str]]
Json = dict[str, object]


@dataclass
class Refused(Exception):
    """The handshake was answered by plain HTTP."""

    status: int
    headers: dict[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Json:
        """The body as a JSON object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Closed(Exception):
    """The other side has closed, or has gone (1006)."""

    code: int
    reason: str = ""


class WebSocket:
    """An open connection; `headers` (names in lower case) are those of the 101. Leaving the block closes it."""

    def __init__(
        self, sock: socket.socket, *, host: str, target: str, headers: Fields, deflate: bool, timeout: float
    ) -> None:
        self.headers: dict[str, str] = {}
        self.deflates = False
        """Whether permessage-deflate was agreed on."""
        self._socket = sock
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._messages: deque[str | bytes] = deque()
        self._parts: list[bytes] = []
        self._pongs: deque[bytes] = deque()
        self._closed: Closed | None = None
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        more = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        extensions = [PerMessageDeflate()] if deflate else []
        self._say(Request(host=host, target=target, extensions=extensions, extra_headers=more))
        self._shake_hands(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._closed is None:
            self.close()
        self._socket.close()

    def send_json(self, value: object) -> None:
        """One text frame with this value."""
        self.send_text(json.dumps(value))

    def send_text(self, text: str) -> None:
        """One text frame. Raises OSError where the connection is gone."""
        self._say(TextMessage(data=text))

    def send_bytes(self, data: bytes) -> None:
        """One binary frame."""
        self._say(BytesMessage(data=data))

    def receive(self, timeout: float = 20.0) -> str | bytes:
        """The next message. Raises Closed where there is none any more, TimeoutError after `timeout` seconds."""
        self._read_until(lambda: bool(self._messages), timeout)
        return self._messages.popleft()

    def receive_json(self, timeout: float = 20.0) -> Json:
        """The next message, which is a text of a JSON object. Raises like `receive`."""
        text = self.receive(timeout)
        assert isinstance(text, str)
        value = json.loads(text)
        assert isinstance(value, dict)
        return value

    def answer(self, timeout: float = 20.0) -> list[Json]:
        """The messages to the end of an answer, or to an error. Raises like `receive`."""
        heard = [self.receive_json(timeout)]
        while heard[-1].get("type") not in ENDS:
            heard.append(self.receive_json(timeout))
        return heard

    def ask(self, **body: object) -> list[Json]:
        """Sends `response.create` with this body; gives the whole answer."""
        self.send_json({"type": "response.create", **body})
        return self.answer()

    def ping(self, payload: bytes = b"ping", timeout: float = 20.0) -> None:
        """Sends a ping and returns when its pong has come. Raises like `receive`."""
        self._say(Ping(payload=payload))
        self._read_until(lambda: payload in self._pongs, timeout)
        self._pongs.remove(payload)

    def wait_closed(self, timeout: float = 20.0) -> Closed:
        """How the other side closed, as soon as it has; messages before that are dropped."""
        try:
            self._read_until(lambda: False, timeout)
        except Closed as closed:
            return closed
        raise AssertionError("unreachable")

    def close(self, code: int = 1000, reason: str = "", timeout: float = 20.0) -> Closed:
        """Says goodbye, and waits for the other side's. Gives what it said."""
        if self._closed is None:
            self._say(CloseConnection(code=code, reason=reason))
        return self.wait_closed(timeout)

    def drop(self) -> None:
        """Breaks the connection without a word: a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _say(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _shake_hands(self, timeout: float) -> None:
        """Reads the answer to the handshake. Raises Refused, with the whole of it, where it is plain HTTP."""
        events = self._next_events(timeout)
        while not events:
            events = self._next_events(timeout)
        first, *more = events
        if isinstance(first, AcceptConnection):
            self.headers, self.deflates = _lower(first.extra_headers), bool(first.extensions)
            for event in more:
                self._take(event)
            return
        assert isinstance(first, RejectConnection)
        body, whole = b"", not first.has_body
        while not whole:
            pieces = [event for event in more if isinstance(event, RejectData)]
            body += b"".join(piece.data for piece in pieces)
            whole = any(piece.body_finished for piece in pieces)
            more = [] if whole else self._next_events(timeout)
        self._socket.close()
        raise Refused(first.status_code, _lower(first.headers), body)

    def _next_events(self, timeout: float) -> list[Event]:
        """Reads once, and gives what came. Raises Closed at the end of the connection."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise TimeoutError("nothing came on the WebSocket") from None
        except OSError:
            data = b""
        if not data:
            raise self._end(Closed(ABNORMAL))
        self._protocol.receive_data(data)
        return list(self._protocol.events())

    def _read_until(self, done: Callable[[], bool], timeout: float) -> None:
        until = time.monotonic() + timeout
        while not done():
            if self._closed is not None:
                raise self._closed
            for event in self._next_events(until - time.monotonic()):
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage() | BytesMessage():
                self._parts.append(event.data.encode() if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    whole = b"".join(self._parts)
                    self._messages.append(whole.decode() if isinstance(event, TextMessage) else whole)
                    self._parts.clear()
            case Pong():
                self._pongs.append(bytes(event.payload))
            case Ping():
                self._say(event.response())
            case CloseConnection():
                self._end(Closed(int(event.code), event.reason or ""))
                if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                    self._say(event.response())

    def _end(self, closed: Closed) -> Closed:
        """The first end that was seen is the one."""
        self._closed = self._closed or closed
        return self._closed


def connect(
    url: str,
    headers: Fields = (),
    *,
    trust: ssl.SSLContext | None = None,
    proxy: int | None = None,
    over: socket.socket | None = None,
    deflate: bool = True,
    timeout: float = 20.0,
) -> WebSocket:
    """Opens a WebSocket. Raises Refused where the answer is none, OSError where there is no connection.

    `url`: ws or wss (http and https are taken for them). `trust`: for wss, default the system's. `proxy`: the port on
    127.0.0.1 of an HTTP proxy to ask by CONNECT. `over`: a connected socket to use in place of a new one.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    sock = over or socket.create_connection((host, port) if proxy is None else ("127.0.0.1", proxy), timeout)
    sock.settimeout(timeout)
    try:
        if proxy is not None:
            _tunnel(sock, f"{host}:{port}")
        if parts.scheme in ("wss", "https"):
            sock = (trust or ssl.create_default_context()).wrap_socket(sock, server_hostname=host)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        return WebSocket(sock, host=parts.netloc, target=target, headers=headers, deflate=deflate, timeout=timeout)
    except BaseException:
        sock.close()
        raise


def _tunnel(sock: socket.socket, authority: str) -> None:
    """CONNECT (RFC 9110, 9.3.6). Raises Refused where the proxy does not."""
    sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            raise Refused(0, {}, answer)
        answer += piece
    status = int(answer.split()[1])
    if status != 200:
        raise Refused(status, {}, answer)


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}

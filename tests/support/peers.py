"""The other ends of a proxy's connections, on loopback: origins, a company's proxy, and hosts that send raw bytes."""

import base64
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

from support.hosts import Answer
from support.proxy import Proxy

OPENAI = "api.openai.com"
PATIENCE = 15.0
"""Seconds after which a socket of a test gives up."""


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """What a TLS server for `names` needs; it speaks HTTP/1.1 alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def redirecting_script(folder: Path, routes: Mapping[str, int]) -> Path:
    """A mitmproxy script that stands in for the name service: `{"api.openai.com:443": port on loopback}`."""
    path = folder / "names.py"
    path.write_text(
        f"ROUTES = {dict(routes)!r}\n\n\n"
        "def server_connect(data):\n"
        "    port = ROUTES.get('%s:%d' % data.server.address[:2])\n"
        "    if port:\n"
        "        data.server.address = ('127.0.0.1', port)\n"
    )
    return path


class _Server:
    """Accepts connections on loopback, each served in a thread of its own; leaving the block ends them all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _hang_up(connection)
        for thread in list(self._threads):
            thread.join(PATIENCE)

    def serve(self, connection: socket.socket) -> None:
        """Serves one connection to its end."""
        raise NotImplementedError

    def _spawn(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self._spawn(lambda held=connection: self._held(held))  # type: ignore[misc]

    def _held(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class Origin(_Server):
    """An origin that writes down what it is sent, byte for byte, and answers all of it the same way."""

    BODY = b'{"from": "the origin"}'

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self.requests: list[bytes] = []
        """Head and body of each request, as they came; a chunked body without its framing."""
        self.connections = 0

    @property
    def received(self) -> bytes:
        """Everything."""
        return b"".join(self.requests)

    def forget(self) -> None:
        """Starts over."""
        self.requests.clear()
        self.connections = 0

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        if self._tls is None:
            self._answer_all(connection)
            return
        with self._tls.wrap_socket(connection, server_side=True) as secured:
            self._answer_all(secured)

    def _answer_all(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while head := _read_head(stream):
                self.requests.append(head + _read_body(stream, head))
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Origin: Its-Own\r\n"
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(self.BODY) + self.BODY)


class Company(_Server):
    """A company's proxy: lets out what its routes name, `{"chatgpt.com:443": port}`, and what is on loopback."""

    def __init__(self, routes: Mapping[str, int], credentials: str = "") -> None:
        super().__init__()
        self._routes = dict(routes)
        self._expected = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""
        self.asked: list[str] = []
        """The request lines, in the order of coming."""

    @property
    def url(self) -> str:
        """What a user writes into a mode: `upstream:URL`."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb", buffering=0)
        with stream:
            head = _read_head(stream)
        if not head:
            return
        line, _, rest = head.partition(b"\r\n")
        self.asked.append(line.decode("latin-1"))
        method, target, version = line.decode("latin-1").split(" ")
        if self._expected and self._expected not in _fields(head, "proxy-authorization"):
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        parts = urlsplit(target if method != "CONNECT" else f"//{target}")
        port = self._routes.get(f"{parts.hostname}:{parts.port or 80}")
        port = parts.port if port is None and parts.hostname == "127.0.0.1" else port
        if port is None:
            connection.sendall(b"HTTP/1.1 502 No Such Host\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as upstream:
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                upstream.sendall(f"{method} {path} {version}\r\n".encode() + rest)
            back = self._spawn(lambda: _pump(upstream, connection))
            _pump(connection, upstream)
            back.join(PATIENCE)


@dataclass(frozen=True, slots=True)
class Names:
    """What a host says about where it goes; None says nothing."""

    connect: str = f"{OPENAI}:443"
    sni: str | None = OPENAI
    host: str = OPENAI


class Tunnel:
    """A host's connection through the proxy: CONNECT, then TLS where it has a trust anchor, then what it sends."""

    def __init__(
        self, proxy: Proxy, names: Names | None = None, *, trust: Path | None = None, encrypted: bool = True
    ) -> None:
        self.names = names = names or Names()
        self._plain = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        try:
            self._plain.sendall(f"CONNECT {names.connect} HTTP/1.1\r\nHost: {names.connect}\r\n\r\n".encode())
            with self._plain.makefile("rb", buffering=0) as stream:
                self.opened = _read_head(stream)
            self._socket = self._encrypted(trust or proxy.ca) if encrypted else self._plain
        except BaseException:
            self._plain.close()
            raise

    def _encrypted(self, trust: Path) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(trust)
        return context.wrap_socket(self._plain, server_hostname=self.names.sni)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def certificate(self) -> bytes:
        """The peer's certificate (DER)."""
        assert isinstance(self._socket, ssl.SSLSocket)
        certificate = self._socket.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate

    def send(self, request: bytes) -> None:
        """Sends bytes, and does not wait."""
        self._socket.sendall(request)

    def status(self) -> int | None:
        """The status of one answer; None where the connection ended without one."""
        with self._socket.makefile("rb") as stream:
            line = stream.readline()
        return int(line.split()[1]) if line else None

    def exchange(self, request: bytes) -> Answer:
        """Sends bytes, and reads one answer."""
        self.send(request)
        method = request.partition(b" ")[0].decode()
        response = http.client.HTTPResponse(self._socket, method=method)
        try:
            response.begin()
            body = response.read()
        finally:
            response.close()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body)


def post(path: str, body: bytes, *fields: str, host: str = OPENAI) -> bytes:
    """A POST as HTTP/1.1 writes it."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *fields, "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def _read_head(stream: object) -> bytes:
    """Up to and with the blank line, a byte at a time where the stream is not buffered; empty at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte: bytes = stream.readline() if hasattr(stream, "peek") else stream.read(1)  # type: ignore[attr-defined]
        if not byte:
            return b""
        head += byte
    return head


def _read_body(stream: object, head: bytes) -> bytes:
    read: Callable[[int], bytes] = stream.read  # type: ignore[attr-defined]
    if _fields(head, "transfer-encoding"):
        body = b""
        while size := int(stream.readline(), 16):  # type: ignore[attr-defined]
            body += read(size)
            read(2)
        read(2)
        return body
    length = _fields(head, "content-length")
    return read(int(length[0])) if length else b""


def _fields(head: bytes, name: str) -> list[str]:
    found = re.findall(rb"(?im)^" + name.encode() + rb":[ \t]*(.*?)[ \t]*\r$", head)
    return [value.decode("latin-1") for value in found]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        _hang_up(sink)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass

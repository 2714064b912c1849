"""A host with many requests on one HTTP/2 connection, which can reset one stream and go on with the others.

httpx cannot do this from threads: its synchronous HTTP/2 connection then opens streams out of order, and reads one TLS
connection while it writes to it.
"""

import json
import socket
import ssl
import time
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from support.hosts import HOST_KEY
from support.proxy import Proxy
from support.theatre import Heard

HOST = "api.openai.com"


class Http2Host:
    """One connection through the proxy. As a context manager it closes it."""

    def __init__(self, proxy: Proxy, timeout: float = 20.0) -> None:
        plain = socket.create_connection(("127.0.0.1", proxy.port), timeout)
        plain.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += plain.recv(1)
        assert b" 200 " in answer.split(b"\r\n")[0]
        context = ssl.create_default_context(cafile=str(proxy.ca))
        context.set_alpn_protocols(["h2"])
        self._socket = context.wrap_socket(plain, server_hostname=HOST)
        assert self._socket.selected_alpn_protocol() == "h2"
        self._h2: Any = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._heads: dict[int, dict[str, str]] = {}
        self._pieces: dict[int, list[tuple[float, bytes]]] = {}
        self._ended: dict[int, float] = {}
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, body: object) -> int:
        """Posts a Responses request; gives the stream it runs on."""
        stream = int(self._h2.get_next_available_stream_id())
        fields = {
            ":method": "POST",
            ":scheme": "https",
            ":authority": HOST,
            ":path": "/v1/responses",
            "authorization": f"Bearer {HOST_KEY}",
            "content-type": "application/json",
        }
        self._h2.send_headers(stream, list(fields.items()))
        self._h2.send_data(stream, json.dumps(body).encode(), end_stream=True)
        self._pieces[stream] = []
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        """Cancels one stream (RST_STREAM, RFC 9113, 6.4)."""
        self._h2.reset_stream(stream, 8)
        self._flush()

    def hear(self, stream: int) -> bytes:
        """The body of a stream's answer, once it has ended."""
        return self.answer(stream).body

    def answer(self, stream: int) -> Heard:
        """A stream's answer, once it has ended."""
        while stream not in self._ended:
            data = self._socket.recv(65536)
            assert data, "the proxy closed the connection"
            for event in self._h2.receive_data(data):
                self._take(event)
            self._flush()
        fields = self._heads.get(stream, {":status": "0"})
        headers = {name: value for name, value in fields.items() if name != ":status"}
        return Heard(int(fields[":status"]), headers, "HTTP/2", tuple(self._pieces[stream]), self._ended[stream])

    def _take(self, event: object) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self._heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
        elif isinstance(event, h2.events.DataReceived):
            self._pieces[event.stream_id].append((time.monotonic(), event.data))
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._ended[event.stream_id] = time.monotonic()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

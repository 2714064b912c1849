"""The load backend: answers Responses calls with pre-encoded events, each with the time at which it was sent.

The request's model says what comes: `load-N-D` is N events, the opening ones at once and then one every D
milliseconds; `load-N-D-limited` is a usage limit, and the same answer at the next call. A message on a WebSocket is
answered in the same way. A GET of `RECEIVED` is answered with the number of bytes that have come so far. Run as a
program it listens on 127.0.0.1, prints its port, and ends when its standard input does.

    backend.py CERTIFICATE KEY
"""

import asyncio
import json
import re
import ssl
import sys
import time

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade: *websocket\r\n", re.IGNORECASE)
_MODEL = re.compile(rb'"model": *"load-(\d+)-(\d+)(-limited)?"')

RECEIVED = "/received"
OPENING = 4
"""Events that come at once: two of the answer's life, the output item and its first part. Then the deltas."""
LEAST_EVENTS = OPENING + 2

RESPONSE = {
    "id": "resp_0123456789abcdef0123456789abcdef0123456789abcdef",
    "object": "response",
    "created_at": 1760000000,
    "status": "in_progress",
    "error": None,
    "model": "load",
    "output": [],
    "parallel_tool_calls": True,
    "store": False,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": None,
    "metadata": {},
}
ITEM = {
    "id": "msg_0123456789abcdef0123456789abcdef0123456789abcdef",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "All of it, at last, as one text.", "annotations": []}],
}
QUOTA = (
    "x-codex-plan-type: plus\r\n"
    "x-codex-primary-used-percent: 42\r\nx-codex-primary-window-minutes: 300\r\n"
    "x-codex-primary-reset-after-seconds: 9000\r\n"
    "x-codex-secondary-used-percent: 12\r\nx-codex-secondary-window-minutes: 10080\r\n"
    "x-codex-secondary-reset-after-seconds: 400000\r\n"
)
HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    f"x-request-id: req_0123456789abcdef\r\n{QUOTA}transfer-encoding: chunked\r\n\r\n"
).encode()


def limit_answer() -> bytes:
    """The whole 429 of an account whose usage limit is reached."""
    error = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": int(time.time()) + 7200,
        "resets_in_seconds": 7200,
    }
    body = json.dumps({"error": error})
    head = f"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n{QUOTA}content-length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def event(name: str, **fields: object) -> tuple[bytes, bytes]:
    """An event as it is sent, around the place of its time."""
    text = json.dumps({"type": name, **fields, "sent_ns": 0}, separators=(",", ":"))
    before, _, after = f"event: {name}\ndata: {text}\n\n".encode().rpartition(b"0")
    return before, after


def script(count: int) -> list[tuple[bytes, bytes]]:
    """The events of an answer that has `count` of them, `LEAST_EVENTS` or more."""
    place: dict[str, object] = {"item_id": ITEM["id"], "output_index": 0, "content_index": 0}
    empty = {**ITEM, "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    opening = [
        event("response.created", sequence_number=0, response=RESPONSE),
        event("response.in_progress", sequence_number=1, response=RESPONSE),
        event("response.output_item.added", sequence_number=2, output_index=0, item=empty),
        event("response.content_part.added", sequence_number=3, **place, part=part),
    ]
    deltas = [
        event("response.output_text.delta", sequence_number=n, **place, delta=" word", logprobs=[])
        for n in range(OPENING, count - 2)
    ]
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    whole = {**RESPONSE, "status": "completed", "output": [ITEM], "usage": usage}
    ending = [
        event("response.output_item.done", sequence_number=count - 2, output_index=0, item=ITEM),
        event("response.completed", sequence_number=count - 1, response=whole),
    ]
    return opening + deltas + ending


def stamped(pieces: tuple[bytes, bytes]) -> bytes:
    """One event, sent now."""
    before, after = pieces
    return b"%b%d%b" % (before, time.monotonic_ns(), after)


class Load(asyncio.Protocol):
    """One connection: a request after another, without pipelining."""

    scripts: dict[int, list[tuple[bytes, bytes]]]
    received = 0
    limited = False
    """Whether the latest limited call was refused, so that the next one is answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._got = bytearray()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._socket: WSConnection | None = None
        """Where the connection has become a WebSocket."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        Load.received += len(data)
        if self._socket is not None:
            self._hear(self._socket, data)
            return
        self._got += data
        end = self._got.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        length = _LENGTH.search(self._got, 0, end)
        whole = end + int(length[1]) if length else end
        if len(self._got) < whole:
            return
        request = bytes(self._got)
        self._got.clear()
        if _UPGRADE.search(request, 0, end):
            self._socket = WSConnection(ConnectionType.SERVER)
            self._hear(self._socket, request)
        elif request.startswith(f"GET {RECEIVED} ".encode()):
            told = b"%d" % Load.received
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told))
        elif model := _MODEL.search(request, end):
            self._answer(int(model[1]), int(model[2]), bool(model[3]))
        else:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

    def _hear(self, protocol: WSConnection, data: bytes) -> None:
        """What has come over a WebSocket."""
        protocol.receive_data(data)
        for heard in protocol.events():
            if isinstance(heard, Request):
                self._transport.write(protocol.send(AcceptConnection()))
            elif isinstance(heard, TextMessage):
                self._got += heard.data.encode()
                if heard.message_finished:
                    model = _MODEL.search(bytes(self._got))
                    self._got.clear()
                    assert model is not None
                    self._answer(int(model[1]), int(model[2]), False)

    def _answer(self, count: int, interval: int, limited: bool) -> None:
        if limited:
            Load.limited = not Load.limited
            if Load.limited:
                self._transport.write(limit_answer())
                return
        events = Load.scripts.get(count)
        if events is None:
            events = Load.scripts[count] = script(count)
        if self._socket is None:
            self._transport.write(HEAD)
        if interval == 0:
            for pieces in events:
                self._tell(pieces)
            self._end()
            return
        for pieces in events[:OPENING]:
            self._tell(pieces)
        self._later(events, OPENING, self._loop.time() + interval / 1000, interval / 1000)

    def _later(self, events: list[tuple[bytes, bytes]], number: int, at: float, interval: float) -> None:
        if number == len(events):
            self._next = None
            self._end()
            return
        self._next = self._loop.call_at(at, self._tick, events, number, at, interval)

    def _tick(self, events: list[tuple[bytes, bytes]], number: int, at: float, interval: float) -> None:
        self._tell(events[number])
        self._later(events, number + 1, at + interval, interval)

    def _tell(self, pieces: tuple[bytes, bytes]) -> None:
        told = stamped(pieces)
        if self._socket is None:
            self._transport.write(b"%x\r\n%b\r\n" % (len(told), told))
        else:
            message = told.partition(b"data: ")[2].strip().decode()
            self._transport.write(self._socket.send(TextMessage(message)))

    def _end(self) -> None:
        if self._socket is None:
            self._transport.write(b"0\r\n\r\n")


async def main(certificate: str, key: str) -> None:
    """Serves until standard input ends."""
    Load.scripts = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Load, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

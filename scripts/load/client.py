"""The load client: calls the Responses API over keep-alive connections, or over WebSockets, and notes when every event
arrived.

Reads a job from standard input (a line of JSON, `Job`), connects, makes one call on each connection to warm it up,
prints `ready`, waits for a line, makes the calls, and prints what it measured (a line of JSON, `Result`).
"""

import asyncio
import json
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator
from typing import TypedDict

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

_SENT = re.compile(rb'"sent_ns":(\d+)\}\n\n')
_SENT_LAST = re.compile(r'"sent_ns":(\d+)\}$')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
HOST = "api.openai.invalid"
"""Whom the calls are addressed to: a name that leads nowhere (RFC 6761, 6.4), whatever goes wrong in a proxy."""
PATH = "/v1/responses"
WARM_UP = "load-8-0"
TURN = 900
"""Bytes that a turn adds to its session, about: an item of the host's, and the answer's."""


class Job(TypedDict):
    """What to do. Ports are on 127.0.0.1; `proxy` 0 is none. `calls` is for each of `connections`.

    The calls of a connection take the `models` in turn. The connections begin one after the other, spread over `spread`
    milliseconds, so that their events do not all come at once.

    `session`: a connection's calls are the turns of one session, of the first model. The first turn, as long as
    `request_size` says, is the warm-up; each turn after it adds an item.
    """

    proxy: int
    backend: int
    ca: str
    models: list[str]
    connections: int
    calls: int
    request_size: int
    spread: float
    websocket: bool
    session: bool


class Result(TypedDict):
    """What came. Times in nanoseconds. `limited`: how long each 429 took; `complete`: answers with all their events.

    `opening`: as `first`, of the call on each connection that has warmed it up.
    """

    opening: list[int]
    first: list[int]
    delays: list[int]
    limited: list[int]
    complete: int
    wrong: list[str]
    seconds: float


class Connection:
    """One connection to the API, through the proxy or not."""

    def __init__(self, job: Job, result: Result) -> None:
        self._job = job
        self._result = result
        size = job["request_size"]
        self._calls = [] if job["session"] else [Call(model, request_body(model, size)) for model in job["models"]]

    async def open(self) -> None:
        """Connects, and makes the handshake with whoever is at the other end."""
        context = ssl.create_default_context(cafile=self._job["ca"])
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._job["proxy"] or self._job["backend"], limit=2**20
        )
        if self._job["proxy"]:
            self._writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
            answer = await self._reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                raise ConnectionError(f"CONNECT was refused: {answer!r}")
        await self._writer.start_tls(context, server_hostname=HOST)

    async def warm_up(self) -> None:
        """Makes a short call, so that the way to the backend is open."""
        usual = Call(WARM_UP, request_body(WARM_UP, self._job["request_size"]))
        await self._make(self._turn(0) if self._job["session"] else usual)

    async def calls(self, count: int, delay: float) -> None:
        """Makes `count` calls, one after the other, from `delay` seconds on."""
        await asyncio.sleep(delay)
        for number in range(count):
            await self._make(self._calls[number % len(self._calls)] if self._calls else self._turn(1 + number))

    def close(self) -> None:
        """Hangs up."""
        self._writer.close()

    def _turn(self, number: int) -> "Call":
        """A turn of the session, which brings all that was before."""
        model = self._job["models"][0]
        return Call(model, request_body(model, self._job["request_size"] + number * TURN, store=False))

    async def _make(self, call: "Call") -> None:
        asked = time.monotonic_ns()
        self._writer.write(call.request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is not None:
            body = await self._reader.readexactly(int(length[1]))
            if b" 429 " in head[:16]:
                self._result["limited"].append(time.monotonic_ns() - asked)
            else:
                self._result["wrong"].append(f"{head[:20]!r} {body[:200]!r}")
            return
        await self._stream(call, asked)

    async def _stream(self, call: "Call", asked: int) -> None:
        delays: list[int] = []
        framed, text = bytearray(), b""
        first, ended, completed = 0, False, False
        while not ended:
            framed += await self._reader.read(65536)
            now = time.monotonic_ns()
            payload, ended = dechunk(framed)
            whole, blank, text = (text + payload).rpartition(b"\n\n")
            if blank:
                first = first or now
                delays += [now - int(sent) for sent in _SENT.findall(whole + blank)]
                completed = completed or b'"response.completed"' in whole
            if self._reader.at_eof() and not ended:
                break
        self._note(call, first - asked, delays, ended and completed and not text, text)

    def _note(self, call: "Call", first: int, delays: list[int], ended: bool, last: object) -> None:
        """An answer has come, to its end or not; `last`: what it is known by where it is not whole."""
        self._result["first"].append(first)
        self._result["delays"] += delays
        if ended and len(delays) == call.events:
            self._result["complete"] += 1
        else:
            self._result["wrong"].append(f"{len(delays)} of {call.events} events, then {last!r:.200}")


class Socket(Connection):
    """The same over a WebSocket, on which a session's turn brings what is new in it."""

    _latest = ""

    async def open(self) -> None:
        """Connects, and opens the WebSocket."""
        await super().open()
        self._protocol = WSConnection(ConnectionType.CLIENT)
        fields = [(b"authorization", b"Bearer sk-load"), (b"user-agent", b"load/1.0")]
        self._writer.write(self._protocol.send(Request(HOST, PATH, extra_headers=fields)))
        self._protocol.receive_data(await self._reader.readuntil(b"\r\n\r\n"))
        [answer] = self._protocol.events()
        if not isinstance(answer, AcceptConnection):
            raise ConnectionError(f"the WebSocket was refused: {answer}")

    def _turn(self, number: int) -> "Call":
        if number == 0:
            return super()._turn(number)
        model = self._job["models"][0]
        return Call(model, request_body(model, 0, store=False, previous_response_id=self._latest))

    async def _make(self, call: "Call") -> None:
        message = json.dumps({"type": "response.create", **json.loads(call.body)})
        sent = self._protocol.send(TextMessage(message))
        delays: list[int] = []
        asked, first = time.monotonic_ns(), 0
        self._writer.write(sent)
        async for now, message in self._messages():
            first = first or now
            delays += [now - int(stamp) for stamp in _SENT_LAST.findall(message)]
            if ended := message.startswith('{"type":"response.completed"'):
                self._latest = json.loads(message)["response"]["id"]
                break
        self._note(call, first - asked, delays, ended, message)

    async def _messages(self) -> AsyncIterator[tuple[int, str]]:
        """Each message, and the nanosecond at which it came."""
        text = ""
        while data := await self._reader.read(65536):
            now = time.monotonic_ns()
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, TextMessage):
                    text += event.data
                    if event.message_finished:
                        yield now, text
                        text = ""
        raise ConnectionError("the WebSocket was closed")


def dechunk(framed: bytearray) -> tuple[bytes, bool]:
    """Takes the whole chunks (RFC 9112, 7.1) out of `framed`; gives what they hold, and whether the last is there."""
    payload: list[bytes] = []
    at = 0
    ended = False
    while (line := framed.find(b"\r\n", at)) >= 0:
        size = int(framed[at:line], 16)
        end = line + 2 + size + 2
        if len(framed) < end:
            break
        payload.append(bytes(framed[line + 2 : end - 2]))
        at = end
        if size == 0:
            ended = True
            break
    del framed[:at]
    return b"".join(payload), ended


class Call:
    """The bytes of one call, and the events that its answer must have."""

    def __init__(self, model: str, body: bytes) -> None:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer sk-load\r\nAccept: */*\r\n"
            f"User-Agent: load/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.body = body
        self.request = head.encode() + body
        self.events = int(model.split("-")[1])


def request_body(model: str, size: int, **more: object) -> bytes:
    """A call as an agent makes it: instructions, a few tools, and input items, one at least; about `size` bytes in sum.

    `more`: parameters besides.
    """
    text = "The quick brown fox jumps over the lazy dog. "
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    tools = [
        {"type": "function", "name": f"tool_{n}", "description": text, "strict": False, "parameters": schema}
        for n in range(8)
    ]
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text * 10}]}
    body = {"model": model, "stream": True, "instructions": text * 20, "tools": tools, **more, "input": [item]}
    missing = size - len(json.dumps(body))
    body["input"] = [item] * (1 + max(0, missing // len(json.dumps(item))))
    return json.dumps(body).encode()


async def main() -> None:
    """Does the job."""
    job: Job = json.loads(sys.stdin.readline())
    result: Result = {
        "opening": [],
        "first": [],
        "delays": [],
        "limited": [],
        "complete": 0,
        "wrong": [],
        "seconds": 0.0,
    }
    kind = Socket if job["websocket"] else Connection
    connections = [kind(job, result) for _ in range(job["connections"])]
    for connection in connections:
        await connection.open()
    await asyncio.gather(*[connection.warm_up() for connection in connections])
    result |= {"opening": result["first"], "first": [], "delays": [], "complete": 0}
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.monotonic()
    step = job["spread"] / 1000 / len(connections)
    await asyncio.gather(*[connection.calls(job["calls"], n * step) for n, connection in enumerate(connections)])
    result["seconds"] = time.monotonic() - started
    print(json.dumps(result), flush=True)
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    asyncio.run(main())

"""The load client: calls the Responses API over keep-alive connections and notes when every event arrived.

Reads a job from standard input (a line of JSON, `Job`), connects, makes one call on each connection to warm it up,
prints `ready`, waits for a line, makes the calls, and prints what it measured (a line of JSON, `Result`).
"""

import asyncio
import json
import re
import ssl
import sys
import time
from typing import TypedDict

_SENT = re.compile(rb'"sent_ns":(\d+)\}\n\n')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
HOST = "api.openai.invalid"
"""Whom the calls are addressed to: a name that leads nowhere (RFC 6761, 6.4), whatever goes wrong in a proxy."""
WARM_UP = "load-8-0"


class Job(TypedDict):
    """What to do. Ports are on 127.0.0.1; `proxy` 0 is none. `calls` is for each of `connections`.

    The calls of a connection take the `models` in turn. The connections begin one after the other, spread over `spread`
    milliseconds, so that their events do not all come at once.
    """

    proxy: int
    backend: int
    ca: str
    models: list[str]
    connections: int
    calls: int
    request_size: int
    spread: float


class Result(TypedDict):
    """What came. Times in nanoseconds. `limited`: how long each 429 took; `complete`: answers with all their events."""

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
        self._calls = [Call(model, job["request_size"]) for model in job["models"]]

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
        await self._make(Call(WARM_UP, self._job["request_size"]))

    async def calls(self, count: int, delay: float) -> None:
        """Makes `count` calls, one after the other, from `delay` seconds on."""
        await asyncio.sleep(delay)
        for number in range(count):
            await self._make(self._calls[number % len(self._calls)])

    def close(self) -> None:
        """Hangs up."""
        self._writer.close()

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
        self._result["first"].append(first - asked)
        self._result["delays"] += delays
        if ended and completed and len(delays) == call.events and not text:
            self._result["complete"] += 1
        else:
            self._result["wrong"].append(f"{len(delays)} of {call.events} events, then {text[:200]!r}")


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

    def __init__(self, model: str, size: int) -> None:
        body = request_body(model, size)
        head = (
            f"POST /v1/responses HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer sk-load\r\nAccept: */*\r\n"
            f"User-Agent: load/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request = head.encode() + body
        self.events = int(model.split("-")[1])


def request_body(model: str, size: int) -> bytes:
    """A call as an agent makes it: instructions, a few tools, and input items of about `size` bytes in sum."""
    text = "The quick brown fox jumps over the lazy dog. "
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    tools = [
        {"type": "function", "name": f"tool_{n}", "description": text, "strict": False, "parameters": schema}
        for n in range(8)
    ]
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text * 10}]}
    body = {"model": model, "stream": True, "instructions": text * 20, "tools": tools, "input": [item]}
    missing = size - len(json.dumps(body))
    body["input"] = [item] * (1 + max(0, missing // len(json.dumps(item))))
    return json.dumps(body).encode()


async def main() -> None:
    """Does the job."""
    job: Job = json.loads(sys.stdin.readline())
    result: Result = {"first": [], "delays": [], "limited": [], "complete": 0, "wrong": [], "seconds": 0.0}
    connections = [Connection(job, result) for _ in range(job["connections"])]
    for connection in connections:
        await connection.open()
    await asyncio.gather(*[connection.warm_up() for connection in connections])
    result |= {"first": [], "delays": [], "complete": 0}
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

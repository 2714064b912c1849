"""Plays a performance on the wire, keeps the journal while it does, and sees at once when the peer hangs up."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from understudy.sandbox.connection import WIRE, Wire
from understudy.sandbox.journal import Entry, Journal, Record, Sent
from understudy.sandbox.performance import Ending, Pairs, Performance


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request being answered; an ASGI application that plays `performance`."""

    performance: Performance
    journal: Journal
    record: Record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Plays until the end or until the peer hangs up, whatever comes first."""
        wire: Wire = scope[WIRE]
        playing = start_task(self._play(wire, send))
        leaving = start_task(_left(receive))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not wire.whole:
                self._note_end("cancelled", cancelled_at=time.monotonic())
                return
            await playing
        finally:
            await stop_task(playing)
            await stop_task(leaving)
            if self.record.entry.finished_at is None:
                self._note_end("failed")

    def _note(self, **changes: Any) -> None:
        self.journal.note(self.record, replace(self.record.entry, **changes))

    def _note_end(self, ending: str, **changes: Any) -> None:
        """To be called before the last bytes leave: whoever has the whole answer finds its end in the journal."""
        if ending == Ending.FINISHED.value:
            said = self.performance
            changes |= {"input_tokens": said.input_tokens, "cached_tokens": said.cached_tokens}
        self._note(ending=ending, finished_at=time.monotonic(), **changes)

    async def _play(self, wire: Wire, send: Send) -> None:
        performance = self.performance
        await asyncio.sleep(performance.wait)
        if performance.status is not None:
            self._note(status=performance.status, answered_at=time.monotonic())
            await send(_start(performance.status, performance.headers))
            await self._play_pieces(send)
        if performance.linger:
            await wire.drain()
            await asyncio.sleep(performance.linger)
        await self._end(wire, send)

    async def _play_pieces(self, send: Send) -> None:
        performance = self.performance
        final = len(performance.pieces) - 1 if performance.ends_with_its_last_piece else None
        for index, piece in enumerate(performance.pieces):
            if index == performance.pause_at:
                await asyncio.sleep(performance.pause)
            elif index:
                # Also with no delay: other requests, and the peer's hanging up, get their turn.
                await asyncio.sleep(performance.delay)
            self.journal.note_sent(self.record, Sent(piece.type, time.monotonic(), len(piece.data)))
            if index == final:
                self._note_end(Ending.FINISHED.value)
            await send({"type": "http.response.body", "body": piece.data, "more_body": index != final})
        if performance.pause_at == len(performance.pieces):
            await asyncio.sleep(performance.pause)

    async def _end(self, wire: Wire, send: Send) -> None:
        if self.record.entry.ending:
            return
        ending = settled(self.performance.ending, wire)
        self._note_end(ending.value)
        if ending is Ending.FINISHED:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await tear(wire, ending)


def settled(ending: Ending, wire: Wire) -> Ending:
    """The ending that an answer has on this connection."""
    if ending is Ending.BROKEN:
        return Ending.STREAM if wire.multiplexed else Ending.RST
    return ending


async def tear(wire: Wire, ending: Ending) -> None:
    """Ends an answer in the middle, otherwise than in good order."""
    match ending:
        case Ending.RST:
            wire.reset_connection()
        case Ending.FIN:
            wire.close_connection()
        case Ending.STREAM:
            await wire.reset_stream()


def encoded(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """Header fields as ASGI has them, with a date if they have none."""
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"date" for name, _ in fields):
        fields.append((b"date", formatdate(time.time(), usegmt=True).encode()))
    return fields


def _start(status: int, headers: Pairs) -> Message:
    return {"type": "http.response.start", "status": status, "headers": encoded(headers)}


async def _left(receive: Receive) -> None:
    """Returns when the peer has hung up; before that, reads what is left of the request."""
    while (await receive())["type"] != "http.disconnect":
        pass


def start_task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose reference the caller keeps."""
    return asyncio.get_running_loop().create_task(work)


async def stop_task(task: asyncio.Task[None]) -> None:
    """Cancels a task, and returns when it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def opened(scope: Scope, number: int) -> Entry:
    """The journal entry of a request, or of a WebSocket, that has just come in. Times: the machine's clocks."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Entry(
        number=number,
        time=time.time(),
        at=time.monotonic(),
        method=scope.get("method", "GET"),
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        http_version=scope["http_version"],
        peer=scope["client"][1],
        headers=tuple((n, "<authorization>") if n.lower() in _SECRET_FIELDS else (n, v) for n, v in pairs),
    )


_SECRET_FIELDS = ("authorization", "cookie", "proxy-authorization")

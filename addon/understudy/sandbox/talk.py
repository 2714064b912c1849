"""One open WebSocket: its messages, answered one after another, each with a journal entry, until its life is over."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Send

from understudy.sandbox.caller import Caller
from understudy.sandbox.chain import BUSY, EXPIRED, Link, read_create
from understudy.sandbox.connection import Wire
from understudy.sandbox.exchange import settled, start_task, stop_task, tear
from understudy.sandbox.frames import Reel, error_frame
from understudy.sandbox.journal import Journal, Record, Sent
from understudy.sandbox.performance import Ending, Performance
from understudy.sandbox.replies import Reply
from understudy.sandbox.stream import Event

NORMAL, INTERNAL_ERROR = 1000, 1011
"""Close codes (RFC 6455, 7.4.1)."""
FAREWELL = 1.0
"""Seconds that the peer has for its own close frame."""


class Talk:
    """The connection as it stands."""

    def __init__(self, caller: Caller, handshake: Record, journal: Journal, wire: Wire, send: Send) -> None:
        self._caller = caller
        self._handshake = handshake
        self._journal = journal
        self._wire = wire
        self._send = send
        self._inbox: asyncio.Queue[Record] = asyncio.Queue()
        self._busy = False
        """From a message's arrival until the last frame of its answer leaves."""
        self._newest: Link | None = None

    async def run(self, receive: Receive, life: float) -> None:
        """Answers until one of the two leaves, or `life` seconds are over."""
        listening = start_task(self._listen(receive))
        working = start_task(self._work(time.monotonic() + life))
        try:
            await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
                await asyncio.wait((listening,), timeout=FAREWELL)
        finally:
            await stop_task(listening)
            await stop_task(working)
            self._note(self._handshake, ending="finished", finished_at=time.monotonic())

    async def _listen(self, receive: Receive) -> None:
        """Returns when the peer has left. What comes in the middle of an answer is refused."""
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] != "websocket.receive":
                continue
            record = self._open(message.get("text") or "")
            if self._busy:
                await self._decline(record, self._caller.decline(BUSY))
            else:
                self._busy = True
                self._inbox.put_nowait(record)

    async def _work(self, until: float) -> None:
        """Returns when the connection has been ended from here."""
        while True:
            try:
                record = await asyncio.wait_for(self._inbox.get(), until - time.monotonic())
            except TimeoutError:
                await self._tell(error_frame(self._caller.decline(EXPIRED)))
                await self._close(NORMAL)
                return
            try:
                going_on = await self._answer(record)
            except asyncio.CancelledError:
                now = time.monotonic()
                self._note(record, ending="cancelled", cancelled_at=now, finished_at=now)
                raise
            if not going_on:
                return

    async def _answer(self, record: Record) -> bool:
        """Whether the connection goes on after the answer to this message."""
        create = read_create(record.entry.body, self._newest)
        if isinstance(create, Reply):
            return await self._play(self._caller.decline(create), record, ())
        # Also where this one fails: what it followed from is forgotten then.
        self._newest = None
        refused = self._caller.refusal(create.call, lite=create.lite)
        if refused is not None:
            return await self._play(self._caller.decline(refused), record, ())
        return await self._play(self._caller.perform(create.call, record), record, create.call.items)

    async def _play(self, performance: Performance, record: Record, items: Sequence[object]) -> bool:
        await asyncio.sleep(performance.wait)
        if performance.status not in (None, 200):
            self._busy = False
            return await self._decline(record, performance)
        reel = Reel()
        if performance.status is not None:
            self._note(record, status=performance.status, answered_at=time.monotonic())
            await self._play_pieces(performance, record, reel)
        if reel.kept:
            self._newest = Link(record.entry.response_id, [*items, *reel.items])
        await asyncio.sleep(performance.linger)
        return reel.ended or await self._break_off(performance, record)

    async def _play_pieces(self, performance: Performance, record: Record, reel: Reel) -> None:
        for index, piece in enumerate((*performance.pieces, None)):
            if index == performance.pause_at:
                await asyncio.sleep(performance.pause)
            elif index:
                # Also with no delay: other requests, and the peer's hanging up, get their turn.
                await asyncio.sleep(performance.delay)
            frame = reel.feed(piece) if piece is not None else None
            if frame is None:
                continue
            self._journal.note_sent(record, Sent(frame.type, time.monotonic(), len(frame.data)))
            if reel.ended:
                self._note_end(performance, record)
                self._busy = False
            await self._tell(frame)

    async def _break_off(self, performance: Performance, record: Record) -> bool:
        """Ends an answer that has no end, and the connection with it."""
        ending = settled(performance.ending, self._wire)
        self._note(record, ending=ending.value, finished_at=time.monotonic())
        if ending is Ending.FINISHED:
            await self._close(NORMAL)
        else:
            await tear(self._wire, ending)
        return False

    async def _decline(self, record: Record, performance: Performance) -> bool:
        """A refusal as an event; where it is none that could be one, the connection is closed."""
        frame, now = error_frame(performance), time.monotonic()
        self._note(record, status=performance.status, answered_at=now, finished_at=now, ending="finished")
        if frame is None:
            await self._close(INTERNAL_ERROR)
            return False
        self._journal.note_sent(record, Sent(frame.type, now, len(frame.data)))
        await self._tell(frame)
        return True

    async def _tell(self, frame: Event | None) -> None:
        if frame is not None:
            await self._send({"type": "websocket.send", "text": frame.data.decode()})

    async def _close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": ""})

    def _open(self, text: str) -> Record:
        """The entry of a message that has just come."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        model = body.get("model") if isinstance(body, dict) else None
        handshake, now = self._handshake.entry, time.monotonic()
        entry = replace(handshake, time=time.time(), at=now, method="WS", content=text.encode(), body=body, step="")
        entry = replace(entry, model=str(model or ""), status=None, answered_at=None, response_id="")
        return self._journal.open(lambda number: replace(entry, number=number, socket=handshake.number))

    def _note(self, record: Record, **changes: Any) -> None:
        self._journal.note(record, replace(record.entry, **changes))

    def _note_end(self, performance: Performance, record: Record) -> None:
        """To be called before the last frame leaves: whoever has it finds the answer's end in the journal."""
        tokens = {"input_tokens": performance.input_tokens, "cached_tokens": performance.cached_tokens}
        self._note(record, ending="finished", finished_at=time.monotonic(), **tokens)

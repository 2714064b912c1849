"""The Responses endpoints over WebSocket: who is let in, and with which words others are not."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from understudy.sandbox.caller import Door
from understudy.sandbox.connection import WIRE
from understudy.sandbox.exchange import encoded, settled, tear
from understudy.sandbox.intake import RECORD
from understudy.sandbox.journal import Journal, Record
from understudy.sandbox.performance import Performance, complete
from understudy.sandbox.replies import detail
from understudy.sandbox.talk import Talk

NO_SOCKETS = complete(detail(426, "Upgrade Required"))
"""RFC 9110, 15.5.22: clients fall back to plain HTTP."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """An ASGI application for WebSockets. `doors`: the endpoints by path; `life`: seconds that a connection has."""

    doors: Mapping[str, Door]
    journal: Journal
    life: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the handshake, and then every message."""
        record: Record = scope[RECORD]
        door = self.doors.get(scope["path"])
        caller = NO_SOCKETS if door is None else door.admit(HTTPConnection(scope))
        if isinstance(caller, Performance):
            await self._greet(caller, scope, record, send)
            return
        if await self._greet(caller.greet(record), scope, record, send):
            await Talk(caller, record, self.journal, scope[WIRE], send).run(receive, self.life)

    async def _greet(self, performance: Performance, scope: Scope, record: Record, send: Send) -> bool:
        """Whether the handshake is accepted."""
        await asyncio.sleep(performance.wait)
        accepted = performance.status == 200
        status, now = 101 if accepted else performance.status, time.monotonic()
        ending = settled(performance.ending, scope[WIRE])
        entry = replace(record.entry, status=status, answered_at=now)
        self.journal.note(record, entry if accepted else replace(entry, ending=ending.value, finished_at=now))
        if performance.status is None:
            await tear(scope[WIRE], ending)
        elif accepted:
            await send({"type": "websocket.accept", "headers": encoded(performance.headers)})
        else:
            await _refuse(performance, send)
        return accepted


async def _refuse(performance: Performance, send: Send) -> None:
    """Plain HTTP, by the ASGI WebSocket denial extension."""
    headers = encoded(performance.headers)
    await send({"type": "websocket.http.response.start", "status": performance.status, "headers": headers})
    body = b"".join(piece.data for piece in performance.pieces)
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})

"""An answer that is made in the background: the Responses object it is so far, and the events of it so far."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from operator import itemgetter

from understudy.wire.answer import Answer, Collector, Stage, blank_response, error_of, stage
from understudy.wire.jsontext import dump_object, loads, members
from understudy.wire.relay import is_event_stream
from understudy.wire.reply import Headers
from understudy.wire.response import error_in
from understudy.wire.sse import Decoder, Event

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes of events that are kept for those who follow: the newest, and the last one however large it is."""
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_ENDS = {Stage.COMPLETED: "completed", Stage.INCOMPLETE: "incomplete", Stage.FAILED: "failed"}


class BackgroundAnswer:
    """Hears an answer, and tells it under an id that was known before it began."""

    def __init__(
        self, id: str, model: str, created_at: int, restate: Callable[[str], str], *, streams: bool = True
    ) -> None:
        """`created_at`: epoch seconds. `restate`: says in the Responses object (JSON text) what the host has asked for
        and the backend knows nothing of. `streams`: whether its events are kept, so that it can be followed.
        """
        self.id = id
        self._restate = restate
        self._streams = streams
        self.status = "queued"
        """queued, in_progress, completed, incomplete, failed or cancelled."""
        self._response = restate(json.dumps(blank_response(id, "queued", model=model, created_at=created_at)))
        self._log: list[tuple[int, bytes]] = []
        self._log_size = 0
        self._last = self._gone = -1
        """The sequence numbers of the newest event, and of the newest that is not kept any more."""
        self._decoder = Decoder()
        self._collector = Collector()
        self._refused: bytearray | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.status not in ("queued", "in_progress")

    @property
    def response(self) -> str:
        """The Responses object, as far as it has come, as JSON text."""
        return self._response

    @property
    def size(self) -> int:
        """Bytes, about, that are kept of it."""
        return self._log_size + len(self._response)

    def tells_all_after(self, number: int) -> bool:
        """Whether every event after this sequence number is still there, and those to come will be."""
        return self._streams and max(number, -1) >= self._gone

    def since(self, number: int) -> tuple[bytes, int]:
        """The events after this sequence number, and the number of the last."""
        at = bisect_right(self._log, number, key=itemgetter(0))
        return b"".join(told for _, told in self._log[at:]), self._log[-1][0] if self._log else number

    def take(self) -> Answer | None:
        """The answer, if it has come to an end of which something is left. Once: what it was made of is let go."""
        collector, self._collector = self._collector, Collector()
        try:
            return Answer(self._response, collector.answer().output)
        except ValueError:
            return None

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        if not is_event_stream(status, headers):
            self._refused = bytearray()

    def data(self, data: bytes) -> None:
        """More of it."""
        if self._refused is not None:
            self._refused += data
            return
        try:
            for heard in self._decoder.feed(data):
                self._hear(heard)
        except ValueError:
            self.fail("server_error", "The answer could not be read.")

    def end(self) -> None:
        """There is no more of it."""
        if self._refused is not None:
            error = error_in(bytes(self._refused))
            self.fail(error.code or error.type or "server_error", error.message or "The request was refused.")
        elif not self.ended:
            self.fail("server_error", "The answer broke off.")

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if not self.ended:
            self.status = "cancelled"
            self._changes(status='"cancelled"')

    def fail(self, code: str, message: str) -> None:
        """It ends here, with an error of ours."""
        if self.ended:
            return
        self.status = "failed"
        self._changes(status='"failed"', error=json.dumps({"code": code, "message": message}))
        number = self._last + 1
        raws = {"type": '"response.failed"', "sequence_number": str(number), "response": self._response}
        self._tell("response.failed", raws, number)

    def _hear(self, heard: Event) -> None:
        reached = stage(heard.type)
        if reached is Stage.VENDOR or self.ended:
            return
        if reached is Stage.OUTPUT:
            self._collector.add(heard)
            self._keep(heard.raw, self._number(heard))
            return
        given = members(heard.data)
        if "response" not in given or not isinstance(given["response"].value, dict):
            self.fail(error_of(heard).code or "server_error", error_of(heard).message)
            return
        status = _ENDS.get(reached, "in_progress")
        response = self._response_of(given["response"].raw, status)
        if reached in _ENDS:
            # What is too large to be collected fails here, while that can still be told.
            self._collector.add(Event(heard.type, dump_object({"response": response}).encode(), b""))
        self._response, self.status = response, status
        raws = {name: part.raw for name, part in given.items()} | {"response": response}
        self._tell(heard.type, raws, self._number(heard))

    def _response_of(self, raw: str, status: str) -> str:
        """The backend's object, under our id."""
        raws = {name: part.raw for name, part in members(raw).items()}
        raws |= {"id": json.dumps(self.id), "status": json.dumps(status)}
        if status == "completed" and not loads(raws.get("output", "[]")):
            raws["output"] = "[" + ",".join(self._collector.items) + "]"
        return self._restate(dump_object(raws))

    def _changes(self, **raws: str) -> None:
        self._response = dump_object({name: part.raw for name, part in members(self._response).items()} | raws)

    def _number(self, heard: Event) -> int:
        found = _SEQUENCE_NUMBER.search(heard.data[:200]) or _SEQUENCE_NUMBER.search(heard.data[-200:])
        return max(self._last + 1, int(found[1])) if found else self._last + 1

    def _tell(self, type: str, raws: dict[str, str], number: int) -> None:
        self._keep(f"event: {type}\ndata: {dump_object(raws)}\n\n".encode(), number)

    def _keep(self, told: bytes, number: int) -> None:
        """Those who follow hear every event as it comes; those who come late, the newest."""
        self._last = number
        if not self._streams:
            return
        self._log.append((number, told))
        self._log_size += len(told)
        gone = 0
        while self._log_size > LOG_LIMIT and gone < len(self._log) - 1:
            self._gone, old = self._log[gone]
            self._log_size -= len(old)
            gone += 1
        del self._log[:gone]

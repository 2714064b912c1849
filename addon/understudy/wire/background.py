"""An answer that is made in the background: the Responses object it is so far, and the events of it so far."""

import json
import re
from bisect import bisect_right

from understudy.wire.answer import Answer, Collector, Stage, blank_response, error_of, failed_event, stage
from understudy.wire.jsontext import dump_object, loads, members
from understudy.wire.relay import is_event_stream
from understudy.wire.reply import Headers
from understudy.wire.response import error_in
from understudy.wire.sse import Decoder, Event

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes of events that are kept for those who follow."""
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_ENDS = {Stage.COMPLETED: "completed", Stage.INCOMPLETE: "incomplete", Stage.FAILED: "failed"}


class BackgroundAnswer:
    """Hears an answer, and tells it under an id that was known before it began."""

    def __init__(self, id: str, model: str, created_at: int) -> None:
        self.id = id
        self.status = "queued"
        """queued, in_progress, completed, incomplete, failed or cancelled."""
        self._response = json.dumps(blank_response(id, "queued", model=model, created_at=created_at, background=True))
        self._log: list[bytes] = []
        self._numbers: list[int] = []
        self._size = 0
        self._decoder = Decoder()
        self._collector = Collector()
        self._refused: bytearray | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.status not in ("queued", "in_progress")

    @property
    def response(self) -> bytes:
        """The Responses object, as far as it has come."""
        return self._response.encode()

    @property
    def whole(self) -> bool:
        """Whether every event is still there: too many are not kept."""
        return self._size <= LOG_LIMIT

    def since(self, number: int) -> tuple[bytes, int]:
        """The events after this sequence number, and the number of the last."""
        at = bisect_right(self._numbers, number)
        return b"".join(self._log[at:]), self._numbers[-1] if self._numbers else number

    def answer(self) -> Answer | None:
        """The answer, if it has come to an end of which something is left."""
        try:
            found = self._collector.answer()
        except ValueError:
            return None
        return Answer(self._response, found.output)

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
            self._becomes("cancelled")

    def fail(self, code: str, message: str) -> None:
        """It ends here, with an error of ours."""
        if self.ended:
            return
        self._becomes("failed", error=json.dumps({"code": code, "message": message}))
        number = self._numbers[-1] + 1 if self._numbers else 0
        self._keep(failed_event(message, code, response_id=self.id, sequence_number=number), number)

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
        if self._response_of(given["response"].raw, _ENDS.get(reached, "in_progress")):
            self._collector.add(Event(heard.type, dump_object({"response": self._response}).encode(), b""))
        raws = {name: part.raw for name, part in given.items()} | {"response": self._response}
        told = f"event: {heard.type}\ndata: {dump_object(raws)}\n\n".encode()
        self._keep(told, self._number(heard))

    def _response_of(self, raw: str, status: str) -> bool:
        """Takes over the backend's object, under our id. Whether it is the last."""
        raws = {name: part.raw for name, part in members(raw).items()}
        raws |= {"id": json.dumps(self.id), "background": "true", "status": json.dumps(status)}
        if status == "completed" and not loads(raws.get("output", "[]")):
            raws["output"] = "[" + ",".join(self._collector.items) + "]"
        self._response, self.status = dump_object(raws), status
        return self.ended

    def _becomes(self, status: str, **raws: str) -> None:
        self.status = status
        given = {name: part.raw for name, part in members(self._response).items()}
        self._response = dump_object(given | {"status": json.dumps(status)} | raws)

    def _number(self, heard: Event) -> int:
        found = _SEQUENCE_NUMBER.search(heard.data[:200]) or _SEQUENCE_NUMBER.search(heard.data[-200:])
        least = self._numbers[-1] + 1 if self._numbers else 0
        return max(least, int(found[1])) if found else least

    def _keep(self, told: bytes, number: int) -> None:
        self._size += len(told)
        if self.whole:
            self._log.append(told)
            self._numbers.append(number)
        else:
            self._log, self._numbers = [], []

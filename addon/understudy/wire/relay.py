"""One streamed answer on its way to the host: held until it shows real output, then passed on as it comes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter

from understudy.wire.answer import ITEM_DONE, Answer, Collector, Stage, error_of, failed_event, stage
from understudy.wire.coding import StreamDecoder
from understudy.wire.errors import CODEX_ERRORS, ErrorMap
from understudy.wire.jsontext import dump_object, members
from understudy.wire.outcome import from_failure
from understudy.wire.quota import Snapshot, from_event
from understudy.wire.reply import Headers, Reply, header
from understudy.wire.response import translate_error
from understudy.wire.sse import Decoder, Event
from understudy.wire.voice import Voice

HOLD_LIMIT = 64 * 1024
"""Bytes of a held answer past which it is committed all the same; what it echoes of the request comes on top."""
ECHOES = 3
"""How often an answer may repeat its request before any output: `response.created` and `in_progress` do, once each."""
LARGEST_HOLD = 4 * 1024 * 1024

EVENT_STREAM = "text/event-stream"

_PLAIN_OUTPUT = re.compile(
    rb"(?:event: response\.(?!(?:completed|incomplete|failed)\n)[a-z_.]++\ndata: [^\r\n]*+\n\n)++"
)
_PLAIN_WORDS = re.compile(_PLAIN_OUTPUT.pattern.replace(b"failed", b"failed|output_item\\.done"))
"""The same without the items that an answer is made of."""
_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n")
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]{1,128})"')
_WITH_RESPONSE = (Stage.LIFECYCLE, Stage.COMPLETED, Stage.INCOMPLETE)
_QUOTA_EVENT = "codex.rate_limits"


def is_event_stream(status: int, headers: Headers) -> bool:
    """Whether an answer is the stream that was asked for. A 200 that names no content type counts as one."""
    content_type = header(headers, "content-type") or EVENT_STREAM
    return status == 200 and content_type.partition(";")[0].strip().lower() == EVENT_STREAM


def content_coding(headers: Headers) -> str | None:
    """The content codings of an answer, in the order in which they were applied (RFC 9110, 8.4), or None."""
    return ", ".join(value for name, value in headers if name.lower() == "content-encoding") or None


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How an answer is passed on."""

    stream: bool = False
    """The host asked for one."""
    vendor_events: bool = False
    """It understands `codex.*` events."""
    record: int = 0
    """Bytes to keep."""
    request_size: int = 0
    """Bytes of the upstream request, which the answer's first events may echo."""
    errors: ErrorMap = CODEX_ERRORS
    """What the failures of this backend mean."""
    voice: Callable[[], Voice] | None = None
    """Makes the voice that tells the answer, to a host that speaks another dialect."""
    keep: bool = False
    """Whether the answer is kept whole, beside what of it goes to the host."""
    restate: Callable[[str], str] | None = None
    """Says in the Responses object (JSON text) what the host has asked for and the backend knows nothing of."""
    retell: Callable[[Event], bytes] = attrgetter("raw")
    """How the backend's event of the quota is told."""

    @property
    def hold_limit(self) -> int:
        """Bytes that may be held."""
        return min(HOLD_LIMIT + ECHOES * self.request_size, LARGEST_HOLD)


class Relay:
    """Takes the body of a 200 as it arrives and says what of it goes to the host.

    While held, `feed` gives nothing out; `failure` is then set when the answer turns out to be a failure in disguise.
    A host that did not ask for a stream gets no byte before the end: `collected()` is its whole answer.
    """

    def __init__(self, options: RelayOptions, content_encoding: str | None) -> None:
        self._options = options
        self._coding = StreamDecoder(content_encoding) if content_encoding else None
        self._events = Decoder()
        self._voice = options.voice() if options.voice else None
        self._collector = Collector() if options.keep or not options.stream else None
        self._plain = _PLAIN_WORDS if options.keep else _PLAIN_OUTPUT
        self._held: list[bytes] = []
        self._held_size = 0
        self._record = bytearray()
        self._last = b""
        self._response_id = ""
        self.committed = False
        self.shown_output = False
        """Whether real output has come: from then on the backend may think for longer between two events."""
        self.terminal: Stage | None = None
        """COMPLETED, INCOMPLETE or FAILED once the answer has come to its own end."""
        self.terminal_event: Event | None = None
        self.failure: Event | None = None
        """The `response.failed` or `error` event that came before any output."""
        self.snapshots: list[Snapshot] = []
        self.size = 0
        """Bytes given out to the host."""

    @property
    def overdue(self) -> bool:
        """Whether more is held than may be: a host that waits for a stream should not wait for that."""
        return self._options.stream and self._held_size > self._options.hold_limit

    @property
    def recorded(self) -> bytes:
        """The beginning of what the host got, or of what is held; at most `record` bytes."""
        held = b"" if self.committed else b"".join(self._held)
        failed = self.failure.raw if self.failure else b""
        return bytes(self._record) + (held + failed)[: self._options.record]

    def feed(self, data: bytes, now: float) -> bytes:
        """Takes a chunk of the body; gives what the host gets of it. `now`: epoch seconds.

        Raises ValueError where the body does not decode or one event outgrows its bound.
        """
        if self._coding is not None:
            data = self._coding.feed(data)
        elif self._untold and not self._events.pending and self._plain.fullmatch(data):
            # Nearly every chunk of a stream: whole events, none of which says anything to us.
            self._last = data
            return self._out(data)
        return self._pass(self._events.feed(data), now)

    @property
    def _untold(self) -> bool:
        """Whether output goes to the host as it comes, byte for byte."""
        return self.shown_output and self._options.stream and self._voice is None

    def finish(self, now: float) -> bytes:
        """The upstream has ended the body in order; gives what was still on its way.

        A last event without its blank line is given one: parsers leave out an event that nothing ends.
        """
        rest = self._events.feed(self._coding.flush()) if self._coding else []
        return self._pass([*rest, *map(_ended, self._events.flush())], now)

    def commit(self) -> bytes:
        """From here on nothing is replayed. Gives what was held."""
        return self._out(self._release())

    def cut(self, message: str) -> bytes:
        """The answer broke off: gives the `response.failed` event that tells the host so."""
        last = _SEQUENCE_NUMBER.findall(self._last)
        number = int(last[-1]) + 1 if last else 0
        self.terminal = Stage.FAILED
        if self._voice is not None:
            return self._out(self._voice.error(message, "server_error", "server_error"))
        return self._out(failed_event(message, "server_error", response_id=self._response_id, sequence_number=number))

    def collected(self, now: float) -> Reply:
        """The whole answer of a host that asked for no stream: a Responses JSON object, or the error it ended in.

        `now`: epoch seconds. Raises ValueError where it has not ended, or asked for a stream.
        """
        if self._collector is None:
            raise ValueError("the host asked for a stream")
        if self.terminal is Stage.FAILED and self.terminal_event is not None:
            return _failure_reply(self.terminal_event, now, self._options.errors)
        response = self._collector.result()
        told = self._voice.whole(response) if self._voice is not None else response
        return Reply(200, (("content-type", "application/json"),), told)

    def kept(self) -> Answer | None:
        """The whole answer, where it was to be kept and has come to an end of which something is left."""
        if not self._options.keep or self._collector is None:
            return None
        try:
            return self._collector.answer()
        except ValueError:
            return None

    def _pass(self, events: list[Event], now: float) -> bytes:
        out: list[bytes] = []
        for event in events:
            reached = stage(event.type)
            if reached is Stage.OUTPUT and self._untold and event.type != ITEM_DONE:
                self._last = event.raw
                out.append(event.raw)
            elif self.failure is None:
                out.append(self._look_at(event, reached, now))
        return self._out(b"".join(out))

    def _look_at(self, event: Event, reached: Stage, now: float) -> bytes:
        """The way of every event but the plain output of a committed stream."""
        if reached is Stage.VENDOR:
            self._learn(event, now)
            return self._hold(self._of_the_vendor(event)) if self._options.vendor_events else b""
        if self._options.restate is not None and reached in _WITH_RESPONSE:
            event = _restated(event, self._options.restate)
        self._last = event.raw
        if reached is Stage.LIFECYCLE and not self._response_id and (found := _RESPONSE_ID.search(event.data)):
            self._response_id = found[1].decode()
        if reached is Stage.FAILED and not self.committed:
            self.failure = event
            return b""
        if reached in (Stage.COMPLETED, Stage.INCOMPLETE, Stage.FAILED):
            self.terminal, self.terminal_event = reached, event
        self._collect(event)
        if reached is Stage.LIFECYCLE:
            return self._hold(self._told(event))
        self.shown_output = True
        return self._release() + self._told(event)

    def refusal(self, now: float) -> Reply:
        """The early failure as an answer of its own. `now`: epoch seconds."""
        event = self.failure
        self.accept_failure()
        assert event is not None
        return _failure_reply(event, now, self._options.errors)

    def accept_failure(self) -> bytes:
        """The early failure is not ours to replay: it goes to the host as the answer's own end."""
        event, self.failure = self.failure, None
        if event is None:
            return b""
        self.terminal, self.terminal_event = Stage.FAILED, event
        return self._out(self._release() + self._told(event))

    def _told(self, event: Event) -> bytes:
        """What a host that streams hears of an event."""
        return self._voice.tell(event) if self._voice is not None and self._options.stream else event.raw

    def _of_the_vendor(self, event: Event) -> bytes:
        return self._options.retell(event) if event.type == _QUOTA_EVENT else event.raw

    def _collect(self, event: Event) -> None:
        if self._collector is None:
            return
        try:
            self._collector.add(event)
        except ValueError:
            if not self._options.stream:
                raise
            self._collector = None  # The host gets its answer all the same; it is not kept.

    def _release(self) -> bytes:
        self.committed = True
        held, self._held = b"".join(self._held), []
        self._held_size = 0
        return held

    def _hold(self, told: bytes) -> bytes:
        if self.committed:
            return told
        self._held.append(told)
        self._held_size += len(told)
        return b""

    def _learn(self, event: Event, now: float) -> None:
        if event.type != _QUOTA_EVENT:
            return
        try:
            snapshot = from_event(json.loads(event.data), now)
        except (ValueError, RecursionError):
            return
        if snapshot is not None:
            self.snapshots.append(snapshot)

    def _out(self, data: bytes) -> bytes:
        if not self._options.stream:
            return b""
        self.size += len(data)
        room = self._options.record - len(self._record)
        if room > 0:
            self._record += data[:room]
        return data


def _restated(event: Event, restate: Callable[[str], str]) -> Event:
    """An event with its Responses object put otherwise; as it came where it has none."""
    try:
        given = members(event.data)
        raws = {name: part.raw for name, part in given.items()} | {"response": restate(given["response"].raw)}
    except (ValueError, KeyError):
        return event
    data = dump_object(raws).encode()
    return Event(event.type, data, b"event: %s\ndata: %s\n\n" % (event.type.encode(), data))


def _ended(event: Event) -> Event:
    return event if event.raw.endswith(_BLANK_LINES) else replace(event, raw=event.raw + b"\n\n")


def _failure_reply(event: Event, now: float, errors: ErrorMap) -> Reply:
    """A `response.failed` or `error` event as an error answer: for hosts that asked for no stream."""
    outcome = from_failure(event, (), now, errors)
    if outcome is not None and outcome.reply is not None:
        return outcome.reply
    error = {"message": "The request was refused.", "type": "invalid_request_error", "param": None}
    return translate_error(400, (), json.dumps({"error": error | error_of(event).body}).encode())

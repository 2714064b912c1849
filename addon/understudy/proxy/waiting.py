"""A request that waits until an account can serve it, and what its host hears meanwhile.

A host that asked for a stream is sent the head of its answer and, from then on, a sign of life now and then, until the
first event of an attempt that is committed. Signs are no output: the request may still be replayed. Only its last word
can then be nothing but an event.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpResponseHeadersHook, ResponseData, ResponseHeaders, SendHttp

from understudy.proxy.attempts import AttemptStream
from understudy.proxy.messages import header_fields
from understudy.proxy.timed import Steps
from understudy.proxy.turn import Turn
from understudy.wire.answer import failed_event, read_error
from understudy.wire.jsontext import loads
from understudy.wire.relay import EVENT_STREAM
from understudy.wire.reply import Headers, Reply
from understudy.wire.voice import Voice

KEEPALIVE = 15.0
"""Seconds without a byte after which a waiting host is sent a sign of life."""
OPENING: Headers = (("content-type", EVENT_STREAM), ("cache-control", "no-cache"))
COMMENT = b": keepalive\n\n"
EVENT = b'event: codex.keepalive\ndata: {"type":"codex.keepalive"}\n\n'
"""For Codex, whose idle timer is only set back by what it parses (PROTOCOL, 3.1)."""

_USAGE_LIMIT = "usage_limit_reached"
_OVERLOADS = frozenset({"server_is_overloaded", "slow_down"})
"""Codes that Codex does not try again after (PROTOCOL, 3.3)."""


@dataclass
class CodexCommittedHook(commands.StartHook):
    """An attempt is committed whose host has the head of its answer already: `responseheaders` has been for that."""

    turn: Turn


class WaitingStream(AttemptStream):
    """The wait between two decisions, and the answer of a host that was opened before there was one."""

    _waits_until = 0.0
    _head: http.Response | None = None
    """What the host was sent when its answer was opened."""
    _signs = 0

    def _wait(self, turn: Turn, seconds: float) -> Steps:
        self._waits_until = time.monotonic() + seconds
        self._wait_until(None, self._state_waiting)
        self.flow.response = self._head
        yield from self._wait_on(turn)

    def _wait_on(self, turn: Turn) -> Steps:
        """Opens the answer where it is time to; sleeps until there is something to do, and not for long at once:
        mitmproxy hangs up on hosts whose connection has seen no event for 10 minutes, wakeups included."""
        now = time.monotonic()
        opens_at = turn.arrived_at + KEEPALIVE
        if turn.relay_options.stream and not turn.opened and opens_at <= now and (yield from self._open(turn)):
            return
        self.deadline = min(self._waits_until, opens_at if opens_at > now else now + KEEPALIVE)

    def _state_waiting(self, event: events.Event) -> Steps:
        """No attempt is on its way, so there is nobody to hear from."""
        yield from ()

    def _overdue(self, now: float) -> Steps:
        turn = self._claimed()
        if now < self._waits_until:
            yield from self._wait_on(turn)
            return
        yield from self._look_again(turn)

    def _open(self, turn: Turn) -> Generator[Any, Any, bool]:
        """Sends the head of an answer that there is not yet, and the first sign. Whether the request was killed."""
        self.flow.response = http.Response(b"HTTP/1.1", 200, b"", header_fields(OPENING), None, None, time.time(), None)
        if (yield from self._send_head(turn)):
            return True
        self._head, turn.opened = self.flow.response, True
        yield SendHttp(ResponseData(self.stream_id, self.keep_alive()), self.context.client)
        return False

    def keep_alive(self) -> bytes:
        """The sign of life that is due; counts it as sent, and says when the next is due."""
        self._signs += 1
        self.keepalive_at = time.monotonic() + KEEPALIVE
        self._parent.to_arm = True
        return self._sign()

    def _sign(self) -> bytes:
        return EVENT if self._claimed().relay_options.vendor_events else COMMENT

    def _begin(self, turn: Turn) -> Generator[Any, Any, bool]:
        """Tells the host that its answer begins: with its head, if it has none. Whether the request was killed."""
        self.keepalive_at = None
        if not turn.opened:
            return (yield from self._send_head(turn))
        self.flow.response = self._head
        yield CodexCommittedHook(turn)
        return (yield from self.check_killed(True))

    def _send_head(self, turn: Turn) -> Generator[Any, Any, bool]:
        """Sends the head of a stream. Whether the request was killed first."""
        response = self.flow.response
        assert response is not None
        response.headers.setdefault("content-type", EVENT_STREAM)
        self._add_own_fields(turn)
        if response.http_version == "HTTP/1.0":
            response.http_version = "HTTP/1.1"
        if not self.flow.request.is_http2 and self.flow.request.http_version != "HTTP/1.0":
            response.headers["transfer-encoding"] = "chunked"
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return True
        assert self.flow.response is not None
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, end_stream=False), self.context.client)
        return False

    def _end_stream(self, turn: Turn, body: bytes) -> Steps:
        """Ends a streamed answer. The flow keeps what the host got: the signs and `body`, as far as it is recorded."""
        assert self.flow.response is not None
        self.flow.response.data.content = (self._signs * self._sign() + body)[: turn.relay_options.record]
        yield from self.send_response(already_streamed=True)

    def _answer(self, reply: Reply) -> Steps:
        turn = self.turn
        if turn is None or not turn.opened:
            yield from super()._answer(reply)
            return
        yield from self._abandon_attempt()
        self._sleep()
        self.flow.response = self._head
        event = as_event(reply, turn.relay_options.voice)
        yield SendHttp(ResponseData(self.stream_id, event), self.context.client)
        yield from self._end_stream(turn, event)


def as_event(reply: Reply, voice: Callable[[], Voice] | None = None) -> bytes:
    """A last word as the event that says the same, within a stream that has begun: `response.failed`, unless the host
    speaks another dialect.
    """
    try:
        value = loads(reply.body)
    except ValueError:
        value = None
    given = value.get("error") if isinstance(value, dict) else None
    error = read_error(given if isinstance(given, dict) else {})
    code = _USAGE_LIMIT if error.type == _USAGE_LIMIT else error.code or error.type
    if not code or code in _OVERLOADS:
        code = "server_error"
    message = error.message or f"The request was answered with status {reply.status}."
    if voice is not None:
        return voice().error(message, code, error.type or "server_error")
    return failed_event(message, code, response_id="", sequence_number=0)

"""A request's attempts: mitmproxy's HTTP stream, taught to send a claimed request upstream more than once.

This module, `stream` and `layer` hold the knowledge of mitmproxy's internals. What is not claimed goes mitmproxy's own
way. Every attempt has a stream id of its own, so that the upstream connection sees a new request, and what is left of
an abandoned one falls away by mitmproxy's rule for ids that it no longer knows.
"""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mitmproxy import flow as mitmproxy_flow
from mitmproxy.connection import Connection
from mitmproxy.net.http import status_codes
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpResponseHeadersHook,
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseProtocolError,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import HttpEvent

from understudy.proxy import refusals
from understudy.proxy.claim import Leave, Refuse, Verdict
from understudy.proxy.messages import place_of, response_of
from understudy.proxy.turn import Attempt, SealRefused, Sent, Turn, Turns
from understudy.wire import outcome as outcomes
from understudy.wire.outcome import Outcome
from understudy.wire.reply import Reply

logger = logging.getLogger(__name__)

Steps = Generator[Any, Any, None]
"""What a layer yields: commands; what it is sent: their replies."""

HEADERS_TIMEOUT = 60.0
"""Seconds of silence before the response headers that count as a reset."""
MAX_REQUEST = 64 * 1024 * 1024
"""Bytes of an encoded request body."""

# Error codes of protocol events are plain status codes on mitmproxy 11 and an enum on 12.
_ErrorCode: Any = getattr(http_layer, "ErrorCode", None)
_CANCEL: Any = _ErrorCode.CANCEL if _ErrorCode else status_codes.CLIENT_CLOSED_REQUEST
_KILL: Any = _ErrorCode.KILL if _ErrorCode else status_codes.NO_RESPONSE


@dataclass
class CodexAttemptEndedHook(commands.StartHook):
    """An attempt has ended with nothing delivered. The addon decides what is next, in `turn.next`."""

    turn: Turn


@dataclass
class DeadlineReached(HttpEvent):
    """The time that a stream asked to be woken at has come. Streams check it against their clock."""


class Parent(Protocol):
    """What a stream needs of its layer."""

    turns: Turns
    to_arm: bool
    """A deadline has changed, and the timer with it."""

    def register(self, stream: "AttemptStream") -> int:
        """A new stream id for an attempt of `stream`."""
        ...

    def unsend(self, attempt_id: int, connection: Connection) -> bool:
        """Takes back an attempt that was not sent yet. Whether there was something to take back."""
        ...


class AttemptStream(HttpStream):
    """One request of a host, from its claim through its attempts. What an answer is worth is a subclass's matter."""

    def __init__(self, ctx: context.Context, stream_id: int, parent: Parent) -> None:
        super().__init__(ctx, stream_id)
        self._parent = parent
        self._turns = parent.turns
        self._verdict: Verdict | None = None
        """On the names that the request came with, before any hook has seen it."""
        self._attempt_id: int | None = None
        self.turn: Turn | None = None
        self._deadline: float | None = None
        self.connecting: GetHttpConnection | None = None
        """The connection that this stream waits for; it hears nothing else until it has it, no deadline either."""

    # Events

    def _handle_event(self, event: events.Event) -> Steps:
        if self.turn is None:
            yield from super()._handle_event(event)
            return
        try:
            if isinstance(event, ResponseData):
                # Straight to where the base class would send it: this is the path of every event of a stream.
                yield from self.server_state(event)
            elif isinstance(event, DeadlineReached):
                yield from self._deadline_reached()
            else:
                yield from super()._handle_event(event)
        except Exception as error:
            # An exception that left here would leave the host hanging, without a word.
            logger.error("understudy: a claimed request was given up: %s", place_of(error))
            yield from self._give_up()

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Steps:
        """Lets the addon know, before its hook, that this flow is on a stream that can replay."""
        steps = super().state_wait_for_request_headers(event)
        reply = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            if isinstance(command, HttpRequestHeadersHook):
                self._turns.seat(self.flow, self._judged())
            reply = yield command
            if isinstance(command, HttpRequestHeadersHook):
                self.turn = self._turns.get(self.flow)

    def check_body_size(self, request: bool) -> Generator[Any, Any, bool]:
        """mitmproxy's options on body sizes hold for what is not ours; a claimed request has its own bound."""
        if isinstance(self._judged(), Leave):
            return (yield from super().check_body_size(request))
        if self.turn is None:
            self.request_body_buf.clear()  # It is refused: nobody reads its body.
        elif len(self.request_body_buf) > MAX_REQUEST:
            self.request_body_buf.clear()
            self.client_state = self.state_done
            yield from self._answer(refusals.too_large(MAX_REQUEST))
            return True
        return False

    def _judged(self) -> Verdict:
        if self._verdict is None:
            try:
                self._verdict = self._turns.judge(self.flow)
            except BaseException as error:
                logger.error("understudy: refused, as its names could not be read: %s", place_of(error))
                self._verdict = Refuse(refusals.undecided())
        return self._verdict

    def make_server_connection(self) -> Generator[Any, Any, bool]:
        """Where mitmproxy would connect and send, a claimed request makes its first attempt instead.

        What is ours by its names and was not claimed has no business here, whatever the hooks made of it.
        """
        if self.turn is not None:
            yield from self._follow(self.turn)
            return False
        if not isinstance(self._judged(), Leave):
            yield from self._answer(refusals.undecided())
            return False
        return (yield from super().make_server_connection())

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Steps:
        if self.turn is None:
            yield from super().handle_protocol_error(event)
        elif isinstance(event, RequestProtocolError):
            yield from self._host_hung_up(event)
        elif event.stream_id == self._attempt_id:
            yield from self._forget_attempt()
            yield from self._upstream_failed(event.message)

    # Attempts

    def _follow(self, turn: Turn) -> Steps:
        """Does what was decided: an attempt, now or later, or the last word."""
        decided, turn.next = turn.next, None
        match decided:
            case Attempt(delay=delay) if delay > 0:
                turn.next = replace(decided, delay=0.0)
                self._wait_until(time.monotonic() + delay, self._state_waiting)
            case Attempt():
                yield from self._send(turn, decided)
            case Reply():
                yield from self._answer(decided)
            case None:
                yield from self._answer(refusals.undecided())

    def _send(self, turn: Turn, attempt: Attempt) -> Steps:
        """Connects, seals the token in on a copy, and sends the attempt."""
        started_at = time.monotonic()
        turn.sent.append(Sent(attempt, started_at))
        turn.relay, turn.response_headers, self.flow.response = None, (), None
        provider = attempt.provider
        self.connecting = GetHttpConnection(
            (provider.host, provider.port), provider.scheme == "https", self.flow.server_conn.via, "tcp"
        )
        self.deadline = started_at + HEADERS_TIMEOUT
        connection, error = yield self.connecting
        self.connecting = self.deadline = None
        if (yield from self.check_killed(True)):
            return
        if error:
            yield from self._attempt_ended(outcomes.transport(f"no connection to the backend ({error})"))
            return
        self.context.server = self.flow.server_conn = connection
        try:
            sealed = attempt.seal(self.flow.request, connection)
        except SealRefused as refused:
            yield from self._answer(refusals.seal(str(refused)))
            return
        self._attempt_id = attempt_id = self._parent.register(self)
        body = sealed.raw_content or b""
        yield SendHttp(RequestHeaders(attempt_id, sealed, end_stream=False), connection)
        yield SendHttp(RequestData(attempt_id, body), connection)
        yield SendHttp(RequestEndOfMessage(attempt_id), connection)
        self._wait_until(started_at + HEADERS_TIMEOUT, self.state_wait_for_response_headers)

    def _attempt_ended(self, outcome: Outcome) -> Steps:
        """Nothing was delivered: the addon learns the outcome and decides."""
        turn = self._claimed()
        yield from self._abandon_attempt()
        self._wait_until(None, self._state_waiting)
        turn.sent[-1].outcome, turn.sent[-1].ended_at = outcome, time.monotonic()
        yield CodexAttemptEndedHook(turn)
        if (yield from self.check_killed(True)):
            return
        yield from self._follow(turn)

    def _forget_attempt(self) -> Steps:
        if self._attempt_id is not None:
            yield DropStream(self._attempt_id)
            self._attempt_id = None

    def _abandon_attempt(self) -> Steps:
        """Cancels an attempt whose body has not ended: resets the HTTP/2 stream, closes the HTTP/1.1 connection."""
        if self._attempt_id is not None:
            if not self._parent.unsend(self._attempt_id, self.context.server):
                yield SendHttp(RequestProtocolError(self._attempt_id, "cancelled", _CANCEL), self.context.server)
            yield from self._forget_attempt()

    def _state_waiting(self, event: events.Event) -> Steps:
        """Between attempts there is nobody to hear from."""
        yield from ()

    # Time

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which this stream wants to be woken."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._parent.to_arm = True

    def _wait_until(self, deadline: float | None, state: Any) -> None:
        self.server_state = state
        self.deadline = deadline

    def _deadline_reached(self) -> Steps:
        now = time.monotonic()
        if self.deadline is None or now < self.deadline:
            return
        self.deadline = None
        if self.server_state == self._state_waiting:
            yield from self._follow(self._claimed())
        else:
            yield from self._overdue(now)

    # Ends

    def _host_hung_up(self, event: RequestProtocolError) -> Steps:
        """Nobody waits for the answer any more: the upstream call is cancelled at once."""
        if self.client_state == self.state_errored or self.server_state == self.state_errored:
            yield DropStream(self.stream_id)
            return
        yield from self._abandon_attempt()
        self.client_state = self.server_state = self.state_errored
        self.deadline = None
        self.flow.error = mitmproxy_flow.Error(event.message)
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        yield DropStream(self.stream_id)

    def check_killed(self, emit_error_hook: bool) -> Generator[Any, Any, bool]:
        killed = yield from super().check_killed(emit_error_hook)
        if killed and self.turn is not None:
            self.deadline = None
            yield from self._abandon_attempt()
            yield DropStream(self.stream_id)
        return killed

    def _answer(self, reply: Reply) -> Steps:
        """The whole answer of the host at once: a reply of ours, or of the upstream, or a collected stream."""
        yield from self._abandon_attempt()
        self.deadline = None
        self.flow.response = response_of(reply)
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    def flow_done(self) -> Steps:
        if self.turn is None:
            yield from super().flow_done()
            return
        self.deadline = None
        # Streams are garbage that only the cycle collector finds: they should not hold on to what they carried.
        self.turn = None
        yield from super().flow_done()
        # What is still queued for this stream concerns nobody any more.
        self.client_state = self.server_state = self.state_errored

    def _give_up(self) -> Steps:
        """The last way out of a fault of ours: an error where the host has no answer yet, else the end of it."""
        yield from self._abandon_attempt()
        self.deadline = None
        if not self._delivering():
            self.client_state = self.state_done
            try:
                yield from self._answer(refusals.undecided())
                return
            except Exception as error:
                logger.error("understudy: not even a refusal could be given: %s", place_of(error))
        self.client_state = self.server_state = self.state_errored
        self.flow.error = mitmproxy_flow.Error("understudy gave up this request")
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        yield SendHttp(ResponseProtocolError(self.stream_id, "understudy gave up", _KILL), self.context.client)
        yield DropStream(self.stream_id)

    def _claimed(self) -> Turn:
        assert self.turn is not None
        return self.turn

    # What a subclass makes of an attempt's answer

    def _overdue(self, now: float) -> Steps:
        """The deadline of an attempt's state has come. `now`: monotonic seconds."""
        raise AssertionError("an attempt without an answer")

    def _upstream_failed(self, message: str) -> Steps:
        """The attempt's connection broke, or the backend reset the attempt."""
        raise AssertionError("an attempt without an answer")

    def _delivering(self) -> bool:
        """Whether the host has been sent anything."""
        raise AssertionError("an attempt without an answer")

"""A request's attempts: mitmproxy's HTTP stream, taught to send a claimed request upstream more than once.

This module is one of those that know mitmproxy's internals (docs/architecture.md). What is not claimed
goes mitmproxy's own way. Every attempt has a stream id of its own, so that the upstream connection sees a new request,
and what is left of an abandoned one falls away by mitmproxy's rule for ids that it no longer knows.
"""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from mitmproxy import flow as mitmproxy_flow
from mitmproxy.net.http import status_codes
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpResponseHeadersHook,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseProtocolError,
    SendHttp,
)

from understudy.proxy import refusals
from understudy.proxy.claim import Leave, Refuse, Verdict
from understudy.proxy.messages import header_fields, place_of, response_of
from understudy.proxy.timed import DeadlineReached, Parent, Steps, TimedStream
from understudy.proxy.turn import Attempt, Follow, SealRefused, Sent, Turn, Upgrade, Wait
from understudy.wire import outcome as outcomes
from understudy.wire.outcome import Outcome
from understudy.wire.reply import Headers, Reply

logger = logging.getLogger(__name__)

HEADERS_TIMEOUT = 60.0
"""Seconds of silence before the response headers that count as a reset."""
UNARY_TIMEOUT = 600.0
"""The same where the whole answer comes at once, when it is ready."""
PIECE = 256 * 1024
"""Bytes of a body that a connection gets at once: TLS keeps a buffer that is as large as the largest piece."""
MAX_REQUEST = 64 * 1024 * 1024
"""Bytes of an encoded request body."""

# Error codes of protocol events are plain status codes on mitmproxy 11 and an enum on 12.
_ErrorCode: Any = getattr(http_layer, "ErrorCode", None)
CANCEL: Any = _ErrorCode.CANCEL if _ErrorCode else status_codes.CLIENT_CLOSED_REQUEST
_KILL: Any = _ErrorCode.KILL if _ErrorCode else status_codes.NO_RESPONSE


@dataclass
class CodexAttemptEndedHook(commands.StartHook):
    """An attempt has ended with nothing delivered. The addon decides what is next, in `turn.next`."""

    turn: Turn


@dataclass
class CodexWaitedHook(commands.StartHook):
    """A wait has ended. The addon decides anew what is next, in `turn.next`."""

    turn: Turn


class AttemptStream(TimedStream):
    """One request of a host, from its claim through its attempts.

    How it waits, and what an answer is worth, are subclasses' matters.
    """

    def __init__(self, ctx: context.Context, stream_id: int, parent: Parent) -> None:
        super().__init__(ctx, stream_id, parent)
        self._turns = parent.turns
        self._verdict: Verdict | None = None
        """On the names that the request came with, before any hook has seen it."""
        self._closes = False
        """Whether the host wants its connection closed (RFC 9112, 9.6): its request's fields do not say so for long."""
        self._attempt_id: int | None = None
        self.turn: Turn | None = None

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
                self._turns.seat(self.flow, self._judged(), self.memory)
                self._closes = "close" in str(self.flow.request.headers.get("connection", "")).lower()
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

        One that was released, with nothing prepared for it, is forgotten: it was never ours. What is ours by its names
        and was not claimed has no business here, whatever the hooks made of it.
        """
        if self.turn is not None and self.turn.released and self.turn.next is None:
            self.turn, self._verdict = None, Leave()
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
        """Does what was decided: an attempt, now or later, a wait, or the last word."""
        decided, turn.next = None if turn.released else turn.next, None
        match decided:
            case Attempt(delay=delay) if delay > 0:
                turn.next = replace(decided, delay=0.0)
                self._wait_until(time.monotonic() + delay, self._state_between)
            case Attempt():
                yield from self._send(turn, decided)
            case Wait(seconds):
                yield from self._wait(turn, seconds)
            case Upgrade():
                yield from self._upgrade(decided)
            case Follow():
                yield from self._follow_answer(turn, decided)
            case Reply():
                yield from self._answer(decided)
            case None:
                yield from self._answer(refusals.undecided())

    def _send(self, turn: Turn, attempt: Attempt) -> Steps:
        """Connects, seals the token in on a copy, and sends the attempt."""
        started_at = time.monotonic()
        turn.sent.append(Sent(attempt, started_at, time.time()))
        turn.relay, turn.response_headers, self.flow.response = None, (), None
        provider = attempt.provider
        self.connecting = GetHttpConnection(
            (provider.host, provider.port), provider.scheme == "https", self.flow.server_conn.via, "tcp"
        )
        self.deadline = started_at + HEADERS_TIMEOUT
        silence = UNARY_TIMEOUT if attempt.unary else HEADERS_TIMEOUT
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
        for at in range(0, len(body), PIECE):
            yield SendHttp(RequestData(attempt_id, body[at : at + PIECE]), connection)
        yield SendHttp(RequestEndOfMessage(attempt_id), connection)
        self._wait_until(started_at + silence, self.state_wait_for_response_headers)

    def _attempt_ended(self, outcome: Outcome) -> Steps:
        """Nothing was delivered: the addon learns the outcome and decides."""
        turn = self._claimed()
        yield from self._abandon_attempt()
        self._wait_until(None, self._state_between)
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
                yield SendHttp(RequestProtocolError(self._attempt_id, "cancelled", CANCEL), self.context.server)
            yield from self._forget_attempt()

    def _state_between(self, event: events.Event) -> Steps:
        """Between attempts there is nobody to hear from."""
        yield from ()

    # Time

    def _deadline_reached(self) -> Steps:
        now = time.monotonic()
        if self.deadline is None or now < self.deadline:
            return
        self.deadline = None
        if self.server_state == self._state_between:
            yield from self._look_again(self._claimed())
        else:
            yield from self._overdue(now)

    def _look_again(self, turn: Turn) -> Steps:
        """Time has passed since it was decided what is next."""
        yield CodexWaitedHook(turn)
        if not (yield from self.check_killed(True)):
            yield from self._follow(turn)

    # Ends

    def _host_hung_up(self, event: RequestProtocolError) -> Steps:
        """Nobody waits for the answer any more: the upstream call is cancelled at once."""
        if self.client_state == self.state_errored or self.server_state == self.state_errored:
            yield DropStream(self.stream_id)
            return
        yield from self._abandon_attempt()
        self.client_state = self.server_state = self.state_errored
        self._sleep()
        self.flow.error = mitmproxy_flow.Error(event.message)
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        yield DropStream(self.stream_id)

    def check_killed(self, emit_error_hook: bool) -> Generator[Any, Any, bool]:
        killed = yield from super().check_killed(emit_error_hook)
        if killed and self.turn is not None:
            self._sleep()
            yield from self._abandon_attempt()
            yield DropStream(self.stream_id)
        return killed

    def _answer(self, reply: Reply) -> Steps:
        """The whole answer of the host at once: a reply of ours, or of the upstream, or a collected stream."""
        yield from self._abandon_attempt()
        self._sleep()
        self.flow.response = response_of(reply)
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    def send_response(self, already_streamed: bool = False) -> Steps:
        """Adds what we tell the host ourselves to the head of every answer that goes out whole."""
        if self.turn is not None and not already_streamed:
            self._add_own_fields(self.turn)
        yield from super().send_response(already_streamed)

    def _add_own_fields(self, turn: Turn) -> None:
        assert self.flow.response is not None
        closing: Headers = (("connection", "close"),) if self._closes and not self.flow.request.is_http2 else ()
        self.flow.response.headers.fields += header_fields((*turn.told, *closing)).fields

    def flow_done(self) -> Steps:
        if self.turn is None:
            yield from super().flow_done()
            return
        self._sleep()
        # Streams are garbage that only the cycle collector finds: they should not hold on to what they carried.
        self.turn = None
        yield from super().flow_done()
        # What is still queued for this stream concerns nobody any more.
        self.client_state = self.server_state = self.state_errored

    def _give_up(self) -> Steps:
        """The last way out of a fault of ours: an error where the host has no answer yet, else the end of it."""
        yield from self._abandon_attempt()
        self._sleep()
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

    # What a subclass makes of an upgrade, of a wait, and of an attempt's answer

    def _upgrade(self, decided: Upgrade) -> Steps:
        """The host's connection becomes a WebSocket."""
        raise AssertionError("a request that cannot become a WebSocket")

    def _follow_answer(self, turn: Turn, follow: Follow) -> Steps:
        """The host hears an answer that is made in the background."""
        raise AssertionError("a request that cannot follow an answer")

    def _wait(self, turn: Turn, seconds: float) -> Steps:
        """Waits, then has it decided anew what is next."""
        raise AssertionError("a request that cannot wait")

    def keep_alive(self) -> bytes:
        """The sign of life that is due; counts it as sent, and says when the next is due."""
        raise AssertionError("a request that cannot wait")

    def _overdue(self, now: float) -> Steps:
        """The deadline of a wait, or of an attempt's state, has come. `now`: monotonic seconds."""
        raise AssertionError("an attempt without an answer")

    def _upstream_failed(self, message: str) -> Steps:
        """The attempt's connection broke, or the backend reset the attempt."""
        raise AssertionError("an attempt without an answer")

    def _delivering(self) -> bool:
        """Whether the host has been sent anything."""
        raise AssertionError("an attempt without an answer")

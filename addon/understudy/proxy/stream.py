"""The replaying stream: what becomes of an attempt's answer on its way to the host.

between -> headers -> held -> relayed -> (done)      a 200: held until it shows output, then passed on
                   -> body -> (decision)             any other status, or one JSON object: it is read, then decided
any of these       -> (decision) -> between | waiting | done
                                                     reset, stall, early failure: another attempt, a wait for an
                                                     account, or the last word
"""

import time
from dataclasses import replace

from mitmproxy import http
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import ResponseData, ResponseEndOfMessage, ResponseHeaders, SendHttp

from understudy.proxy import refusals
from understudy.proxy.attempts import HEADERS_TIMEOUT, UNARY_TIMEOUT
from understudy.proxy.following import FollowingStream
from understudy.proxy.messages import fields, header_fields, with_headers
from understudy.proxy.timed import Steps
from understudy.proxy.turn import Turn
from understudy.wire import outcome as outcomes
from understudy.wire.answer import COLLECT_LIMIT
from understudy.wire.coding import StreamDecoder
from understudy.wire.compaction import compacted
from understudy.wire.relay import Relay, content_coding, is_event_stream
from understudy.wire.reply import Headers, Reply
from understudy.wire.response import host_headers
from understudy.wire.text import safe_text

STALL_AFTER_OUTPUT = 300.0
"""Seconds of silence after output: what Codex itself allows (PROTOCOL: stream_idle_timeout_ms)."""
ENDING_TIMEOUT = 2.0
"""Seconds that an upstream may take to end its body after the answer's last event."""
ERROR_TIMEOUT = 10.0
"""Seconds that an upstream may take to deliver the body of an error."""
MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error's body that are read."""


class ReplayingStream(FollowingStream):
    """An answer's way to the host. The base classes call `server_state` with every event of an attempt."""

    _body: StreamDecoder | None = None
    _whole = False
    """Whether the body that is read is the answer itself, and no error."""
    _opened_at = _last_byte = 0.0
    _ending_at: float | None = None

    def state_wait_for_response_headers(self, event: events.Event) -> Steps:
        if self.turn is None:
            yield from super().state_wait_for_response_headers(event)
        elif isinstance(event, ResponseHeaders) and event.stream_id == self._attempt_id:
            yield from self._response_headers(self.turn, event.response)

    def _response_headers(self, turn: Turn, response: http.Response) -> Steps:
        headers = turn.response_headers = fields(response.headers)
        # The connection goes by its own response's headers when the body has ended: the flow has others.
        self.flow.response = with_headers(response, header_fields(host_headers(headers)))
        try:
            validate_headers(response)
        except ValueError:
            yield from self._attempt_ended(outcomes.transport("an invalid response head"))
            return
        self._last_byte = self._opened_at = now = time.monotonic()
        try:
            if is_event_stream(response.status_code, headers):
                turn.relay = Relay(replace(turn.relay_options, errors=turn.errors), content_coding(headers))
                self._wait_until(self._held_until(turn), self._state_held)
            else:
                self._body = StreamDecoder(content_coding(headers))
                self._whole = turn.sent[-1].attempt.unary and response.status_code == 200
                self._wait_until(now + (turn.stall_timeout if self._whole else ERROR_TIMEOUT), self._state_body)
        except ValueError as error:
            yield from self._attempt_ended(outcomes.transport(f"an answer in an unknown coding ({error})"))

    def _held_until(self, turn: Turn) -> float:
        """When a held answer has stalled, or, where the host waits for a stream, has been held for long enough."""
        stalled = self._last_byte + turn.stall_timeout
        return min(stalled, self._opened_at + turn.hold) if turn.relay_options.stream else stalled

    def _state_body(self, event: events.Event) -> Steps:
        """Whatever is no stream: an error, as far as it is worth reading, or an answer in one piece."""
        assert self._body is not None
        try:
            if isinstance(event, ResponseData):
                if self._whole:
                    self.deadline = time.monotonic() + self._claimed().stall_timeout
                self.response_body_buf += self._body.feed(event.data)
            elif isinstance(event, ResponseEndOfMessage):
                yield from self._forget_attempt()
                self.response_body_buf += self._body.flush()
        except ValueError:
            # What does not decode has nothing to say; the status does.
            self.response_body_buf.clear()
            yield from self._read_in_full()
            return
        largest = COLLECT_LIMIT if self._whole else MAX_ERROR_BODY
        if self._attempt_id is None or len(self.response_body_buf) > largest:
            yield from self._read_in_full()

    def _read_in_full(self) -> Steps:
        turn = self._claimed()
        assert self.flow.response is not None
        body = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        if self._whole and self._attempt_id is None and turn.request is not None:
            try:
                answer = compacted(body, turn.request.codex, time.time())
            except ValueError:
                yield from self._attempt_ended(outcomes.transport("an answer that cannot be read"))
                return
            turn.sent[-1].committed_at = time.monotonic()
            head = (("content-type", "application/json"), *_beside_the_body(turn.response_headers))
            yield from self._answer(Reply(200, head, answer))
            return
        self.flow.response.data.content = body = body[:MAX_ERROR_BODY]
        status = self.flow.response.status_code
        outcome = outcomes.from_response(status, turn.response_headers, body, time.time(), turn.errors)
        yield from self._attempt_ended(outcome)

    def _state_held(self, event: events.Event) -> Steps:
        """A 200 that has not shown output yet: still replayable."""
        turn, relay = self._claimed(), self._relay()
        if isinstance(event, ResponseEndOfMessage):
            yield from self._forget_attempt()
        try:
            opening = self._read(relay, event)
        except ValueError as error:
            yield from self._attempt_ended(outcomes.transport(f"an answer that cannot be read ({error})"))
            return
        if relay.failure is not None:
            outcome = outcomes.from_failure(relay.failure, turn.response_headers, time.time(), turn.errors)
            if outcome is not None:
                yield from self._attempt_ended(outcome)
                return
            if turn.relay_options.voice is not None and not turn.opened:
                # Other dialects have no event for it; their hosts know the status.
                turn.sent[-1].committed_at = time.monotonic()
                yield from self._answer(relay.refusal(time.time()))
                return
            opening += relay.accept_failure()
        if relay.overdue:
            opening += relay.commit()
        if relay.committed:
            yield from self._commit(opening)
        elif self._attempt_id is None:
            yield from self._attempt_ended(outcomes.empty())

    def _commit(self, opening: bytes) -> Steps:
        """The first event goes to the host. From here on nothing is replayed."""
        turn, relay = self._claimed(), self._relay()
        turn.sent[-1].committed_at = time.monotonic()
        self._wait_until(None, self._state_relayed)
        if turn.relay_options.stream:
            if (yield from self._begin(turn)):
                return
            if opening:
                yield SendHttp(ResponseData(self.stream_id, opening), self.context.client)
        if relay.terminal is not None or self._attempt_id is None:
            yield from self._answer_ended()
        else:
            self._wait_until(self._stalled_at(turn, relay), self._state_relayed)

    def _state_relayed(self, event: events.Event) -> Steps:
        """A committed answer: every byte goes on as it comes."""
        relay = self._relay()
        if isinstance(event, ResponseEndOfMessage):
            yield from self._forget_attempt()
        try:
            data = self._read(relay, event)
        except ValueError as error:
            yield from self._complete(f"an answer that cannot be read ({error})")
            return
        if data:
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)
        if relay.terminal is not None or self._attempt_id is None:
            yield from self._answer_ended()

    def _read(self, relay: Relay, event: events.Event) -> bytes:
        """Feeds the relay; gives what of it goes to the host. Raises ValueError where it cannot be read."""
        if isinstance(event, ResponseData):
            self._last_byte = time.monotonic()
            return relay.feed(event.data, time.time())
        return relay.finish(time.time()) if isinstance(event, ResponseEndOfMessage) else b""

    def _stalled_at(self, turn: Turn, relay: Relay) -> float:
        return self._last_byte + (STALL_AFTER_OUTPUT if relay.shown_output else turn.stall_timeout)

    def _answer_ended(self) -> Steps:
        """The answer's last event is here, or its body has ended: waits for the rest, then ends the host's answer."""
        if self._attempt_id is None:
            yield from self._complete()
        elif self._ending_at is None:
            self._ending_at = time.monotonic() + ENDING_TIMEOUT
            self._wait_until(self._ending_at, self._state_relayed)

    def _complete(self, broken: str | None = None) -> Steps:
        """Ends the host's answer, in order or with the event that says that it broke."""
        turn, relay = self._claimed(), self._relay()
        yield from self._abandon_attempt()
        self._sleep()
        # Once the last event is here the answer is whole, however its connection ends.
        whole = relay.terminal is not None
        broken = None if whole else broken or "the backend ended the answer before it was complete"
        if not turn.relay_options.stream:
            yield from self._answer(self._collected(relay, broken))
            return
        if broken is not None:
            end = relay.cut(f"The answer broke off: {broken}.")
            yield SendHttp(ResponseData(self.stream_id, end), self.context.client)
        turn.broken = broken
        yield from self._end_stream(turn, relay.recorded)

    def _collected(self, relay: Relay, broken: str | None) -> Reply:
        turn = self._claimed()
        turn.broken = broken
        if broken is not None:
            return refusals.broken_off(broken)
        try:
            reply = relay.collected(time.time())
        except ValueError as error:
            turn.broken = str(error)
            return refusals.broken_off(str(error))
        return replace(reply, headers=(*reply.headers, *_beside_the_body(turn.response_headers)))

    # Time and trouble

    def _overdue(self, now: float) -> Steps:
        turn, state = self._claimed(), self.server_state
        if state == self._state_waiting:
            yield from super()._overdue(now)
        elif state == self._state_following:
            yield from self._tell_news(turn, now)
        elif state == self._state_body and self._whole:
            yield from self._attempt_ended(outcomes.transport(f"silent for {turn.stall_timeout:.0f} s"))
        elif state == self._state_body:
            yield from self._read_in_full()
        elif state == self._state_held:
            yield from self._held_long_enough(turn, now)
        elif state == self._state_relayed:
            yield from self._silent(turn, now)
        else:
            unary = turn.sent[-1].attempt.unary
            silence = UNARY_TIMEOUT if unary else HEADERS_TIMEOUT
            yield from self._attempt_ended(outcomes.transport(f"no response headers in {silence:.0f} s"))

    def _held_long_enough(self, turn: Turn, now: float) -> Steps:
        if now >= self._last_byte + turn.stall_timeout:
            yield from self._attempt_ended(outcomes.transport(f"silent for {turn.stall_timeout:.0f} s"))
        elif now >= (held_until := self._held_until(turn)):
            yield from self._commit(self._relay().commit())
        else:
            self.deadline = held_until

    def _silent(self, turn: Turn, now: float) -> Steps:
        relay = self._relay()
        if relay.terminal is not None:
            yield from self._complete()
        elif now >= (stalled_at := self._stalled_at(turn, relay)):
            yield from self._complete(f"the backend was silent for {now - self._last_byte:.0f} s")
        else:
            self.deadline = stalled_at

    def _upstream_failed(self, message: str) -> Steps:
        """The connection broke. Before the commit that is an outcome like any other, after it the answer's end."""
        relay = self._claimed().relay
        if self.server_state == self._state_relayed and relay is not None:
            yield from self._complete("the connection to the backend broke")
        elif self.server_state == self._state_body:
            yield from self._read_in_full()
        else:
            # What stands behind the colon may quote what came.
            what = safe_text(message.partition(":")[0])
            yield from self._attempt_ended(outcomes.transport(f"connection lost ({what})"))

    def _delivering(self) -> bool:
        return self.server_state in (self._state_relayed, self._state_following, self.state_done, self.state_errored)

    def _relay(self) -> Relay:
        relay = self._claimed().relay
        assert relay is not None
        return relay


def _beside_the_body(headers: Headers) -> Headers:
    """What of an upstream answer's head goes to a host that gets another body."""
    return tuple((name, value) for name, value in host_headers(headers) if name.lower() != "content-type")

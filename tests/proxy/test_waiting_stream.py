"""A request that waits for an account: what its host hears, what follows, and that it ends whatever happens."""

import json
import time
from collections.abc import Callable

import pytest

from support.connection import BACKEND, CONNECTING, ELSEWHERE, REQUEST, Clock, Decision, HostConnection, attempt
from understudy.proxy.turn import Turn, Wait
from understudy.proxy.waiting import COMMENT, EVENT, KEEPALIVE, as_event
from understudy.wire.answer import Stage, stage
from understudy.wire.relay import RelayOptions
from understudy.wire.reply import Reply, openai_error
from understudy.wire.sse import Decoder

LIMIT = openai_error(429, "All used up.", type="usage_limit_reached", code="usage_limit_reached")
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"hi"}\n\n'
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1"}}\n\n'
HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Codex-Plan-Type: plus\r\n"
ANSWER = HEAD_200 + b"Content-Length: %d\r\n\r\n" % len(CREATED + DELTA + COMPLETED) + CREATED + DELTA + COMPLETED
REFUSAL = b"HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\n{}"
OPENING = (
    b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)

SDK = RelayOptions(stream=True, record=1000)
CODEX = RelayOptions(stream=True, vendor_events=True, record=1000)
COLLECTED = RelayOptions(stream=False, record=1000)

Connect = Callable[..., HostConnection]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A host's connection whose request meets with these decisions: `connect(Wait(5), attempt())`."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)

    def make(*decisions: Decision, options: RelayOptions = SDK) -> HostConnection:
        return HostConnection(clock, *decisions, options=options)

    return make


def chunk(data: bytes) -> bytes:
    """A chunk of a body (RFC 9112, 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def opened(connect: Connect, *decisions: Decision, options: RelayOptions = SDK) -> HostConnection:
    """A host that has waited for long enough to have its answer opened; the wait is over in 5 s."""
    host = connect(Wait(KEEPALIVE + 5), *decisions, options=options).ask()
    host.pass_time(KEEPALIVE)
    return host


class TestAWait:
    """Between two decisions nothing is sent anywhere."""

    def test_ends_when_it_was_to_and_is_decided_anew(self, connect: Connect) -> None:
        host = connect(Wait(5), attempt()).ask()
        assert host.pass_time(4.9) == b""
        assert (host.hooks, host.upstream) == (["requestheaders", "request"], {})
        host.pass_time(0.2)
        assert host.hooks[2] == "codex_waited"
        assert host.upstream[BACKEND.host, BACKEND.port].endswith(b"\r\n\r\n{}")
        host.backend(ANSWER)
        assert host.hear().endswith(chunk(CREATED + DELTA + COMPLETED) + b"0\r\n\r\n")

    def test_may_follow_another(self, connect: Connect) -> None:
        host = connect(Wait(2), Wait(2), attempt()).ask()
        host.pass_time(3)
        assert (host.hooks.count("codex_waited"), host.upstream) == (1, {})
        host.pass_time(2)
        assert host.hooks.count("codex_waited") == 2 and host.upstream

    def test_may_follow_an_attempt(self, connect: Connect) -> None:
        host = connect(attempt(), Wait(5), attempt()).ask()
        host.backend(REFUSAL)
        assert host.pass_time(4) == b""
        assert host.turn.flow.response is None
        host.pass_time(2)
        host.backend(ANSWER)
        assert host.hear().startswith(b"HTTP/1.1 200 OK\r\n")

    def test_may_end_in_a_last_word(self, connect: Connect) -> None:
        host = connect(Wait(5), LIMIT).ask()
        heard = host.pass_time(6)
        assert heard.startswith(b"HTTP/1.1 429 ") and heard.endswith(LIMIT.body)
        assert (host.upstream, host.hooks[-1]) == ({}, "response")

    def test_that_nobody_decides_the_end_of_ends_in_a_refusal(self, connect: Connect) -> None:
        host = connect(Wait(5)).ask()
        assert b"understudy_not_prepared" in host.pass_time(6)
        assert host.upstream == {}

    def test_ends_at_once_when_the_host_hangs_up(self, connect: Connect) -> None:
        host = connect(Wait(5), attempt()).ask()
        host.pass_time(1)
        host.hang_up()
        assert host.hooks[-1] == "error"
        host.pass_time(60)
        assert (host.hooks[-1], host.upstream, host.timers) == ("error", {}, [])

    @pytest.mark.parametrize("hook", ["codex_waited", "responseheaders"])
    def test_ends_when_the_host_hangs_up_during_a_hook(self, connect: Connect, hook: str) -> None:
        host = connect(Wait(KEEPALIVE + 5), attempt())
        host.held.add(hook)
        host.ask().pass_time(KEEPALIVE + 5)
        assert host.hooks[-1] == hook
        host.hang_up()
        host.release(hook)
        assert (host.hooks[-1], host.upstream) == ("error", {})
        assert host.pass_time(3 * KEEPALIVE) == b""

    def test_is_never_without_an_event_for_so_long_that_mitmproxy_hangs_up(self, connect: Connect) -> None:
        host = connect(Wait(7200), LIMIT, options=COLLECTED).ask()
        for _ in range(119):
            assert min(timer.at for timer in host.timers) < host.clock.now + 60
            host.pass_time(60)
        assert host.hear() == b""

    def test_decided_anew_every_second_heaps_up_no_timers(self, connect: Connect) -> None:
        host = connect(*[Wait(1)] * 50, LIMIT).ask()
        for _ in range(50):
            # One for the decision, one for the sign of life: none can be taken back.
            assert len(host.timers) <= 2
            host.pass_time(1)
        host.pass_time(KEEPALIVE)
        assert (host.hooks[-1], host.timers) == ("response", [])


class TestSignsOfLife:
    """A host that asked for a stream hears something every 15 s, from the 15th second on."""

    @pytest.mark.parametrize(("options", "sign"), [(SDK, COMMENT), (CODEX, EVENT)], ids=["SDK", "Codex"])
    def test_come_after_the_head_and_then_again_and_again(
        self, connect: Connect, options: RelayOptions, sign: bytes
    ) -> None:
        host = connect(Wait(60), options=options).ask()
        assert host.pass_time(KEEPALIVE - 0.1) == b""
        assert host.turn.opened is False
        assert host.pass_time(0.2) == OPENING + chunk(sign)
        assert host.turn.opened is True
        assert host.pass_time(KEEPALIVE - 1) == b""
        assert host.pass_time(2 * KEEPALIVE) == chunk(sign) * 2

    def test_are_counted_from_when_the_request_came_in(self, connect: Connect) -> None:
        host = connect(attempt(), Wait(60)).ask()
        host.pass_time(KEEPALIVE - 1)
        host.backend(REFUSAL)
        assert host.pass_time(0.9) == b""
        assert host.pass_time(0.2) == OPENING + chunk(COMMENT)

    def test_come_at_once_where_the_wait_begins_late(self, connect: Connect) -> None:
        host = connect(attempt(), Wait(60)).ask()
        host.pass_time(2 * KEEPALIVE)
        host.backend(REFUSAL)
        assert host.hear() == OPENING + chunk(COMMENT)

    def test_do_not_come_where_the_host_asked_for_no_stream(self, connect: Connect) -> None:
        host = connect(Wait(60), LIMIT, options=COLLECTED).ask()
        assert host.pass_time(59) == b""
        assert host.turn.opened is False
        assert host.pass_time(2).startswith(b"HTTP/1.1 429 ")

    def test_open_the_answer_once_for_other_addons(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.pass_time(6)
        host.backend(ANSWER)
        assert (host.hooks.count("responseheaders"), host.hooks.count("codex_committed")) == (1, 1)
        assert host.hooks.index("codex_committed") > host.hooks.index("codex_waited")

    def test_go_on_while_the_next_step_is_decided(self, connect: Connect) -> None:
        host = opened(connect, LIMIT)
        host.held.add("codex_waited")
        assert host.pass_time(3 * KEEPALIVE) == chunk(COMMENT) * 3
        host.release("codex_waited")
        assert host.hear().endswith(b"0\r\n\r\n")

    def test_go_on_while_a_connection_is_made(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.held.add(CONNECTING)
        assert host.pass_time(2 * KEEPALIVE) == chunk(COMMENT) * 2
        host.release(CONNECTING)
        host.backend(ANSWER)
        assert host.hear().startswith(chunk(CREATED + DELTA + COMPLETED))

    def test_go_on_until_the_first_event_and_not_after_it(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.pass_time(6)
        assert host.pass_time(2 * KEEPALIVE) == chunk(COMMENT) * 2
        host.backend(HEAD_200 + b"\r\n" + CREATED)
        assert host.pass_time(4) == b""
        host.backend(DELTA)
        assert host.hear() == chunk(CREATED + DELTA)
        assert host.pass_time(4 * KEEPALIVE) == b""

    def test_go_on_between_two_attempts(self, connect: Connect) -> None:
        host = opened(connect, attempt(), attempt(delay=KEEPALIVE))
        host.pass_time(6)
        host.backend(REFUSAL)
        assert host.pass_time(KEEPALIVE - 1) == chunk(COMMENT)

    def test_end_with_the_host(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.hang_up()
        assert host.pass_time(2 * KEEPALIVE) == b""
        assert (host.hooks[-1], host.timers) == ("error", [])

    def test_are_in_what_the_flow_keeps_of_the_answer(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.pass_time(6)
        host.backend(ANSWER)
        shown = host.turn.flow.response
        assert shown is not None
        assert (shown.status_code, shown.raw_content) == (200, COMMENT + CREATED + DELTA + COMPLETED)
        assert shown.headers["content-type"] == "text/event-stream"

    def test_are_kept_as_far_as_answers_are_recorded(self, connect: Connect) -> None:
        host = opened(connect, LIMIT, options=RelayOptions(stream=True, record=5))
        host.pass_time(6)
        assert host.turn.flow.response is not None
        assert host.turn.flow.response.raw_content == COMMENT[:5]


class TestAnOpenedAnswer:
    """Its head is gone, so what follows it is events."""

    def test_has_the_answer_of_an_attempt_without_a_second_head(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.pass_time(6)
        host.backend(ANSWER)
        assert host.hear() == chunk(CREATED + DELTA + COMPLETED) + b"0\r\n\r\n"

    def test_may_still_be_replayed(self, connect: Connect) -> None:
        host = opened(connect, attempt(), Wait(5), attempt())
        host.pass_time(6)
        host.backend(REFUSAL)
        assert host.pass_time(6) == b""
        host.backend(ANSWER)
        assert host.hear() == chunk(CREATED + DELTA + COMPLETED) + b"0\r\n\r\n"

    def test_ends_in_an_event_where_the_last_word_is_a_refusal(self, connect: Connect) -> None:
        host = opened(connect, LIMIT)
        assert host.pass_time(6) == chunk(as_event(LIMIT)) + b"0\r\n\r\n"
        assert host.hooks[-1] == "response"
        host.decisions.append(LIMIT)
        host.ask()
        assert host.hear().startswith(b"HTTP/1.1 429 ")

    def test_ends_in_an_event_where_nobody_decides(self, connect: Connect) -> None:
        host = opened(connect)
        assert b"understudy_not_prepared" in host.pass_time(6)

    def test_ends_in_an_event_where_we_fail(self, connect: Connect) -> None:
        host = opened(connect, attempt())
        host.change = lambda turn: setattr(turn, "sent", None)
        heard = host.pass_time(6)
        assert b"response.failed" in heard and heard.endswith(b"0\r\n\r\n")
        assert host.hooks[-1] == "response"

    def test_ends_with_its_connection_where_the_host_knows_no_chunks(self, connect: Connect) -> None:
        host = connect(Wait(60), LIMIT).ask(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert host.pass_time(KEEPALIVE) == OPENING.replace(b"transfer-encoding: chunked\r\n", b"") + COMMENT
        assert host.pass_time(60).endswith(as_event(LIMIT))
        assert host.closed


class TestALastWordAsAnEvent:
    """It says what the error would have said."""

    @pytest.mark.parametrize(
        ("reply", "code"),
        [
            (LIMIT, "usage_limit_reached"),
            (openai_error(429, "Used up.", type="usage_limit_reached"), "usage_limit_reached"),
            (openai_error(400, "Too long.", type="invalid_request_error", code="too_long"), "too_long"),
            (
                openai_error(503, "Nobody.", type="understudy_no_account", code="understudy_no_account"),
                "understudy_no_account",
            ),
            (openai_error(503, "Busy.", type="server_error", code="server_is_overloaded"), "server_error"),
            (openai_error(503, "Busy.", type="server_error", code="slow_down"), "server_error"),
            (Reply(502, (), b"<html>"), "server_error"),
        ],
    )
    def test_has_the_error_s_code_but_none_that_keeps_codex_from_trying_again(self, reply: Reply, code: str) -> None:
        [event] = Decoder().feed(as_event(reply))
        assert stage(event.type) is Stage.FAILED
        error = json.loads(event.data)["response"]["error"]
        assert error["code"] == code
        assert error["message"]


class TestWhatWeTellTheHost:
    """Header fields of our own are in the head of whatever the host gets."""

    TOLD = (("x-understudy-account", "ada"), ("x-understudy-wait", "5"))
    LINES = b"x-understudy-account: ada\r\nx-understudy-wait: 5\r\n"

    def ask(self, host: HostConnection) -> HostConnection:
        host.change = lambda turn: setattr(turn, "told", self.TOLD)
        return host.ask()

    def test_that_is_streamed(self, connect: Connect) -> None:
        host = self.ask(connect(attempt()))
        host.backend(ANSWER)
        assert host.hear().count(self.LINES) == 1

    def test_that_is_collected(self, connect: Connect) -> None:
        host = self.ask(connect(attempt(), options=COLLECTED))
        host.backend(ANSWER)
        heard = host.hear()
        assert heard.startswith(b"HTTP/1.1 200 ") and heard.count(self.LINES) == 1

    def test_that_is_the_backend_s_refusal(self, connect: Connect) -> None:
        host = self.ask(connect(attempt(), LIMIT))
        host.backend(REFUSAL)
        heard = host.hear()
        assert heard.startswith(b"HTTP/1.1 429 ") and heard.count(self.LINES) == 1

    def test_that_is_our_refusal(self, connect: Connect) -> None:
        assert self.ask(connect(LIMIT)).hear().count(self.LINES) == 1

    def test_that_is_opened(self, connect: Connect) -> None:
        host = self.ask(connect(Wait(60), attempt()))
        assert host.pass_time(KEEPALIVE).count(self.LINES) == 1
        host.pass_time(60)
        host.backend(ANSWER)
        assert self.LINES not in host.hear()


class TestARelease:
    """A request that is let go before anything was prepared is mitmproxy's."""

    def test_goes_where_the_host_wanted_as_it_came(self, connect: Connect) -> None:
        host = connect(None)
        host.change = release
        host.ask()
        assert host.upstream == {ELSEWHERE: REQUEST}
        host.backend(b"HTTP/1.1 200 OK\r\nX-Origin: Its-Own\r\nContent-Length: 2\r\n\r\nok")
        assert host.hear() == b"HTTP/1.1 200 OK\r\nX-Origin: Its-Own\r\nContent-Length: 2\r\n\r\nok"

    def test_leaves_the_connection_for_requests_that_are_carried_out(self, connect: Connect) -> None:
        host = connect(None, attempt())
        host.change = release
        host.ask()
        host.backend(b"HTTP/1.1 204 OK\r\n\r\n")
        host.change = lambda _: None
        host.ask().hear()
        host.backend(ANSWER)
        assert host.hear().endswith(chunk(CREATED + DELTA + COMPLETED) + b"0\r\n\r\n")

    @pytest.mark.parametrize("decision", [attempt(), Wait(1), LIMIT], ids=["attempt", "wait", "last word"])
    def test_of_what_was_prepared_is_a_refusal(self, connect: Connect, decision: Decision) -> None:
        host = connect(decision)
        host.change = release
        assert b"understudy_not_prepared" in host.ask().hear()
        assert host.upstream == {}

    def test_after_an_attempt_is_a_refusal(self, connect: Connect) -> None:
        host = connect(attempt(), attempt()).ask()
        host.change = release
        host.backend(REFUSAL)
        assert b"understudy_not_prepared" in host.hear()
        assert [*host.upstream] == [(BACKEND.host, BACKEND.port)]

    def test_after_a_wait_is_a_refusal(self, connect: Connect) -> None:
        host = connect(Wait(5)).ask()
        host.change = release
        assert b"understudy_not_prepared" in host.pass_time(6)
        assert host.upstream == {}


def release(turn: Turn) -> None:
    """What the addon does."""
    turn.released = True


class TestAHostThatWantsItsConnectionClosed:
    """It says so in its request, whose fields are others by the time that it is answered."""

    CLOSING = REQUEST.replace(b"X-Own: 1", b"Connection: close")

    def test_has_it_closed_after_a_streamed_answer(self, connect: Connect) -> None:
        host = connect(attempt()).ask(self.CLOSING)
        host.backend(ANSWER)
        assert b"connection: close\r\n" in host.hear()
        assert host.client in host.closed

    def test_has_it_closed_after_a_whole_answer(self, connect: Connect) -> None:
        host = connect(LIMIT).ask(self.CLOSING)
        assert b"connection: close\r\n" in host.hear()
        assert host.client in host.closed

    def test_is_the_only_one_that_has(self, connect: Connect) -> None:
        host = connect(attempt()).ask()
        host.backend(ANSWER)
        assert b"connection:" not in host.hear().lower()
        assert host.client not in host.closed

"""A host's WebSocket: every message a request of its own, every event of an answer a message, and how it ends."""

import json
import struct
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from support.connection import BACKEND, Clock, Decision, HostConnection, attempt
from understudy.proxy.attempts import MAX_REQUEST
from understudy.proxy.socket import CLOSING_TIMEOUT, LIFETIME, PIECE, PING_AFTER
from understudy.proxy.turn import Turn, Upgrade
from understudy.wire.relay import RelayOptions
from understudy.wire.reply import openai_error
from understudy.wire.stored import Latest

CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
DELTA = {"type": "response.output_text.delta", "delta": "hi"}
COMPLETED = {"type": "response.completed", "response": {"id": "resp_1"}}
ANSWER = (CREATED, DELTA, COMPLETED)
ASK = {"type": "response.create", "model": "gpt-5", "input": "hi"}
LIMIT = openai_error(429, "All used up.", type="usage_limit_reached", headers=(("retry-after", "60"),))
FIELDS = (("originator", "codex_exec"), ("OpenAI-Beta", "responses_websockets=2026-02-06"), ("session-id", "s1"))


def sse(*events: object) -> bytes:
    """Events as the backend writes them."""
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)


def chunked(*events: object) -> bytes:
    """A chunk of the backend's body."""
    data = sse(*events)
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class SocketHost(HostConnection):
    """A host on a WebSocket. `told`: the messages it has heard, `events`: all else."""

    def __init__(self, clock: Clock, *decisions: Decision, then_close: bool = False) -> None:
        upgrade: Any = Upgrade(then_close)
        super().__init__(clock, upgrade, *decisions, options=RelayOptions(stream=True, record=1000))
        self.turns.new_memory = Latest
        self.told: list[Any] = []
        self.events: list[Event] = []
        self._ws = WSConnection(ConnectionType.CLIENT)

    def open(self, *, deflate: bool = False, fields: Iterable[tuple[str, str]] = FIELDS, early: bytes = b"") -> None:
        """Sends the handshake, and `early` with it."""
        extra = [(name.encode(), value.encode()) for name, value in fields]
        extensions = [PerMessageDeflate()] if deflate else []
        target = f"{BACKEND.path}/responses"
        request = Request(host="elsewhere.test", target=target, extensions=extensions, extra_headers=extra)
        self.ask(self._ws.send(request) + early)
        self.listen()

    def say(self, event: Event) -> None:
        """Sends a frame."""
        self.ask(self._ws.send(event))
        self.listen()

    def create(self, **members: object) -> None:
        """Asks for a response."""
        self.say(TextMessage(data=json.dumps(ASK | members)))

    def answer(self, *events: object) -> None:
        """The backend answers, in one piece."""
        self.backend(HEAD + chunked(*(events or ANSWER)) + END)

    def backend(self, data: bytes) -> None:
        super().backend(data)
        self.listen()

    def pass_time(self, seconds: float) -> bytes:
        self.heard = super().pass_time(seconds)
        self.listen()
        return b""

    def listen(self) -> None:
        """Reads what it was sent."""
        data = self.hear()
        if not data:
            return
        self._ws.receive_data(data)
        for event in self._ws.events():
            if isinstance(event, TextMessage):
                self.told.append(json.loads(event.data))
            else:
                self.events.append(event)

    @property
    def posts(self) -> int:
        """How many requests the backend has had."""
        return self.upstream.get((BACKEND.host, BACKEND.port), b"").count(b"POST ")

    @property
    def closed_with(self) -> int | None:
        """The code of the goodbye that it has heard."""
        return next((int(event.code) for event in self.events if isinstance(event, CloseConnection)), None)

    @property
    def is_hung_up(self) -> bool:
        return self._context.client in self.closed

    @property
    def leftovers(self) -> int:
        """What the layer keeps of requests."""
        return len(self._layer.streams) + len(self._layer.command_sources) + len(self.turns)

    def _addon(self, hook: Any) -> None:
        super()._addon(hook)
        if hook.name in ("response", "error"):
            self.turns.close(hook.flow)


Open = Callable[..., SocketHost]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


@pytest.fixture
def opened(clock: Clock) -> Open:
    """A host whose WebSocket is open, and whose requests meet with these decisions."""

    def make(*decisions: Decision, deflate: bool = False, then_close: bool = False) -> SocketHost:
        host = SocketHost(clock, *decisions, then_close=then_close)
        host.open(deflate=deflate)
        return host

    return make


def masked(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a client sends it (RFC 6455, 5.2)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + struct.pack("!Q", size)
    if 126 <= size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    return bytes([fin << 7 | rsv1 << 6 | opcode]) + length + bytes(4) + payload


class TestTheHandshake:
    """An upgrade that was decided on."""

    def test_is_answered_and_ends_its_flow(self, opened: Open) -> None:
        host = opened()
        assert isinstance(host.events[0], AcceptConnection)
        assert host.hooks == ["requestheaders", "request", "responseheaders", "response"]
        response, flow = host.turn.flow.response, host.turn.flow
        assert response is not None and response.status_code == 101
        assert (flow.live, flow.websocket, host.leftovers, host.is_hung_up) == (False, None, 0, False)

    def test_agrees_on_compression_where_the_host_offers_it(self, opened: Open) -> None:
        accepted = opened(deflate=True).events[0]
        assert isinstance(accepted, AcceptConnection) and accepted.extensions

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /codex/responses HTTP/1.1\r\nHost: elsewhere.test\r\nUpgrade: websocket\r\n\r\n",
            b"GET /codex/responses HTTP/1.1\r\nHost: elsewhere.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: a2Zr\r\n\r\n",
            b"GET /codex/responses HTTP/1.0\r\nHost: elsewhere.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2Zr\r\n\r\n",
            b"GET /codex/responses HTTP/1.1\r\nHost: elsewhere.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2Zr\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=many\r\n\r\n",
        ],
        ids=["no key", "another version", "HTTP/1.0", "a parameter that is none"],
    )
    def test_that_is_none_is_refused_by_plain_http(self, clock: Clock, head: bytes) -> None:
        host = SocketHost(clock)
        host.ask(head)
        assert b" 426 " in host.heard and b"sec-websocket-version: 13" in host.heard

    def test_may_be_refused_altogether(self, clock: Clock) -> None:
        host = SocketHost(clock)
        host.decisions[0] = LIMIT
        host.open()
        assert isinstance(host.events[0], RejectConnection) and host.events[0].status_code == 429

    def test_cannot_be_replayed(self, clock: Clock) -> None:
        def replay(turn: Turn) -> None:
            turn.flow.is_replay = "request"

        host = SocketHost(clock)
        host.change = replay
        host.open()
        assert isinstance(host.events[0], RejectConnection)
        assert host.turn.flow.response is not None and "cannot be replayed" in (host.turn.flow.response.text or "")

    def test_loses_nothing_of_what_came_right_behind_it(self, clock: Clock) -> None:
        host = SocketHost(clock, attempt())
        host.open(early=masked(1, json.dumps(ASK).encode()))
        assert host.posts == 1

    def test_of_a_host_that_has_gone_meanwhile_opens_nothing(self, clock: Clock) -> None:
        host = SocketHost(clock)
        host.held.add("responseheaders")
        host.open()
        host.hang_up()
        host.release("responseheaders")
        assert (host.heard, host.leftovers) == (b"", 0)
        assert host.hooks[-1] == "error"


class TestAMessage:
    """`response.create` becomes a POST."""

    def test_is_an_ordinary_flow(self, clock: Clock) -> None:
        host = SocketHost(clock)
        host.decisions.append(None)
        host.open()
        host.create()
        request = host.turn.flow.request
        assert host.hooks[4:] == ["requestheaders", "request", "responseheaders", "response"]
        assert (request.method, request.path, request.http_version) == ("POST", "/codex/responses", "HTTP/1.1")
        assert request.pretty_host == "elsewhere.test"
        assert json.loads(request.content or b"") == {"model": "gpt-5", "input": "hi", "stream": True}
        assert {name.lower(): value for name, value in request.headers.items()} == {
            "host": "elsewhere.test",
            "originator": "codex_exec",
            "session-id": "s1",
            "content-type": "application/json",
            "accept": "text/event-stream",
            "content-length": str(len(request.content or b"")),
        }

    def test_has_the_host_s_own_key_where_it_may_be_let_go(self, clock: Clock) -> None:
        def keep(turn: Turn) -> None:
            turn.kept = ((b"host", b"elsewhere.test"), (b"authorization", b"Bearer key"), (b"upgrade", b"websocket"))

        host = SocketHost(clock)
        host.change = keep
        host.open()
        host.create()
        assert host.turn.flow.request.headers["authorization"] == "Bearer key"
        assert "upgrade" not in host.turn.flow.request.headers

    def test_says_in_its_metadata_what_another_says_in_header_fields(self, clock: Clock) -> None:
        host = SocketHost(clock)
        host.open(fields=(*FIELDS, ("x-codex-turn-metadata", "the handshake's")))
        host.create(client_metadata={"x-codex-turn-metadata": "its own"})
        assert host.turn.flow.request.headers.get_all("x-codex-turn-metadata") == ["its own"]

    def test_remembers_what_others_on_its_connection_do(self, opened: Open) -> None:
        host, other = opened(None, None), opened(None)
        memories = []
        for each in (host, host, other):
            each.create()
            memories.append(each.turns.memory(each.turn.flow))
        assert memories[0] is memories[1] and memories[0] is not None
        assert memories[2] is not memories[0]

    @pytest.mark.parametrize("deflate", [False, True])
    def test_may_come_in_fragments_cut_within_a_character(self, opened: Open, deflate: bool) -> None:
        host = opened(None, deflate=deflate)
        for at, character in enumerate(text := json.dumps(ASK | {"input": "é€😀"}, ensure_ascii=False)):
            host.say(TextMessage(data=character, message_finished=at == len(text) - 1))
        assert json.loads(host.turn.flow.request.content or b"")["input"] == "é€😀"

    def test_may_come_byte_by_byte_with_pings_between_its_fragments(self, opened: Open) -> None:
        host = opened(None)
        data = json.dumps(ASK | {"input": "é€😀"}, ensure_ascii=False).encode()
        wire = b"".join(
            masked(1 if at == 0 else 0, data[at : at + 1], fin=at == len(data) - 1) + masked(9, b"%d" % at)
            for at in range(len(data))
        )
        for byte in wire:
            host.ask(bytes([byte]))
        host.listen()
        assert json.loads(host.turn.flow.request.content or b"")["input"] == "é€😀"
        assert [e.payload for e in host.events if isinstance(e, Pong)] == [b"%d" % at for at in range(len(data))]

    @pytest.mark.parametrize("text", ["hi", "[]", '{"type":"response.cancel"}'])
    def test_that_asks_for_nothing_we_know_is_refused_and_the_next_is_not(self, opened: Open, text: str) -> None:
        host = opened(attempt())
        host.say(TextMessage(data=text))
        assert (host.told[0]["type"], host.told[0]["status"]) == ("error", 400)
        host.create()
        host.answer()
        assert host.told[1:] == [*ANSWER]

    def test_waits_its_turn(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.create()
        assert (host.told[0]["error"]["code"], host.posts) == ("response_in_progress", 1)
        host.answer()
        assert host.told[1:] == [*ANSWER]

    def test_right_behind_the_answer_s_last_event_is_carried_out(self, opened: Open) -> None:
        host = opened(attempt(), attempt())
        host.create()
        host.backend(HEAD + chunked(*ANSWER))
        assert host.told == [*ANSWER]
        host.create(input="the second")
        host.create(input="a third")
        assert (host.posts, host.told[-1]["error"]["code"]) == (1, "response_in_progress")
        host.backend(END)
        assert host.posts == 2
        assert json.loads(host.turn.flow.request.content or b"")["input"] == "the second"

    def test_that_only_says_that_the_answer_was_read_changes_nothing(self, opened: Open) -> None:
        host = opened(attempt(), attempt())
        host.create()
        host.backend(HEAD + chunked(*ANSWER))
        host.say(TextMessage(data='{"type":"response.processed","response_id":"resp_1"}'))
        host.create()
        host.backend(END)
        assert (host.told, host.posts) == ([*ANSWER], 2)

    def test_that_is_binary_ends_the_connection(self, opened: Open) -> None:
        host = opened()
        host.say(BytesMessage(data=b"{}"))
        assert host.closed_with == 1003

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (masked(1, b"\xff"), 1007),
            (masked(0, b"x"), 1002),
            (masked(1, b"x", rsv1=True), 1002),
            (b"\x81\x01x", 1002),
            (masked(8, b"\x00"), 1002),
        ],
        ids=["no UTF-8", "no beginning", "not agreed on", "not masked", "a close of one byte"],
    )
    def test_that_breaks_the_protocol_ends_the_connection(self, opened: Open, frame: bytes, code: int) -> None:
        host = opened()
        host.ask(frame)
        host.listen()
        assert host.closed_with == code
        host.pass_time(CLOSING_TIMEOUT)
        assert host.is_hung_up


class TestWhatIsTooMuch:
    """Nothing that a host sends grows without bound."""

    def test_a_message_beyond_the_bound_ends_the_connection(self, opened: Open) -> None:
        host = opened()
        part = masked(1, b" " * (MAX_REQUEST // 2), fin=False)
        for frame in (part, masked(0, b" " * (MAX_REQUEST // 2), fin=False), masked(0, b" ", fin=False)):
            assert host.closed_with is None
            host.ask(frame)
            host.listen()
        assert host.closed_with == 1009

    def test_a_bomb_is_stopped_long_before_it_is_unpacked(self, opened: Open) -> None:
        packer = zlib.compressobj(wbits=-15)
        bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(256))
        host = opened(deflate=True)
        fed = 0
        for at in range(0, len(bomb), PIECE):
            piece = bomb[at : at + PIECE]
            host.ask(masked(1 if at == 0 else 0, piece, fin=False, rsv1=at == 0))
            fed += len(piece)
            host.listen()
            if host.closed_with is not None:
                break
        assert host.closed_with == 1009
        # What 1032 times as much would still be within the bound has been read, and one piece more.
        assert fed <= MAX_REQUEST // 1032 + 2 * PIECE

    def test_many_messages_leave_nothing_behind(self, opened: Open) -> None:
        host = opened(*(attempt() for _ in range(50)))
        for _ in range(50):
            host.create()
            host.answer()
        assert (len(host.told), host.leftovers, len(host.timers)) == (150, 0, 1)


class TestAnAnswer:
    """What the host hears."""

    def test_is_a_message_for_each_event_as_it_comes(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.backend(HEAD + chunked(CREATED, DELTA))
        assert host.told == [CREATED, DELTA]
        host.backend(chunked(DELTA)[:20])
        assert len(host.told) == 2
        host.backend(chunked(DELTA)[20:] + chunked(COMPLETED) + END)
        assert host.told[2:] == [DELTA, COMPLETED]

    @pytest.mark.parametrize(("originator", "told"), [("codex_exec", True), ("opencode", False)])
    def test_tells_codex_what_is_in_its_head(self, clock: Clock, originator: str, told: bool) -> None:
        host = SocketHost(clock, attempt())
        host.open(fields=[("originator", originator)])
        host.create()
        host.backend(HEAD[:-2] + b"X-Codex-Turn-State: s1\r\nOpenAI-Model: gpt-5\r\n\r\n" + chunked(*ANSWER) + END)
        head = {"type": "response.metadata", "headers": {"x-codex-turn-state": "s1", "openai-model": "gpt-5"}}
        assert host.told == [*([head] if told else []), *ANSWER]

    def test_is_not_compressed(self, opened: Open) -> None:
        host = opened(attempt(), deflate=True)
        host.create()
        host.answer()
        assert host.told == [*ANSWER]

    def test_that_is_an_error_is_one_message_with_its_header_fields(self, opened: Open) -> None:
        host = opened(LIMIT)
        host.create()
        assert host.told == [
            {
                "type": "error",
                "status": 429,
                "error": {"type": "usage_limit_reached", "message": "All used up.", "param": None, "code": None},
                "headers": {"retry-after": "60"},
            }
        ]

    def test_comes_from_another_account_where_the_first_has_failed(self, opened: Open) -> None:
        host = opened(attempt(), attempt())
        host.create()
        host.backend(b"HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\n{}")
        host.answer()
        assert (host.told, host.posts) == ([*ANSWER], 2)

    def test_that_breaks_ends_with_an_event_that_says_so_and_the_next_is_whole(self, opened: Open) -> None:
        host = opened(attempt(), attempt())
        host.create()
        host.backend(HEAD + chunked(CREATED, DELTA) + END)
        assert [event["type"] for event in host.told] == [CREATED["type"], DELTA["type"], "response.failed"]
        host.create()
        host.answer()
        assert host.told[3:] == [*ANSWER]

    def test_that_the_user_kills_ends_the_connection(self, opened: Open) -> None:
        host = opened(attempt())
        host.change = lambda turn: turn.flow.kill()
        host.create()
        assert (host.closed_with, host.leftovers) == (1011, 0)


class TestTime:
    """A connection is kept alive, and does not live for ever."""

    def test_a_silent_host_is_sent_pings(self, opened: Open) -> None:
        host = opened()
        host.pass_time(PING_AFTER * 3 + 1)
        assert sum(isinstance(event, Ping) for event in host.events) == 3

    def test_a_host_that_waits_for_its_answer_is_sent_pings(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.pass_time(PING_AFTER * 2 + 1)
        assert sum(isinstance(event, Ping) for event in host.events) == 2

    def test_a_host_that_hears_something_is_not(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.backend(HEAD)
        for _ in range(10):
            host.pass_time(PING_AFTER - 1)
            host.backend(chunked(DELTA))
        assert not any(isinstance(event, Ping) for event in host.events)

    def test_a_ping_is_answered_at_once_also_within_an_answer(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.say(Ping(payload=b"there?"))
        assert host.events[-1] == Pong(payload=b"there?")

    def test_there_is_one_timer_at_a_time(self, opened: Open) -> None:
        host = opened()
        host.pass_time(PING_AFTER * 10)
        assert len(host.timers) == 1

    def test_an_old_connection_is_ended_with_the_words_that_hosts_know(self, opened: Open) -> None:
        host = opened()
        host.pass_time(LIFETIME - 1)
        assert host.told == []
        host.pass_time(2)
        assert host.told[0]["error"]["code"] == "websocket_connection_limit_reached"
        assert host.closed_with == 1000

    def test_an_answer_outlives_the_connection_s_time(self, opened: Open) -> None:
        host = opened(attempt())
        host.pass_time(LIFETIME - 5)
        host.create()
        host.backend(HEAD + chunked(CREATED, DELTA))
        host.pass_time(PING_AFTER)
        host.backend(chunked(COMPLETED) + END)
        assert host.told[:3] == [*ANSWER]
        assert host.told[3]["error"]["code"] == "websocket_connection_limit_reached"
        assert host.closed_with == 1000


class TestTheEnd:
    """Whoever ends it, nothing goes on."""

    @pytest.mark.parametrize("code", [1000, 1001, 1005, 4321])
    def test_a_goodbye_is_answered(self, opened: Open, code: int) -> None:
        host = opened()
        host.ask(masked(8, b"" if code == 1005 else struct.pack("!H", code)))
        host.listen()
        assert (host.closed_with, host.is_hung_up) == (code, True)

    def test_a_host_that_says_goodbye_has_its_request_cancelled(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.say(CloseConnection(code=1001))
        assert host.hooks[-1] == "error" and host.leftovers == 0
        assert len(host.closed) == 2, "the backend's connection as well"

    def test_a_host_that_vanishes_has_its_request_cancelled(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.hang_up()
        assert host.hooks[-1] == "error" and host.leftovers == 0

    def test_a_host_that_vanishes_with_a_message_half_sent_leaves_nothing(self, opened: Open) -> None:
        host = opened()
        host.ask(masked(1, b"{", fin=False))
        host.hang_up()
        host.pass_time(PING_AFTER * 2)
        assert (host.leftovers, host.timers) == (0, [])

    def test_an_answer_that_was_heard_to_its_end_ends_in_order(self, opened: Open) -> None:
        host = opened(attempt())
        host.create()
        host.backend(HEAD + chunked(*ANSWER))
        host.say(CloseConnection(code=1000))
        host.backend(END)
        assert host.hooks[-1] == "response" and host.leftovers == 0

    def test_our_goodbye_waits_for_the_host_s(self, opened: Open) -> None:
        host = opened()
        host.say(BytesMessage(data=b""))
        assert not host.is_hung_up
        host.ask(masked(1, json.dumps(ASK).encode()))
        host.listen()
        assert host.told == [], "nothing is listened to any more"
        host.say(CloseConnection(code=1003))
        assert host.is_hung_up

    def test_our_goodbye_does_not_wait_for_ever(self, opened: Open) -> None:
        host = opened()
        host.say(BytesMessage(data=b""))
        host.pass_time(CLOSING_TIMEOUT - 0.1)
        assert not host.is_hung_up
        host.pass_time(0.2)
        assert host.is_hung_up

    def test_a_host_that_is_to_go_back_to_http_is_told_so_after_its_first_message(self, opened: Open) -> None:
        host = opened(then_close=True)
        host.pass_time(1)
        assert host.closed_with is None
        host.create()
        assert host.closed_with == 1009
        assert host.hooks[4:] == [], "nobody hears of a request"

"""Responses over a WebSocket, from a host through the proxy: each message is carried out as a POST would be."""

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping

import pytest
import trustme

from support.backstage import Backstage
from support.hosts import HOST_KEY
from support.peers import OPENAI, Origin, server_tls
from support.theatre import Json, Theatre, TheatreFactory, eventually, member
from support.websocket import Closed, Refused, WebSocket, connect
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

URL = "wss://api.openai.com/v1/responses"
TEXT = "It came over a socket."
ANSWER: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
CODEX = {
    "originator": "codex_exec",
    "user-agent": "codex_exec/0.169.0",
    "openai-beta": "responses_websockets=2026-02-06",
}
ASK: Json = {"model": "gpt-5.5", "input": "hi", "store": False}


def open_socket(theatre: Theatre, headers: Mapping[str, str] | None = None, *, deflate: bool = True) -> WebSocket:
    """A host's connection."""
    fields = {"authorization": f"Bearer {HOST_KEY}", **(headers or {})}
    trust = ssl.create_default_context(cafile=str(theatre.proxy.ca))
    return connect(URL, fields, trust=trust, proxy=theatre.proxy.port, deflate=deflate)


@pytest.fixture(scope="module")
def hurried(theatres: TheatreFactory, tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    """Connections live for 3 s, are sent a ping after 0.2 s, and mitmproxy hangs up on silent ones after 1 s."""
    script = tmp_path_factory.mktemp("hurried") / "hurried.py"
    script.write_text("from understudy.proxy import socket\n\nsocket.LIFETIME, socket.PING_AFTER = 3.0, 0.2\n")
    return theatres(arguments=("-s", str(script)), tcp_timeout=1)


def text_of(events: list[Json]) -> str:
    """What the deltas of an answer add up to."""
    return "".join(str(event["delta"]) for event in events if event["type"] == "response.output_text.delta")


@pytest.fixture
def host(theatre: Theatre) -> Iterator[WebSocket]:
    """A host that is connected; its accounts are the test's matter."""
    with open_socket(theatre) as socket:
        yield socket


class TestAnAnswer:
    """A message, answered."""

    def test_is_a_whole_stream_of_events(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        events = host.ask(**ASK)
        assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
        assert text_of(events) == TEXT

    def test_is_what_a_post_would_have_had(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        over_socket = [event["type"] for event in host.ask(**ASK)]
        assert over_socket == theatre.ask({**ASK, "stream": True}).types
        posts = [entry.body for entry in theatre.calls]
        assert posts[0] == posts[1]

    def test_follows_another_on_the_same_connection(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        for _ in range(20):
            assert text_of(host.ask(**ASK)) == TEXT
        assert len(theatre.calls) == 20

    def test_is_no_other_where_the_backend_speaks_http2(self, h2_theatre: Theatre) -> None:
        h2_theatre.cast(work=LIMIT, home=ANSWER)
        with open_socket(h2_theatre) as host:
            assert [text_of(host.ask(**ASK)) for _ in range(3)] == [TEXT] * 3
        assert h2_theatre.asked == ["work", "home", "home", "home"]

    def test_comes_from_another_account_where_the_first_is_limited(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=LIMIT, home=ANSWER)
        assert text_of(host.ask(**ASK)) == TEXT
        assert theatre.asked == ["work", "home"]

    def test_is_one_message_where_every_account_is_limited(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=LIMIT)
        (told,) = host.ask(**ASK)
        assert (told["type"], told["status"]) == ("error", 429)
        assert member(told, "error")["type"] == "usage_limit_reached"
        assert "retry-after" in member(told, "headers")
        theatre.cast(work=ANSWER)
        assert text_of(host.ask(**ASK)) == TEXT

    def test_comes_event_by_event(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work={"do": "answer", "text": "one two three", "delay": 0.2})
        host.send_json({"type": "response.create", **ASK})
        times = []
        while (event := host.receive_json())["type"] != "response.completed":
            if event["type"] == "response.output_text.delta":
                times.append(time.monotonic())
        assert times[-1] - times[0] > 0.3

    def test_large_and_small_messages_come_through_with_and_without_compression(self, theatre: Theatre) -> None:
        theatre.cast(work=ANSWER)
        for deflate in (False, True):
            with open_socket(theatre, deflate=deflate) as host:
                assert host.deflates is deflate
                for size in (1, 200, 70_000, 3_000_000):
                    assert text_of(host.ask(**{**ASK, "input": "é" * size})) == TEXT


class TestAFlow:
    """What the user sees, and what goes upstream."""

    def test_each_message_is_one_and_no_key_of_the_host_goes_anywhere(self, theatre: Theatre) -> None:
        theatre.cast(work=ANSWER)
        with open_socket(theatre, CODEX) as host:
            host.ask(**ASK)
        (call,) = theatre.calls
        assert HOST_KEY not in json.dumps(call.headers)
        assert call.header("originator") == "codex_exec"
        assert not [name for name, _ in call.headers if name.lower().startswith("sec-websocket")]


class TestAConversation:
    """What Codex does on one connection: a warm-up, then turns that refer to the answer before."""

    def test_begins_with_a_warm_up_that_costs_nothing(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        warmed = host.ask(**ASK, generate=False)
        assert [event["type"] for event in warmed] == ["response.created", "response.completed"]
        assert theatre.calls == ()
        assert text_of(host.ask(**ASK, previous_response_id=member(warmed[-1], "response")["id"])) == TEXT

    def test_goes_on_from_the_answer_before_at_once(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        previous = host.ask(**ASK)
        for n in range(10):
            previous = host.ask(**{**ASK, "input": f"{n}"}, previous_response_id=member(previous[-1], "response")["id"])
            assert text_of(previous) == TEXT
        body = theatre.calls[-1].body
        assert isinstance(body, dict) and len(body["input"]) == 2 * 10 + 1


class TestWhereItCameFrom:
    """Other ways to the proxy than CONNECT, and from it than an account."""

    @pytest.mark.parametrize("options", [{}, {"proxyauth": "user:pass"}], ids=["open", "locked"])
    def test_a_changed_base_url_is_served_as_well(self, make_backstage: MakeBackstage, options: dict[str, str]) -> None:
        stage = make_backstage()
        with Sandbox({"accounts": {"home": {"steps": [ANSWER]}}}) as sandbox:
            stage.enrol(sandbox)
            with stage.proxy(sandbox, mode="reverse:https://api.openai.com", options=options) as proxy:
                basic = {"authorization": f"Basic {b64encode(b'user:pass').decode()}"}
                with connect(f"ws://127.0.0.1:{proxy.port}/v1/responses", basic) as host:
                    assert [text_of(host.ask(**ASK)) for _ in range(2)] == [TEXT, TEXT]
            assert "user:pass" not in repr(sandbox.journal.responses())
            assert basic["authorization"] not in repr(sandbox.journal.responses())

    def test_a_model_that_is_left_to_the_host_s_own_key_is_asked_for_with_it(
        self, make_backstage: MakeBackstage, authority: trustme.CA
    ) -> None:
        stage = make_backstage()
        options = {"codex_unsupported": "passthrough", "codex_models": "own-model=passthrough"}
        with (
            Sandbox({"accounts": {"home": {"steps": [ANSWER]}}}) as sandbox,
            Origin(server_tls(authority, OPENAI)) as openai,
        ):
            stage.enrol(sandbox)
            with stage.proxy(sandbox, routes={f"{OPENAI}:443": openai.port}, options=options) as proxy:
                trust = ssl.create_default_context(cafile=str(proxy.ca))
                key = {"authorization": f"Bearer {HOST_KEY}"}
                with connect(URL, key, trust=trust, proxy=proxy.port) as host:
                    (told,) = host.ask(**{**ASK, "model": "own-model"})
                    assert text_of(host.ask(**ASK)) == TEXT
            assert member(told, "error")["message"] == "The request was answered with status 200."
            (request,) = openai.requests
            assert request.startswith(b"POST /v1/responses HTTP/1.1\r\n")
            assert f"authorization: Bearer {HOST_KEY}\r\n".encode() in request
            assert request.endswith(b'"stream":true}')
            assert HOST_KEY not in repr(sandbox.journal.responses())


class TestARefusal:
    """What cannot be done, in the words that hosts know."""

    def test_of_a_message_leaves_the_connection_open(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work=ANSWER)
        for text in ("hi", '{"type":"response.cancel"}'):
            host.send_text(text)
            assert member(host.receive_json(), "error")["type"] == "invalid_request_error"
        assert text_of(host.ask(**ASK)) == TEXT

    def test_of_a_binary_message_ends_the_connection(self, host: WebSocket) -> None:
        host.send_bytes(b"{}")
        assert host.wait_closed().code == 1003

    def test_of_the_whole_interface_sends_hosts_back_to_http(self, theatres: TheatreFactory) -> None:
        theatre = theatres(codex_websocket="refuse")
        with pytest.raises(Refused) as refused:
            open_socket(theatre, CODEX)
        assert refused.value.status == 426
        with open_socket(theatre, {"originator": "opencode"}) as host:
            host.send_json({"type": "response.create", **ASK})
            assert host.wait_closed().code == 1009


class TestTime:
    """How long a connection lives."""

    def test_a_silent_connection_is_kept_and_an_old_one_is_ended(self, hurried: Theatre) -> None:
        hurried.cast(work=ANSWER)
        with open_socket(hurried) as host:
            began = time.monotonic()
            told = host.receive_json()
            assert member(told, "error")["code"] == "websocket_connection_limit_reached"
            assert host.wait_closed().code == 1000
            assert time.monotonic() - began > 2.5


class TestTheEnd:
    """Hosts that go, and a proxy that ends."""

    def test_a_host_that_vanishes_has_its_call_cancelled(self, theatre: Theatre) -> None:
        theatre.cast(work={"do": "answer", "text": "a b c d e f g h", "delay": 1.0})
        host = open_socket(theatre)
        host.send_json({"type": "response.create", **ASK})
        host.receive_json()
        host.drop()
        eventually(lambda: theatre.calls[0].cancelled_at is not None)

    def test_a_goodbye_is_answered(self, host: WebSocket) -> None:
        assert host.close().code == 1000

    def test_a_ping_is_answered_within_an_answer(self, theatre: Theatre, host: WebSocket) -> None:
        theatre.cast(work={"do": "answer", "text": "one two three", "delay": 0.1})
        host.send_json({"type": "response.create", **ASK})
        host.ping()
        assert text_of(host.answer()) == "one two three"

    def test_an_open_connection_does_not_keep_the_proxy_from_ending(self, theatres: TheatreFactory) -> None:
        theatre = theatres()
        with open_socket(theatre) as host:
            began = time.monotonic()
            theatre.proxy.stop()
            assert time.monotonic() - began < 10
            with pytest.raises(Closed):
                host.receive()

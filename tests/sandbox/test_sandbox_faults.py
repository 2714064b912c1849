"""Every way an answer goes wrong, over plain HTTP/1.1 and over TLS with HTTP/1.1 and HTTP/2, and who hangs up when."""

import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import h2.config  # type: ignore[import-untyped, unused-ignore]
import h2.connection  # type: ignore[import-untyped, unused-ignore]
import httpx
import pytest
import trustme

from sandbox.client import ask, body, connect, events, headers, scenario, text
from understudy.sandbox.server import Sandbox

MakeSandbox = Callable[..., Sandbox]
HALF_AN_EVENT = b'event: response.output_text.delta\ndata: {"type":"resp'


@dataclass(frozen=True)
class Stage:
    """A protocol to be served on, and how to reach it."""

    alpn: tuple[str, ...]
    make: MakeSandbox
    trust: ssl.SSLContext

    def sandbox(self, *steps: Mapping[str, object]) -> Sandbox:
        return self.make(scenario(*steps), alpn=self.alpn) if self.alpn else Sandbox(scenario(*steps))

    @contextmanager
    def stream(self, sandbox: Sandbox) -> Iterator[httpx.Response]:
        with connect(trust=self.trust, http2=self.alpn == ("h2",)) as client:
            url = f"{sandbox.backend}/responses"
            with client.stream("POST", url, headers=headers(sandbox), content=body()) as response:
                yield response

    def read(self, sandbox: Sandbox) -> tuple[int | None, bytes, bool]:
        """Status, what came of the body, and whether it came to a good end."""
        status, data = None, b""
        try:
            with self.stream(sandbox) as response:
                status = response.status_code
                for chunk in response.iter_raw():
                    data += chunk
        except httpx.TransportError:
            return status, data, False
        return status, data, True


@pytest.fixture(params=[(), ("http/1.1",), ("h2",)], ids=["plain", "TLS HTTP/1.1", "TLS HTTP/2"])
def stage(request: pytest.FixtureRequest, tls_sandbox: MakeSandbox, authority: trustme.CA) -> Stage:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Stage(request.param, tls_sandbox, trust)


def test_the_protocol_is_the_one_that_was_offered(stage: Stage) -> None:
    with stage.sandbox() as sandbox:
        with stage.stream(sandbox) as response:
            response.read()
        assert sandbox.journal[0].http_version == ("2" if stage.alpn == ("h2",) else "1.1")
        assert sandbox.origin.startswith("https" if stage.alpn else "http:")


@pytest.mark.parametrize(
    ("fault", "status", "came"),
    [
        ({"when": "before_headers"}, None, []),
        ({"when": "after_headers"}, 200, []),
        ({"when": "after_events", "events": 2}, 200, ["response.created", "response.in_progress"]),
    ],
    ids=["before headers", "after headers", "after two events"],
)
@pytest.mark.parametrize("how", ["default", "rst", "fin"])
def test_a_reset_comes_where_it_should(
    stage: Stage, how: str, fault: dict[str, object], status: int | None, came: list[str]
) -> None:
    with stage.sandbox({"do": "reset", "how": how, **fault}) as sandbox:
        got, data, whole = stage.read(sandbox)
        sandbox.journal.wait_for(lambda entry: entry.finished_at is not None and entry.ending != "finished")
        assert sandbox.journal[0].status == status
    assert not whole and [event["type"] for event in events(data)] == came
    assert got in (status, None)


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_mid_text_is_in_the_middle_of_an_event(stage: Stage, fault: str) -> None:
    with stage.sandbox({"do": fault, "when": "mid_text", "events": 2}) as sandbox:
        _, data, whole = stage.read(sandbox)
    assert whole is (fault == "cut")
    *_, last = data.split(b"\n\n")
    assert last.startswith(HALF_AN_EVENT) and not last.endswith(b"}")
    assert text(data[: -len(last)]) == "The understudy"


def test_a_cut_ends_in_good_order_without_a_terminal_event(stage: Stage) -> None:
    with stage.sandbox({"do": "cut", "events": 5}) as sandbox:
        status, data, whole = stage.read(sandbox)
    assert (status, whole, len(events(data))) == (200, True, 5)
    assert events(data)[-1]["type"] != "response.completed"


@pytest.mark.parametrize("when", ["before_headers", "after_headers", "after_events", "mid_text"])
def test_a_stall_that_ends_loses_nothing(stage: Stage, when: str) -> None:
    with stage.sandbox({"do": "stall", "when": when, "seconds": 0.2}) as sandbox:
        before = time.monotonic()
        status, data, whole = stage.read(sandbox)
        assert time.monotonic() - before >= 0.2
    assert (status, whole, events(data)[-1]["type"]) == (200, True, "response.completed")


def test_a_reset_of_one_stream_spares_its_neighbour(tls_sandbox: MakeSandbox, authority: trustme.CA) -> None:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    steps = scenario({"do": "reset", "when": "after_headers"}, {"do": "answer"})
    with tls_sandbox(steps, alpn=("h2",)) as sandbox, connect(trust=trust, http2=True) as client:
        url = f"{sandbox.backend}/responses"
        with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
            client.post(url, headers=headers(sandbox), content=body())
        assert client.post(url, headers=headers(sandbox), content=body()).status_code == 200
        first, second = sandbox.journal
    assert (first.ending, second.ending) == ("stream", "finished") and first.peer == second.peer


def test_a_refused_request_leaves_its_connection_good_for_the_next(stage: Stage) -> None:
    with stage.sandbox({"do": "usage_limit"}, {"do": "answer"}) as sandbox:
        with connect(trust=stage.trust, http2=stage.alpn == ("h2",)) as client:
            url = f"{sandbox.backend}/responses"
            answers = [client.post(url, headers=headers(sandbox), content=body()).status_code for _ in range(2)]
        assert answers == [429, 200] and len({entry.peer for entry in sandbox.journal}) == 1


def test_a_reset_is_a_real_one_on_the_wire() -> None:
    with Sandbox(scenario({"do": "reset"})) as sandbox, connect() as client:
        with pytest.raises(httpx.ReadError) as caught:
            client.post(f"{sandbox.backend}/responses", headers=headers(sandbox), content=body())
        assert "reset" in str(caught.value).lower()
        assert sandbox.journal[0].ending == "rst"


def test_a_peer_that_closes_is_seen_at_once(stage: Stage) -> None:
    with stage.sandbox({"do": "stall", "when": "after_events", "events": 2}) as sandbox:
        with stage.stream(sandbox) as response:
            next(response.iter_raw())
            sandbox.journal.wait_for(lambda entry: len(entry.sent) == 2)
        left = time.monotonic()
        entry = sandbox.journal.wait_for(lambda entry: entry.cancelled_at is not None)
    assert entry.ending == "cancelled" and entry.cancelled_at is not None
    assert entry.cancelled_at - left < 0.5


@pytest.mark.parametrize(
    "step", [{"do": "stall", "when": "before_headers"}, {"do": "answer", "words": 500, "delay": 0.01}]
)
def test_a_peer_that_resets_its_stream_is_seen_while_the_connection_lives(
    step: dict[str, object], tls_sandbox: MakeSandbox, authority: trustme.CA
) -> None:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    trust.set_alpn_protocols(["h2"])
    with tls_sandbox(scenario(step), alpn=("h2",)) as sandbox:
        raw = socket.create_connection((sandbox.host, sandbox.port))
        with trust.wrap_socket(raw, server_hostname=sandbox.host) as sock:
            connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            connection.initiate_connection()
            fields = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "x"),
                (":path", "/backend-api/codex/responses"),
            ]
            connection.send_headers(1, [*fields, *headers(sandbox).items()])
            connection.send_data(1, body(), end_stream=True)
            sock.sendall(connection.data_to_send())
            sandbox.journal.wait_for(lambda entry: bool(entry.step))
            connection.reset_stream(1)
            left = time.monotonic()
            sock.sendall(connection.data_to_send())
            entry = sandbox.journal.wait_for(lambda entry: entry.cancelled_at is not None)
    assert entry.cancelled_at is not None and entry.cancelled_at - left < 0.5


def test_a_peer_that_leaves_within_its_request_is_no_failure_of_the_sandbox() -> None:
    with Sandbox(scenario()) as sandbox:
        with socket.create_connection((sandbox.host, sandbox.port)) as sock:
            sock.sendall(b"POST /backend-api/codex/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
            sandbox.journal.wait_for(lambda entry: True)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert sandbox.journal.wait_for(lambda entry: entry.finished_at is not None).ending == "cancelled"


@pytest.mark.parametrize(
    "fault",
    [{}, {"how": "rst", "when": "mid_text"}, {"how": "fin", "when": "after_headers"}],
    ids=["default", "rst", "fin"],
)
def test_a_connection_that_is_gone_leaves_nothing_behind(stage: Stage, fault: dict[str, object]) -> None:
    with stage.sandbox({"do": "reset", **fault}, {"do": "answer"}) as sandbox:
        for _ in range(3):
            stage.read(sandbox)
        deadline = time.monotonic() + 5
        while sandbox.connections:
            assert time.monotonic() < deadline, "a connection lives on without its peer"
            time.sleep(0.01)


def test_an_answer_that_was_read_to_its_end_is_not_cancelled(stage: Stage) -> None:
    with stage.sandbox() as sandbox:
        stage.read(sandbox)
        entry = sandbox.journal.wait_for(lambda entry: entry.finished_at is not None)
    assert (entry.ending, entry.cancelled_at) == ("finished", None)


def test_a_usage_limit_names_its_reset_in_body_and_headers() -> None:
    with Sandbox(scenario({"do": "usage_limit", "resets_in": 3600})) as sandbox:
        answer = ask(sandbox)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["plan_type"]) == (429, "usage_limit_reached", "plus")
    assert error["resets_at"] - time.time() == pytest.approx(3600, abs=3)
    assert error["resets_in_seconds"] == pytest.approx(3600, abs=2)
    assert answer.headers["x-codex-primary-used-percent"] == "100"
    assert answer.headers["x-codex-primary-reset-at"] == str(error["resets_at"])


@pytest.mark.parametrize(
    ("tell", "in_body", "in_headers"),
    [("both", True, True), ("body", True, False), ("headers", False, True), ("nothing", False, False)],
)
def test_a_usage_limit_tells_its_reset_where_it_is_told_to(tell: str, in_body: bool, in_headers: bool) -> None:
    with Sandbox(scenario({"do": "usage_limit", "tell": tell})) as sandbox:
        answer = ask(sandbox)
    assert ("resets_at" in answer.json()["error"]) is in_body
    assert ("x-codex-primary-reset-at" in answer.headers) is in_headers


def test_a_limit_until_its_reset_names_the_same_time_and_then_ends() -> None:
    with Sandbox(scenario({"do": "usage_limit", "resets_in": 1, "until_reset": True})) as sandbox:
        first, second = ask(sandbox), ask(sandbox)
        assert first.json()["error"]["resets_at"] == second.json()["error"]["resets_at"]
        time.sleep(max(0.0, first.json()["error"]["resets_at"] - time.time()))
        assert ask(sandbox).status_code == 200


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ({"do": "burst"}, 429, "Too Many Requests"),
        ({"do": "short_limit", "seconds": 2}, 429, "try again in 2s"),
        ({"do": "overloaded"}, 503, "server_is_overloaded"),
        ({"do": "server_error"}, 500, "server_error"),
        ({"do": "bad_gateway"}, 502, "<html>"),
        ({"do": "html403"}, 403, "Just a moment"),
        ({"do": "html503"}, 503, "Just a moment"),
        ({"do": "deactivated"}, 402, "deactivated_workspace"),
        ({"do": "payment_required"}, 402, "payment_required"),
        ({"do": "usage_not_included"}, 429, "usage_not_included"),
        ({"do": "usage_not_included_403"}, 403, "usage_not_included"),
        ({"do": "insufficient_quota"}, 429, "insufficient_quota"),
        ({"do": "cyber_policy"}, 400, '"code": "cyber_policy"'),
        ({"do": "invalid_request", "message": "No.", "param": "text"}, 400, '"message": "No."'),
        ({"do": "model_not_found"}, 404, "The model `gpt-5.1-codex` does not exist"),
        ({"do": "usage_limit", "status": 404}, 404, "usage_limit_reached"),
        ({"do": "empty"}, 200, ""),
        ({"do": "forbidden"}, 403, "detail"),
        ({"do": "not_found"}, 404, ""),
        ({"do": "status", "status": 529, "body": {"error": "x"}}, 529, '{"error": "x"}'),
        ({"do": "redirect", "status": 307}, 307, ""),
    ],
    ids=lambda value: str(value["do"]) if isinstance(value, dict) else "",
)
def test_complete_refusals_have_their_status_and_words(step: dict[str, object], status: int, words: str) -> None:
    with Sandbox(scenario(step)) as sandbox:
        answer = ask(sandbox)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_redirect_names_another_place() -> None:
    with Sandbox(scenario({"do": "redirect", "location": "http://127.0.0.1:9/x"})) as sandbox:
        assert ask(sandbox).headers["location"] == "http://127.0.0.1:9/x"


def test_an_empty_stream_has_no_length_or_a_length_of_nothing() -> None:
    with Sandbox(scenario({"do": "cut", "when": "after_headers"}, {"do": "empty"})) as sandbox:
        answers = [ask(sandbox) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
    assert [answer.headers.get("content-length") for answer in answers] == [None, "0"]
    assert all(answer.headers["content-type"].startswith("text/event-stream") for answer in answers)


def test_a_retry_after_may_be_all_that_is_said() -> None:
    with Sandbox(scenario({"do": "retry_after", "seconds": 7})) as sandbox:
        answer = ask(sandbox)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert not [name for name in answer.headers if name.startswith("x-codex-p")] and "code" not in answer.text


def test_a_usage_limit_may_say_nothing_of_its_end() -> None:
    with Sandbox(scenario({"do": "usage_limit", "tell": "nothing"})) as sandbox:
        answer = ask(sandbox)
    error = answer.json()["error"]
    assert error["type"] == "usage_limit_reached" and error.keys() == {"type", "message", "plan_type"}
    assert not [name for name in answer.headers if "reset" in name or name == "retry-after"]


def test_a_limit_can_be_hit_in_the_middle_of_an_answer() -> None:
    with Sandbox(scenario({"do": "usage_limit", "after_words": 2, "resets_in": 60}, {"do": "answer"})) as sandbox:
        answer, after = ask(sandbox), ask(sandbox)
    assert (answer.status_code, text(answer.content)) == (200, " word0 word1")
    failed = events(answer.content)[-1]
    assert failed["type"] == "response.failed"
    error = failed["response"]["error"]  # type: ignore[index]
    assert error["code"] == "usage_limit_reached" and error["resets_in_seconds"] in (60, 61)
    used = [headers["x-codex-primary-used-percent"] for headers in (answer.headers, after.headers)]
    assert used == ["12", "100"], "the head was sent before the limit was hit"


def test_a_burst_says_nothing_of_a_reset() -> None:
    with Sandbox(scenario({"do": "burst"})) as sandbox:
        answer = ask(sandbox)
    assert "retry-after" not in answer.headers and "code" not in answer.text


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "usage_limit_reached", "server_is_overloaded"])
def test_an_early_failure_follows_the_lifecycle_events(code: str) -> None:
    with Sandbox(scenario({"do": "early_failed", "code": code, "vendor": True})) as sandbox:
        answer = ask(sandbox)
    found = events(answer.content)
    types = ["codex.rate_limits", "response.created", "response.in_progress", "response.failed"]
    assert answer.status_code == 200 and [event["type"] for event in found] == types
    response = found[-1]["response"]
    assert isinstance(response, dict)
    assert (response["status"], response["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
def test_an_error_event_comes_in_both_shapes(nested: bool) -> None:
    step = {"do": "error_event", "code": "usage_limit_reached", "nested": nested, "lifecycle": False, "resets_in": 60}
    with Sandbox(scenario(step)) as sandbox:
        (event,) = events(ask(sandbox).content)
    error = event["error"] if nested else event
    assert isinstance(error, dict)
    assert error["code"] == "usage_limit_reached" and error["resets_in_seconds"] == 60


def test_a_failed_stream_can_stay_open() -> None:
    with Sandbox(scenario({"do": "early_failed", "hold_open": 0.2})) as sandbox:
        before = time.monotonic()
        ask(sandbox)
        assert time.monotonic() - before >= 0.2


def test_a_failure_after_text_is_a_late_one() -> None:
    with Sandbox(scenario({"do": "early_failed", "words": 3})) as sandbox:
        data = ask(sandbox).content
    assert text(data) == " word0 word1 word2" and events(data)[-1]["type"] == "response.failed"


def test_steps_come_in_order_and_the_last_repeats() -> None:
    with Sandbox(scenario({"do": "burst"}, {"do": "overloaded"}, {"do": "answer"})) as sandbox:
        assert [ask(sandbox).status_code for _ in range(4)] == [429, 503, 200, 200]


def test_steps_can_be_changed_while_it_runs() -> None:
    with Sandbox(scenario()) as sandbox, connect() as client:
        assert ask(sandbox).status_code == 200
        sandbox.set_steps("work", [{"do": "burst"}])
        assert ask(sandbox).status_code == 429
        url = f"{sandbox.origin}/sandbox/steps/work"
        assert client.put(url, content=json.dumps([{"do": "overloaded"}])).status_code == 204
        assert ask(sandbox).status_code == 503
        assert client.put(url, content=json.dumps([{"do": "overload"}])).status_code == 400


def test_a_step_that_cannot_be_played_fails_the_test_that_set_it() -> None:
    with (
        pytest.raises(ExceptionGroup) as caught,
        Sandbox(scenario({"do": "cut", "when": "mid_text", "events": 999})) as sandbox,
    ):
        assert ask(sandbox).status_code == 500
    assert "only" in str(caught.value.exceptions[0])


def test_a_websocket_upgrade_is_refused() -> None:
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-version": "13",
    }
    with Sandbox(scenario()) as sandbox, connect() as client:
        answer = client.get(f"{sandbox.backend}/responses", headers={**headers(sandbox), **upgrade})
    assert (answer.status_code, answer.json()) == (426, {"detail": "Upgrade Required"})

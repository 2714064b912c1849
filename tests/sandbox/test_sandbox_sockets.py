"""The Responses endpoints over WebSocket: the handshake, `response.create`, what is kept, what is refused, the end."""

import json
import time
from collections.abc import Mapping

import pytest

from sandbox.client import BODY, headers, scenario
from support.websocket import Closed, Json, Refused, WebSocket, connect
from understudy.sandbox.server import Sandbox
from understudy.sandbox.steps import DEFAULT_TEXT

KEY = "sk-sandbox-canary-key"
USER = {"role": "user", "content": "hello"}
STREAMLESS = {name: value for name, value in BODY.items() if name != "stream"}
LITE = {"client_metadata": {"ws_request_header_x_openai_internal_codex_responses_lite": "true"}}


def stage(*steps: Mapping[str, object], **more: object) -> dict[str, object]:
    return {**scenario(*steps), "websocket": True, **more}


def call(sandbox: Sandbox, changes: Mapping[str, str] | None = None, *, deflate: bool = True) -> WebSocket:
    return connect(f"{sandbox.backend}/responses", {**headers(sandbox), **(changes or {})}, deflate=deflate)


def types(events: list[Json]) -> list[object]:
    return [event["type"] for event in events]


def text(events: list[Json]) -> str:
    return "".join(str(event["delta"]) for event in events if event["type"] == "response.output_text.delta")


def response(events: list[Json]) -> Json:
    value = events[-1]["response"]
    assert isinstance(value, dict)
    return value


def error(events: list[Json]) -> Json:
    assert types(events) == ["error"]
    value = events[-1]["error"]
    assert isinstance(value, dict)
    return value


class TestTheHandshake:
    def test_is_refused_with_a_426_unless_the_scenario_has_websockets(self) -> None:
        with Sandbox(scenario()) as sandbox, pytest.raises(Refused) as refused:
            call(sandbox)
        assert (refused.value.status, refused.value.json) == (426, {"detail": "Upgrade Required"})
        assert [(entry.method, entry.status) for entry in sandbox.journal.handshakes()] == [("GET", 426)]

    def test_brings_what_codex_reads_of_it(self) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket:
            assert {"x-codex-turn-state", "x-models-etag", "x-request-id", "date"} <= socket.headers.keys()

    @pytest.mark.parametrize("deflate", [True, False])
    def test_agrees_on_compression_where_that_is_offered(self, deflate: bool) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox, deflate=deflate) as socket:
            assert socket.deflates is deflate and text(socket.ask(**BODY)) == DEFAULT_TEXT

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"authorization": "Basic x"}, 401),
            ({"authorization": "Bearer nonsense"}, 401),
            ({"chatgpt-account-id": "of-another"}, 403),
        ],
        ids=["no token", "unknown token", "another account"],
    )
    def test_wants_the_token_and_its_account(self, changes: dict[str, str], status: int) -> None:
        with Sandbox(stage()) as sandbox, pytest.raises(Refused) as refused:
            call(sandbox, changes)
        assert refused.value.status == status

    @pytest.mark.parametrize(
        ("step", "status"),
        [
            ({"do": "usage_limit", "resets_in": 60}, 429),
            ({"do": "unauthorized"}, 401),
            ({"do": "status", "status": 503}, 503),
            ({"do": "html403"}, 403),
        ],
        ids=lambda value: str(value["do"]) if isinstance(value, dict) else "",
    )
    def test_is_answered_by_the_next_step_where_that_is_for_handshakes(
        self, step: dict[str, object], status: int
    ) -> None:
        with Sandbox(stage({**step, "handshake": True}, {"do": "answer"})) as sandbox:
            with pytest.raises(Refused) as refused:
                call(sandbox)
            (entry,) = sandbox.journal.handshakes("work")
        assert refused.value.status == status
        assert (entry.step, entry.status, entry.ending) == (step["do"], status, "finished")
        if status == 429:
            assert refused.value.headers["x-codex-primary-used-percent"] == "100"

    def test_may_be_accepted_late(self) -> None:
        with Sandbox(stage({"do": "answer", "wait": 0.3, "handshake": True})) as sandbox:
            before = time.monotonic()
            with call(sandbox) as socket:
                assert time.monotonic() - before >= 0.3 and "x-models-etag" in socket.headers

    def test_may_break(self) -> None:
        with Sandbox(stage({"do": "reset", "handshake": True})) as sandbox:
            with pytest.raises(Closed):
                call(sandbox)
            assert sandbox.journal.handshakes()[0].ending == "rst"

    def test_takes_no_step_that_is_for_messages(self) -> None:
        with Sandbox(stage({"do": "answer", "text": "one"}, {"do": "answer"})) as sandbox, call(sandbox) as socket:
            assert text(socket.ask(**BODY)) == "one"


class TestAnAnswer:
    def test_is_one_text_frame_for_each_event(self) -> None:
        with Sandbox(stage({"do": "answer", "text": "two words"})) as sandbox, call(sandbox) as socket:
            events = socket.ask(**BODY)
        numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
        assert text(events) == "two words" and numbers == list(range(len(numbers)))
        assert types(events)[-1] == "response.completed" and response(events)["status"] == "completed"

    def test_tells_the_quota_in_an_event(self) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket:
            (told,) = [event for event in socket.ask(**BODY) if event["type"] == "codex.rate_limits"]
        assert told["plan_type"] == "plus"

    def test_needs_no_stream_parameter(self) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket:
            assert text(socket.ask(**STREAMLESS)) == DEFAULT_TEXT

    def test_follows_upon_another_on_the_same_connection(self) -> None:
        with Sandbox(stage({"do": "answer", "text": "one"}, {"do": "answer", "text": "two"})) as sandbox:
            with call(sandbox) as socket:
                assert [text(socket.ask(**BODY)), text(socket.ask(**BODY))] == ["one", "two"]
            first, second = sandbox.journal.responses("work")
            (handshake,) = sandbox.journal.handshakes()
        assert first.peer == second.peer == handshake.peer

    def test_of_a_prewarm_has_no_output_and_takes_no_step(self) -> None:
        with Sandbox(stage({"do": "answer", "text": "one"}, {"do": "server_error"})) as sandbox:
            with call(sandbox) as socket:
                warm = socket.ask(**BODY, generate=False)
                assert response(warm)["output"] == [] and "response.output_item.added" not in types(warm)
                assert text(socket.ask(**BODY, previous_response_id=response(warm)["id"])) == "one"
            assert [entry.step for entry in sandbox.journal.responses()] == ["", "answer"]

    def test_of_a_lite_prewarm_needs_no_tools_yet(self) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket:
            body = {**STREAMLESS, **LITE, "input": []}
            del body["instructions"]
            warm = socket.ask(**body, generate=False)
            tools = {"type": "additional_tools", "role": "developer", "tools": []}
            full = {**body, "input": [tools, USER], "previous_response_id": response(warm)["id"]}
            assert text(socket.ask(**full)) == DEFAULT_TEXT

    def test_keeps_pings_answered(self) -> None:
        with Sandbox(stage({"do": "answer", "delay": 0.02})) as sandbox, call(sandbox) as socket:
            socket.send_json({"type": "response.create", **BODY})
            socket.ping()
            assert text(socket.answer()) == DEFAULT_TEXT


class TestWhatCameBefore:
    def test_lets_a_call_have_its_output_alone(self) -> None:
        with (
            Sandbox(stage({"do": "answer", "tool": {"name": "f"}}, {"do": "answer"})) as sandbox,
            call(sandbox) as socket,
        ):
            first = socket.ask(**BODY)
            output = {"type": "function_call_output", "call_id": call_id(first), "output": "42"}
            alone = {**BODY, "input": [output]}
            assert text(socket.ask(**alone, previous_response_id=response(first)["id"])) == DEFAULT_TEXT

    @pytest.mark.parametrize("which", ["older", "of another connection", "made up"])
    def test_is_the_newest_response_of_this_connection_only(self, which: str) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket, call(sandbox) as other:
            older = response(socket.ask(**BODY))["id"]
            newest = response(socket.ask(**BODY))["id"]
            elsewhere = response(other.ask(**BODY))["id"]
            asked = {"older": older, "of another connection": elsewhere, "made up": "resp_1"}[which]
            refused = error(socket.ask(**BODY, previous_response_id=asked))
            assert refused["code"] == "previous_response_not_found"
            assert refused["message"] == f"Previous response with id '{asked}' not found."
            assert text(socket.ask(**BODY, previous_response_id=newest)) == DEFAULT_TEXT

    def test_is_forgotten_when_what_follows_fails(self) -> None:
        with (
            Sandbox(stage({"do": "answer"}, {"do": "server_error"}, {"do": "answer"})) as sandbox,
            call(sandbox) as socket,
        ):
            newest = response(socket.ask(**BODY))["id"]
            assert error(socket.ask(**BODY, previous_response_id=newest))["code"] == "server_error"
            again = error(socket.ask(**BODY, previous_response_id=newest))
        assert again["code"] == "previous_response_not_found"


class TestARefusal:
    def test_is_an_error_event_with_status_and_quota(self) -> None:
        with (
            Sandbox(stage({"do": "usage_limit", "resets_in": 60}, {"do": "answer"})) as sandbox,
            call(sandbox) as socket,
        ):
            events = socket.ask(**BODY)
            assert text(socket.ask(**BODY)) == DEFAULT_TEXT, "the connection goes on"
        assert error(events)["type"] == "usage_limit_reached" and events[0]["status"] == 429
        told = events[0]["headers"]
        assert isinstance(told, dict) and told["x-codex-primary-used-percent"] == "100"

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"store": True}, "Store must be set to false"),
            ({"temperature": 1}, "Unsupported parameter: temperature"),
            ({"model": "gpt-4.1"}, "is not supported when using Codex"),
            ({"input": "hello"}, "Input must be a list"),
            ({"background": True}, "Unsupported parameter: background"),
            (LITE, "do not agree"),
        ],
        ids=["store", "parameter", "model", "input", "background", "lite"],
    )
    def test_meets_what_is_refused_over_http(self, changes: dict[str, object], words: str) -> None:
        with Sandbox(stage({"do": "server_error"})) as sandbox, call(sandbox) as socket:
            events = socket.ask(**{**BODY, **changes})
            assert sandbox.journal.responses()[0].step == "", "it took no step"
        assert words in str(error(events)["message"]) and events[0]["status"] == 400

    @pytest.mark.parametrize("said", ["?", "[]", '{"type": "response.cancel"}'], ids=["no JSON", "no object", "type"])
    def test_meets_what_is_no_response_create(self, said: str) -> None:
        with Sandbox(stage()) as sandbox, call(sandbox) as socket:
            socket.send_text(said)
            assert error(socket.answer())["type"] == "invalid_request_error"

    def test_meets_a_second_request_while_the_first_is_answered(self) -> None:
        stall = {"do": "stall", "when": "after_events", "events": 3, "seconds": 0.3}
        with Sandbox(stage(stall)) as sandbox, call(sandbox) as socket:
            for _ in range(2):
                socket.send_json({"type": "response.create", **BODY})
            heard = socket.answer()
            assert types(heard)[-1] == "error" and text(socket.answer()) == DEFAULT_TEXT

    def test_meets_ciphertext_of_another_account(self) -> None:
        two = {"accounts": {"work": {}, "home": {}}, "websocket": True, "encrypted": "bound"}
        with Sandbox(two) as sandbox, call(sandbox) as socket:
            events = socket.ask(**{**BODY, "input": [sandbox.item("home"), USER]})
        assert error(events)["code"] == "invalid_encrypted_content"

    def test_that_is_a_page_closes_the_connection(self) -> None:
        with Sandbox(stage({"do": "bad_gateway"})) as sandbox, call(sandbox) as socket:
            socket.send_json({"type": "response.create", **BODY})
            assert socket.wait_closed().code == 1011


class TestAFault:
    @pytest.mark.parametrize(
        ("step", "frames", "code", "ending"),
        [
            ({"do": "reset", "when": "after_events", "events": 3}, 3, 1006, "rst"),
            ({"do": "reset", "when": "before_headers"}, 0, 1006, "rst"),
            ({"do": "reset", "when": "after_events", "events": 3, "how": "fin"}, 3, 1006, "fin"),
            ({"do": "cut", "when": "after_events", "events": 3}, 3, 1000, "finished"),
            ({"do": "empty"}, 0, 1000, "finished"),
        ],
        ids=["reset", "reset before", "close", "cut", "empty"],
    )
    def test_ends_the_connection(self, step: dict[str, object], frames: int, code: int, ending: str) -> None:
        with Sandbox(stage(step)) as sandbox, call(sandbox) as socket:
            socket.send_json({"type": "response.create", **BODY})
            with pytest.raises(Closed) as closed:
                socket.answer()
            entry = sandbox.journal.wait_for(lambda entry: entry.method == "WS" and entry.ending != "")
        assert (closed.value.code, len(entry.events), entry.ending) == (code, frames, ending)

    @pytest.mark.parametrize("do", ["early_failed", "error_event"])
    def test_in_an_event_leaves_the_connection_open(self, do: str) -> None:
        with (
            Sandbox(stage({"do": do, "code": "server_is_overloaded"}, {"do": "answer"})) as sandbox,
            call(sandbox) as socket,
        ):
            assert types(socket.ask(**BODY))[-1] in ("response.failed", "error")
            assert text(socket.ask(**BODY)) == DEFAULT_TEXT

    def test_in_the_middle_of_the_text_leaves_that_frame_out(self) -> None:
        with Sandbox(stage({"do": "reset", "when": "mid_text", "events": 2})) as sandbox, call(sandbox) as socket:
            socket.send_json({"type": "response.create", **BODY})
            with pytest.raises(Closed):
                socket.answer()
            entry = sandbox.journal.wait_for(lambda entry: entry.method == "WS" and entry.ending == "rst")
        assert entry.events.count("response.output_text.delta") == 2

    def test_that_only_bytes_can_have_is_none(self) -> None:
        looks = {"compress": "gzip", "newline": "crlf", "bom": True, "chunk_bytes": 7, "done_marker": True}
        with Sandbox(stage({"do": "answer", **looks})) as sandbox, call(sandbox) as socket:
            assert text(socket.ask(**BODY)) == DEFAULT_TEXT and text(socket.ask(**BODY)) == DEFAULT_TEXT


class TestTheEnd:
    def test_comes_with_the_limit_on_a_connections_life(self) -> None:
        with Sandbox(stage(websocket_life=0.3)) as sandbox, call(sandbox) as socket:
            assert text(socket.ask(**BODY)) == DEFAULT_TEXT
            assert error(socket.answer())["code"] == "websocket_connection_limit_reached"
            assert socket.wait_closed().code == 1000

    def test_of_the_peer_cancels_the_answer(self) -> None:
        stall = {"do": "stall", "when": "after_events", "events": 3}
        with Sandbox(stage(stall)) as sandbox:
            socket = call(sandbox)
            socket.send_json({"type": "response.create", **BODY})
            for _ in range(3):
                socket.receive_json()
            socket.drop()
            entry = sandbox.journal.wait_for(lambda entry: entry.ending == "cancelled")
            handshake = sandbox.journal.wait_for(lambda entry: entry.method == "GET" and entry.ending == "finished")
        assert entry.socket == handshake.number and entry.cancelled_at is not None

    def test_by_a_close_frame_is_answered_with_one(self) -> None:
        with Sandbox(stage()) as sandbox:
            with call(sandbox) as socket:
                socket.ask(**BODY)
                assert socket.close(1000).code == 1000
            sandbox.journal.wait_for(lambda entry: entry.method == "GET" and entry.ending == "finished")


class TestTheJournal:
    def test_has_the_handshake_and_every_message(self) -> None:
        with Sandbox(stage()) as sandbox:
            with call(sandbox) as socket:
                socket.ask(**BODY)
            (handshake,), (message,) = sandbox.journal.handshakes("work"), sandbox.journal.responses("work")
            assert handshake.header("sec-websocket-version") == "13" and handshake.status == 101
        assert (message.method, message.socket, message.status) == ("WS", handshake.number, 200)
        assert (message.step, message.model, message.ending) == ("answer", BODY["model"], "finished")
        assert message.body == {"type": "response.create", **BODY} == json.loads(message.content)
        assert message.header("authorization") == "<work: access token 1, good>"
        assert message.events[-1] == "response.completed" and message.input_tokens

    def test_never_has_the_token(self) -> None:
        with Sandbox(stage()) as sandbox:
            with call(sandbox) as socket:
                socket.ask(**BODY)
            page = sandbox.journal.to_json().decode()
            assert not [secret for secret in sandbox.secrets() if secret in page]


class TestThePlatform:
    def test_has_the_same_for_a_key(self) -> None:
        keys = {"paid": {"key": KEY, "steps": [{"do": "answer", "tool": {"name": "f"}}, {"do": "answer"}]}}
        with Sandbox(stage(api_keys=keys)) as sandbox:
            with connect(f"{sandbox.origin}/v1/responses", {"authorization": f"Bearer {KEY}"}) as socket:
                first = socket.ask(model="gpt-4.1", input="hello")
                output = {"type": "function_call_output", "call_id": call_id(first), "output": "42"}
                asked = {"model": "gpt-4.1", "input": [output], "previous_response_id": response(first)["id"]}
                assert text(socket.ask(**asked)) == DEFAULT_TEXT
            assert [entry.account for entry in sandbox.journal.responses()] == ["paid", "paid"]
        assert not [kind for kind in types(first) if str(kind).startswith("codex.")]

    def test_knows_its_keys_only(self) -> None:
        with Sandbox(stage(api_keys={"paid": {"key": KEY}})) as sandbox, pytest.raises(Refused) as refused:
            connect(f"{sandbox.origin}/v1/responses", {"authorization": "Bearer sk-other"})
        assert refused.value.status == 401


def call_id(events: list[Json]) -> object:
    """Of the call that an answer ends with."""
    output = response(events)["output"]
    assert isinstance(output, list)
    return output[-1]["call_id"]

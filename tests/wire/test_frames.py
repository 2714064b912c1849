"""What a WebSocket's messages ask for, and the messages that answer them."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.coding import RequestRefused
from understudy.wire.frames import (
    Create,
    busy,
    error_message,
    event_messages,
    limits_message,
    metadata_message,
    no_handshake,
    read_message,
    too_old,
    warmed,
)
from understudy.wire.reply import Reply, openai_error
from understudy.wire.sse import Decoder

CREATED = b'event: response.created\ndata: {"type":"response.created"}\n\n'
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed"}\n\n'
LIMIT = Reply(
    429,
    (("Content-Type", "application/json"), ("X-Codex-Primary-Used-Percent", "100"), ("retry-after", "60")),
    b'{"error": {"type": "usage_limit_reached", "resets_at": 1777936568}}',
)


def refusal(text: str) -> Mapping[str, object]:
    """What a message is refused with, as the host is told."""
    with pytest.raises(RequestRefused) as refused:
        read_message(text)
    value = json.loads(error_message(refused.value.reply))
    assert isinstance(value, dict) and value["type"] == "error"
    return value


def read(text: str) -> Create:
    """What a message asks for."""
    asked = read_message(text)
    assert asked is not None
    return asked


class TestAMessage:
    """`response.create`, from a host."""

    def test_is_the_body_of_a_post_that_asks_for_a_stream(self) -> None:
        asked = read('{"type":"response.create","model":"gpt-5","input":"hi"}')
        assert json.loads(asked.body) == {"model": "gpt-5", "input": "hi", "stream": True}

    def test_keeps_the_text_of_what_is_not_changed(self) -> None:
        asked = read('{"type": "response.create", "input": [1.0, "\\u00e9"],  "previous_response_id": "resp_1"}')
        assert asked.body == b'{"input":[1.0, "\\u00e9"],"previous_response_id":"resp_1","stream":true}'

    def test_cannot_ask_for_the_background_or_for_no_stream(self) -> None:
        asked = read('{"type":"response.create","background":true,"stream":false,"generate":false}')
        assert json.loads(asked.body) == {"generate": False, "stream": True}

    def test_has_in_its_metadata_what_would_be_header_fields_over_http(self) -> None:
        metadata = {
            "ws_request_header_x_openai_internal_codex_responses_lite": "true",
            "ws_request_header_traceparent": "00-1-2-01",
            "x-codex-turn-state": "state",
            "x-codex-turn-metadata": '{"turn_id":"t"}',
        }
        asked = read(json.dumps({"type": "response.create", "client_metadata": metadata}))
        assert dict(asked.fields) == {
            "x-openai-internal-codex-responses-lite": "true",
            "traceparent": "00-1-2-01",
            "x-codex-turn-state": "state",
            "x-codex-turn-metadata": '{"turn_id":"t"}',
        }
        assert json.loads(asked.body)["client_metadata"] == metadata

    @pytest.mark.parametrize(
        "metadata",
        [
            {"ws_request_header_authorization": "Bearer x"},
            {"ws_request_header_host": "example.org"},
            {"ws_request_header_x_codex_note": "a\r\nhost: example.org"},
            {"ws_request_header_x_codex_note": ""},
            {"x-codex-turn-state": 1},
            {"session_id": "s"},
            None,
            [],
        ],
    )
    def test_has_no_other_header_fields(self, metadata: object) -> None:
        assert read(json.dumps({"type": "response.create", "client_metadata": metadata})).fields == ()

    @pytest.mark.parametrize("text", ["", "[]", "7", '"hi"', "{", '{"a":NaN}', "[" * 100_000])
    def test_that_is_no_json_object_is_refused(self, text: str) -> None:
        told = refusal(text)
        assert told["status"] == 400
        assert told["error"] == {
            "type": "invalid_request_error",
            "message": "Each message must be a JSON object.",
            "param": None,
            "code": "invalid_json",
        }

    @pytest.mark.parametrize(
        ("text", "shown"),
        [('{"type":"response.cancel"}', "'response.cancel'"), ("{}", "none"), ('{"type":["response.create"]}', "none")],
    )
    def test_of_another_type_is_refused_by_its_name(self, text: str, shown: str) -> None:
        error = refusal(text)["error"]
        assert isinstance(error, dict)
        assert error["message"] == f"Unknown message type: {shown}. Send messages of type 'response.create'."
        assert (error["type"], error["param"]) == ("invalid_request_error", "type")

    def test_that_only_says_that_an_answer_was_read_asks_for_nothing(self) -> None:
        assert read_message('{"type":"response.processed","response_id":"resp_1"}') is None

    @given(st.text())
    def test_of_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            read_message(text)
        except RequestRefused as refused:
            assert refused.reply.status == 400


class TestAnAnswer:
    """Events of a stream, as messages."""

    def test_has_a_message_for_each_event(self) -> None:
        texts, _ = event_messages(Decoder().feed(CREATED + COMPLETED))
        assert texts == ['{"type":"response.created"}', '{"type":"response.completed"}']

    @pytest.mark.parametrize("event", [b": keepalive\n\n", b"data: [DONE]\n\n", b"event: x\n\n"])
    def test_leaves_out_what_is_no_json_object(self, event: bytes) -> None:
        assert event_messages(Decoder().feed(event)) == ([], False)

    @pytest.mark.parametrize(
        ("type", "ends"),
        [
            ("response.created", False),
            ("response.output_text.delta", False),
            ("codex.rate_limits", False),
            ("response.completed", True),
            ("response.incomplete", True),
            ("response.failed", True),
            ("error", True),
        ],
    )
    def test_ends_with_an_event_that_says_so(self, type: str, ends: bool) -> None:
        assert event_messages(Decoder().feed(b'data: {"type":"%s"}\n\n' % type.encode()))[1] is ends


class TestAHead:
    """What is in the head of an answer over HTTP."""

    def test_is_told_as_far_as_codex_reads_it(self) -> None:
        said = metadata_message((("X-Codex-Turn-State", "s1"), ("OpenAI-Model", "gpt-5"), ("x-request-id", "r")))
        assert json.loads(said or "") == {
            "type": "response.metadata",
            "headers": {"x-codex-turn-state": "s1", "openai-model": "gpt-5"},
        }

    def test_may_have_nothing_to_tell(self) -> None:
        assert metadata_message((("content-type", "text/event-stream"),)) is None

    def test_tells_codex_the_quota_in_the_head_of_its_answer(self) -> None:
        window = {"used-percent": "12.5", "window-minutes": "300", "reset-at": "1700000000"}
        head = (("x-codex-plan-type", "plus"), *((f"X-Codex-Primary-{n}", v) for n, v in window.items()))
        told = {"used_percent": 12.5, "window_minutes": 300, "reset_at": 1700000000}
        assert json.loads(limits_message(head) or "") == {
            "type": "codex.rate_limits",
            "plan_type": "plus",
            "rate_limits": {"primary": told},
        }
        assert limits_message((("x-codex-primary-used-percent", "12"),)) is None


class TestAnError:
    """An answer that is no stream, as a message."""

    def test_has_the_status_the_error_object_and_the_header_fields(self) -> None:
        assert json.loads(error_message(LIMIT)) == {
            "type": "error",
            "status": 429,
            "error": {"type": "usage_limit_reached", "resets_at": 1777936568},
            "headers": {"x-codex-primary-used-percent": "100", "retry-after": "60"},
        }

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"detail":"x"}', b"\xff"])
    def test_without_an_object_says_its_status(self, body: bytes) -> None:
        told = json.loads(error_message(Reply(503, (), body)))
        assert (told["status"], told["error"]["type"]) == (503, "server_error")
        assert told["error"]["message"] == "The request was answered with status 503."

    def test_is_none_of_a_success(self) -> None:
        assert json.loads(error_message(Reply(200, (), b'{"object":"response","error":null}')))["status"] == 502

    def test_of_an_old_connection_has_the_words_that_hosts_know(self) -> None:
        told = json.loads(error_message(too_old()))
        assert told["error"]["code"] == "websocket_connection_limit_reached"
        assert told["error"]["message"] == (
            "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue."
        )

    @pytest.mark.parametrize("reply", [busy(), no_handshake(), openai_error(401, "No.", type="x")])
    def test_says_all_that_the_reply_says(self, reply: Reply) -> None:
        told = json.loads(error_message(reply))
        assert (told["status"], {"error": told["error"]}) == (reply.status, json.loads(reply.body))


class TestAWarmUp:
    """The answer to a request which wants nothing generated."""

    def test_begins_and_is_complete_with_nothing_in_it(self) -> None:
        created, completed = (json.loads(event.data) for event in Decoder().feed(warmed("resp_1", "gpt-5", 7)))
        assert (created["type"], created["response"]["status"]) == ("response.created", "in_progress")
        assert (completed["type"], completed["response"]["status"]) == ("response.completed", "completed")
        assert [created["sequence_number"], completed["sequence_number"]] == [0, 1]
        for response in (created["response"], completed["response"]):
            assert (response["id"], response["model"], response["created_at"]) == ("resp_1", "gpt-5", 7)
            assert (response["object"], response["output"]) == ("response", [])
        assert created["response"]["usage"] is None
        assert completed["response"]["usage"] == {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        }

    def test_may_follow_other_events(self) -> None:
        numbers = [json.loads(event.data)["sequence_number"] for event in Decoder().feed(warmed("r", "m", 7, 3))]
        assert numbers == [3, 4]

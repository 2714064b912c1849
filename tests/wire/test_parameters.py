"""Which parameters go upstream, and what the backend insists on."""

import json

import pytest

from understudy.wire.coding import RequestRefused
from understudy.wire.parameters import Parameters, read_parameters
from understudy.wire.provider import CODEX, PLATFORM


def read(**given: object) -> Parameters:
    return read_parameters(json.dumps({"model": "gpt-5", "input": "hi"} | given).encode(), CODEX)


def body(**given: object) -> dict[str, object]:
    value = json.loads(read(**given).body)
    assert isinstance(value, dict)
    return value


def refusal(content: bytes) -> dict[str, object]:
    with pytest.raises(RequestRefused) as caught:
        read_parameters(content, CODEX)
    assert caught.value.reply.status == 400
    error = json.loads(caught.value.reply.body)["error"]
    assert error["type"] == "invalid_request_error"
    return dict(error)


def refused(**given: object) -> tuple[object, object]:
    error = refusal(json.dumps({"model": "gpt-5", "input": "hi"} | given).encode())
    return error["param"], error["code"]


def test_a_plain_string_becomes_one_user_message() -> None:
    assert body()["input"] == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]


def test_the_string_keeps_its_escapes() -> None:
    content = rb'{"model": "m", "input": "\u00e9 \/ \ud83d\ude00"}'
    assert rb'"text":"\u00e9 \/ \ud83d\ude00"' in read_parameters(content, CODEX).body


def test_what_we_do_not_change_goes_on_byte_for_byte() -> None:
    content = b'{"model":"m","reasoning":{ "effort" : "low" },"text":{"x":1.50e+3},"input":[{"b":1.0, "a":"\\u00e9"}]}'
    sent = read_parameters(content, CODEX).body
    for kept in (b'{ "effort" : "low" }', b'{"x":1.50e+3}', b'[{"b":1.0, "a":"\\u00e9"}]'):
        assert kept in sent


@pytest.mark.parametrize("value", [True, False, None, "yes"])
def test_the_host_gets_a_stream_only_for_true(value: object) -> None:
    assert read(stream=value).stream is (value is True)
    assert body(stream=value)["stream"] is True


def test_instructions_are_always_there_and_the_hosts_own_where_given() -> None:
    assert body()["instructions"] == ""
    assert body(instructions=None)["instructions"] == ""
    assert body(instructions="be brief")["instructions"] == "be brief"


def test_a_responses_lite_body_gets_no_instructions() -> None:
    lite = [{"type": "additional_tools", "role": "developer", "tools": []}]
    assert "instructions" not in body(input=lite)
    assert "tools" not in body(input=lite)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ["reasoning.encrypted_content"]),
        ([], ["reasoning.encrypted_content"]),
        (["reasoning.encrypted_content"], ["reasoning.encrypted_content"]),
        (["message.output_text.logprobs"], ["message.output_text.logprobs", "reasoning.encrypted_content"]),
    ],
    ids=["absent", "empty", "there", "others"],
)
def test_the_encrypted_reasoning_is_asked_for_once_beside_what_the_host_wants(given: object, expected: object) -> None:
    assert body(include=given)["include"] == expected


@pytest.mark.parametrize(
    ("given", "sent", "named"),
    [
        ("priority", "priority", False),
        ("fast", "priority", False),
        ("flex", None, True),
        ("auto", None, False),
        ("default", None, False),
        (7, None, True),
        ([], None, True),
    ],
)
def test_of_the_service_tiers_only_priority_goes_on(given: object, sent: str | None, named: bool) -> None:
    assert body(service_tier=given).get("service_tier") == sent
    assert ("service_tier" in read(service_tier=given).removed) is named


@pytest.mark.parametrize(
    ("given", "sent", "named"),
    [
        ({"reasoning_summary_delivery": "x"}, {"reasoning_summary_delivery": "x"}, False),
        ({"reasoning_summary_delivery": "x", "y": 1}, {"reasoning_summary_delivery": "x"}, True),
        ({"include_obfuscation": False}, None, True),
        ({}, None, False),
        ("x", None, True),
    ],
)
def test_of_the_stream_options_only_the_summary_delivery_goes_on(given: object, sent: object, named: bool) -> None:
    assert body(stream_options=given).get("stream_options") == sent
    assert ("stream_options" in read(stream_options=given).removed) is named


def test_what_the_backend_does_not_know_stays_behind_and_is_named() -> None:
    parameters = read(temperature=0.5, max_output_tokens=10, user="u", top_p=None, background=False)
    assert parameters.removed == ("temperature", "max_output_tokens", "user")
    assert json.loads(parameters.body).keys() == {"model", "input", "include", "stream", "store", "instructions"}


def test_null_is_as_good_as_absent() -> None:
    assert body(tools=None, reasoning=None, previous_response_id=None, conversation=None) == body()


def test_a_name_that_could_steer_a_terminal_is_not_shown_as_it_is() -> None:
    assert read(**{"\x1b]0;x\x07": 1}).removed == ("]0;x",)


def test_a_body_of_countless_names_has_few_of_them_shown() -> None:
    assert len(read(**{f"x{n}": n for n in range(1000)}).removed) <= 32


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"model": 7}, "model", "invalid_type"),
        ({"model": ""}, "model", "invalid_type"),
        ({"model": "a\nb"}, "model", "invalid_type"),
        ({"model": "\ud800"}, "model", "invalid_type"),
        ({"model": "m" * 201}, "model", "invalid_type"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": {"role": "user"}}, "input", "invalid_type"),
        ({"input": 7}, "input", "invalid_type"),
        ({"include": "reasoning.encrypted_content"}, "include", "invalid_type"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_parameter_of_the_wrong_type_is_refused_by_name(given: dict[str, object], param: str, code: str) -> None:
    assert refused(**given) == (param, code)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'"x"', b"{", b'{"model": NaN}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    assert "JSON object" in str(refusal(content)["message"])


METADATA = {"session_id": "ms", "conversation_id": "mc", "thread_id": "mt"}


def test_the_session_goes_by_codexs_names_then_by_the_hosts_then_by_the_cache_key() -> None:
    parameters = read(client_metadata={"session_id": "s", "thread_id": "t"}, metadata=METADATA, prompt_cache_key="k")
    assert parameters.session_keys == ("t", "s", "ms", "mc", "mt", "k")
    assert parameters.removed == ()


def test_what_is_no_name_names_no_session() -> None:
    given = {"client_metadata": {"thread_id": 7, "session_id": " "}, "metadata": [METADATA], "prompt_cache_key": ""}
    assert read(**given).session_keys == ()


def test_a_sub_agents_parent_and_a_turn_state_are_read_from_the_client_s_metadata() -> None:
    given = read(client_metadata={"x-codex-parent-thread-id": "parent", "x-codex-turn-state": "opaque"})
    assert (given.parent, given.turn_state) == ("parent", "opaque")
    assert (read().parent, read().turn_state) == ("", "")


AS_GIVEN = {
    "temperature": 0.5,
    "max_output_tokens": 10,
    "metadata": {"a": "b"},
    "store": True,
    "service_tier": "flex",
    "stream_options": {"include_obfuscation": False},
    "include": ["message.output_text.logprobs"],
    "a_parameter_of_the_future": [1],
}


def test_the_platform_gets_what_the_host_gave_and_a_stream() -> None:
    given = {"model": "gpt-5", "input": "hi", "stream": False} | AS_GIVEN
    parameters = read_parameters(json.dumps(given).encode(), PLATFORM)
    assert json.loads(parameters.body) == given | {"stream": True}
    assert (parameters.stream, parameters.removed) == (False, ())


def test_the_platform_is_not_told_what_only_the_codex_backend_misses() -> None:
    body = json.loads(read_parameters(b'{"model": "gpt-5", "input": "hi"}', PLATFORM).body)
    assert body == {"model": "gpt-5", "input": "hi", "stream": True}

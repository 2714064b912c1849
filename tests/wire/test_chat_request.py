"""A Chat Completions request, read as the Responses request that asks for the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.chat.options import ChatOptions
from understudy.wire.chat.request import ChatRequest, read_chat
from understudy.wire.coding import RequestRefused
from understudy.wire.provider import CODEX, PLATFORM, Rules
from understudy.wire.request import read_request

HELLO = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}


def read(**parameters: object) -> ChatRequest:
    return read_chat(json.dumps(HELLO | parameters).encode(), lambda call_id: ())


def body(**parameters: object) -> dict[str, Any]:
    value = json.loads(read(**parameters).body)
    assert isinstance(value, dict)
    return value


def refusal(content: bytes) -> dict[str, Any]:
    with pytest.raises(RequestRefused) as refused:
        read_chat(content, lambda call_id: ())
    assert refused.value.reply.status == 400
    error = json.loads(refused.value.reply.body)["error"]
    assert error["type"] == "invalid_request_error"
    return dict(error)


def refused(**parameters: object) -> dict[str, Any]:
    return refusal(json.dumps(HELLO | parameters).encode())


def test_the_simplest_request_asks_for_one_message_and_is_not_stored() -> None:
    assert body() == {
        "model": "gpt-5.5",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "store": False,
    }


PASSED: dict[str, tuple[object, dict[str, object]]] = {
    "stream": (True, {"stream": True}),
    "parallel_tool_calls": (False, {"parallel_tool_calls": False}),
    "verbosity": ("low", {"text": {"verbosity": "low"}}),
    "reasoning_effort": ("high", {"reasoning": {"effort": "high"}}),
    "max_tokens": (5, {"max_output_tokens": 5}),
    "max_completion_tokens": (5, {"max_output_tokens": 5}),
    "temperature": (0.5, {"temperature": 0.5}),
    "top_p": (0.5, {"top_p": 0.5}),
    "service_tier": ("priority", {"service_tier": "priority"}),
    "prompt_cache_key": ("k", {"prompt_cache_key": "k"}),
    "prompt_cache_options": ({"mode": "explicit"}, {"prompt_cache_options": {"mode": "explicit"}}),
    "prompt_cache_retention": ("24h", {"prompt_cache_retention": "24h"}),
    "safety_identifier": ("s", {"safety_identifier": "s"}),
    "user": ("u", {"user": "u"}),
    "metadata": ({"session_id": "s"}, {"metadata": {"session_id": "s"}}),
}


@pytest.mark.parametrize(("name", "value", "becomes"), [(name, *row) for name, row in PASSED.items()], ids=PASSED)
def test_what_responses_has_too_goes_there_under_its_name_there(
    name: str, value: object, becomes: dict[str, object]
) -> None:
    assert body(**{name: value}) == body() | becomes
    assert read(**{name: value}).dropped == ()


def test_a_completion_is_never_kept_for_the_program() -> None:
    assert body(store=True) == body() and body()["store"] is False
    assert (read(store=True).dropped, read(store=False).dropped) == (("store",), ())


def test_max_completion_tokens_counts_before_max_tokens_in_either_order() -> None:
    assert body(max_tokens=1, max_completion_tokens=2)["max_output_tokens"] == 2
    assert body(max_completion_tokens=2, max_tokens=1)["max_output_tokens"] == 2


def test_format_and_verbosity_of_the_text_go_together() -> None:
    assert body(verbosity="low", response_format={"type": "text"})["text"] == {
        "format": {"type": "text"},
        "verbosity": "low",
    }


def test_a_schema_lies_one_object_less_deep_and_is_strict_only_where_that_is_said() -> None:
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}}
    flat = {"type": "json_schema", **schema}
    loose = {"type": "json_schema", "json_schema": schema}
    strict = {"type": "json_schema", "json_schema": schema | {"strict": True}}
    assert body(response_format=loose)["text"]["format"] == flat | {"strict": False}
    assert body(response_format=strict)["text"]["format"] == flat | {"strict": True}


def test_a_schema_that_is_not_given_is_any_object() -> None:
    named = {"type": "json_schema", "json_schema": {"name": "n", "strict": None}}
    assert body(response_format=named)["text"]["format"] == {
        "type": "json_schema",
        "name": "n",
        "schema": {"type": "object"},
        "strict": False,
    }


def test_json_without_a_schema_is_a_format_too() -> None:
    assert body(response_format={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("logit_bias", {"50256": -100}),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("seed", 0),
        ("prediction", {"type": "content", "content": "x"}),
        ("moderation", {"model": "omni-moderation-latest"}),
        ("what_comes_next", True),
    ],
)
def test_what_responses_has_no_place_for_is_left_behind_and_named(name: str, value: object) -> None:
    asked = read(**{name: value})
    assert asked.dropped == (name,)
    assert json.loads(asked.body) == body()


IDLE = {
    "n": 1,
    "modalities": ["text"],
    "stop": [],
    "frequency_penalty": 0,
    "presence_penalty": 0.0,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
}


@pytest.mark.parametrize(("name", "value"), IDLE.items(), ids=IDLE)
def test_what_asks_for_nothing_is_not_worth_a_note(name: str, value: object) -> None:
    assert read(**{name: value}) == read(**{name: None}) == read()


@pytest.mark.parametrize(
    ("name", "value"), [("n", 2), ("n", 0), ("modalities", ["text", "audio"]), ("audio", {"voice": "alloy"})]
)
def test_what_cannot_be_had_is_refused(name: str, value: object) -> None:
    assert refused(**{name: value})["param"] == name


def test_a_stream_says_how_much_was_used_where_that_is_asked_for() -> None:
    assert read(stream_options={"include_usage": True}).options == ChatOptions("gpt-5.5", include_usage=True)
    assert read(stream_options={"include_usage": False}).options == ChatOptions("gpt-5.5")
    assert "stream_options" not in body(stream_options={"include_usage": True})


@pytest.mark.parametrize(
    ("given", "stop"), [("END", ("END",)), (["a", "b"], ("a", "b")), (["", "b"], ("b",)), ("", ())]
)
def test_what_ends_the_text_is_for_the_telling_of_the_answer(given: object, stop: tuple[str, ...]) -> None:
    asked = read(stop=given)
    assert (asked.options.stop, asked.dropped, json.loads(asked.body)) == (stop, (), body())


@pytest.mark.parametrize("given", [7, [7], list("abcde"), {"a": 1}])
def test_what_cannot_end_a_text_is_refused(given: object) -> None:
    assert refused(stop=given)["param"] == "stop"


def test_the_tool_that_searches_the_web_is_that_of_responses() -> None:
    options = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Bern", "country": "CH"}},
    }
    assert body(web_search_options=options)["tools"] == [
        {
            "type": "web_search",
            "search_context_size": "low",
            "user_location": {"type": "approximate", "city": "Bern", "country": "CH"},
        }
    ]
    assert body(web_search_options={})["tools"] == [{"type": "web_search"}]


def test_what_is_not_changed_keeps_its_exact_text() -> None:
    content = (
        b'{"model":"m", "temperature": 1.50e0, "metadata": { "a" : "\\u00e9" },'
        b' "tools": [{"type": "function", "function": {"parameters": { "b": 1.0 }, "name": "f"}}],'
        b' "messages": [{"content": "\\u0041\xc3\xa9", "role": "user"}]}'
    )
    made = read_chat(content, lambda call_id: ()).body
    for text in (b'"temperature":1.50e0', b'{ "a" : "\\u00e9" }', b'{ "b": 1.0 }', b'"text":"\\u0041\xc3\xa9"'):
        assert text in made


NO_REQUESTS: dict[str, tuple[bytes, str | None]] = {
    "nothing": (b"", None),
    "no object": (b"[]", None),
    "nested too deeply": (b'{"model":"m","messages":' + b"[" * 100_000, None),
    "no model": (b'{"messages":[{"role":"user","content":""}]}', "model"),
    "a model that is none": (b'{"model":7,"messages":[{"role":"user","content":""}]}', "model"),
    "no messages": (b'{"model":"m"}', "messages"),
    "messages that are none": (b'{"model":"m","messages":"hi"}', "messages"),
    "no message": (b'{"model":"m","messages":[]}', "messages"),
    "an unknown format": (
        b'{"model":"m","messages":[{"role":"user","content":""}],"response_format":{"type":"yaml"}}',
        "response_format.type",
    ),
}


@pytest.mark.parametrize(("content", "param"), NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_refused_with_the_place(content: bytes, param: str | None) -> None:
    assert refusal(content)["param"] == param


@given(st.binary())
def test_arbitrary_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    with pytest.raises(RequestRefused):
        read_chat(content, lambda call_id: ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "type", "content", "text", "tool_calls", "function", "custom", "name", "id", "url", "tools"]
            ),
            inner | st.sampled_from(["user", "assistant", "tool", "text", "function", "custom"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [*PASSED, *IDLE, "tools", "tool_choice", "functions", "function_call", "response_format", "web_search_options"]
)


@given(st.lists(JSON, max_size=3), st.dictionaries(NAMES, JSON, max_size=3))
def test_a_request_of_any_form_is_read_or_refused(messages: list[object], parameters: dict[str, object]) -> None:
    content = json.dumps({"model": "m", "messages": messages, **parameters}).encode()
    try:
        json.loads(read_chat(content, lambda call_id: ()).body)
    except RequestRefused:
        pass


@pytest.mark.parametrize("rules", [CODEX, PLATFORM], ids=["codex", "platform"])
def test_what_is_made_of_it_is_a_request_that_every_provider_s_rules_can_read(rules: Rules) -> None:
    asked = read(stream=True, temperature=0.5, max_tokens=5, metadata={"session_id": "s"})
    upstream = read_request((), asked.body, rules)
    assert (upstream.model, upstream.stream, upstream.held) == ("gpt-5.5", True, False)
    assert set(upstream.removed) == ({"temperature", "max_output_tokens"} if rules is CODEX else set())

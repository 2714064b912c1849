"""The messages of a Chat Completions request, as the items of a Responses request's input."""

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.chat.request import ChatRequest, read_chat
from understudy.wire.coding import RequestRefused
from understudy.wire.jsontext import elements, members
from understudy.wire.provider import CODEX
from understudy.wire.request import read_request


def read(messages: object, reasoning: Mapping[str, tuple[str, ...]] = {}) -> ChatRequest:
    content = json.dumps({"model": "m", "messages": messages}).encode()
    return read_chat(content, lambda call_id: reasoning.get(call_id, ()))


def raw_items(messages: object, reasoning: Mapping[str, tuple[str, ...]] = {}) -> list[str]:
    return [part.raw for part in elements(members(read(messages, reasoning).body)["input"].raw)]


def items(*messages: object) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in raw_items(messages)]


def refused_at(*messages: object) -> str:
    with pytest.raises(RequestRefused) as refused:
        items(*messages)
    return str(json.loads(refused.value.reply.body)["error"]["param"])


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def calling(*calls: tuple[str, str], content: object = None) -> dict[str, object]:
    made = [{"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}} for id, name in calls]
    return {"role": "assistant", "content": content, "tool_calls": made}


def output(id: str, content: object = "done") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": id, "content": content}


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_a_text_to_the_model_is_a_message_of_its_role(role: str) -> None:
    assert items({"role": role, "content": "hi"}) == [
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": "hi"}]}
    ]


def test_the_system_is_the_developer_for_a_provider_without_that_role() -> None:
    asked = read([{"role": "system", "content": "s"}, user("u")])
    upstream = json.loads(read_request((), asked.body, CODEX).body)
    assert [item["role"] for item in upstream["input"]] == ["developer", "user"]


PARTS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "text": ({"type": "text", "text": "t"}, {"type": "input_text", "text": "t"}),
    "an image": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
    ),
    "an image without detail": (
        {"type": "image_url", "image_url": {"url": "https://e.test/i.png", "detail": None}},
        {"type": "input_image", "image_url": "https://e.test/i.png"},
    ),
    "a file": (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"},
    ),
    "a file that was uploaded": (
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_id": "file-1"},
    ),
}


@pytest.mark.parametrize(("part", "becomes"), PARTS.values(), ids=PARTS)
def test_a_part_of_a_message_is_a_part_of_it(part: dict[str, object], becomes: dict[str, object]) -> None:
    assert items(user([part]))[0]["content"] == [becomes]
    assert items(calling(("c", "f")), output("c", [part]))[1]["output"] == [becomes]


def test_what_the_assistant_said_is_its_output() -> None:
    parts = [{"type": "text", "text": "t"}, {"type": "refusal", "refusal": "r"}]
    said = [{"type": "output_text", "text": "t"}, {"type": "refusal", "refusal": "r"}]
    assert items({"role": "assistant", "content": "t"})[0]["content"] == said[:1]
    assert items({"role": "assistant", "content": parts}) == [{"type": "message", "role": "assistant", "content": said}]
    assert items({"role": "assistant", "content": None, "refusal": "r"})[0]["content"] == said[1:]


def test_an_assistant_that_said_nothing_is_no_item() -> None:
    assert items(user("a"), {"role": "assistant", "content": ""}, user("b")) == items(user("a"), user("b"))
    assert items(calling(("c", "f"), content="")) == items(calling(("c", "f")))


def test_the_answer_of_an_sdk_can_be_given_back_as_it_is() -> None:
    empty: dict[str, object] = {
        "refusal": None,
        "audio": None,
        "annotations": [],
        "function_call": None,
        "tool_calls": None,
    }
    said: dict[str, object] = {"role": "assistant", "content": "t"}
    assert items(said | empty) == items(said)


def test_a_call_and_its_output_are_items_tied_by_the_id() -> None:
    assert items(calling(("call_1", "f"), content="I look."), output("call_1")) == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]


def test_a_custom_tool_s_call_and_its_output_are_its_own_items() -> None:
    call = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "text"}}
    assert items({"role": "assistant", "tool_calls": [call]}, output("call_1")) == [
        {"type": "custom_tool_call", "call_id": "call_1", "name": "c", "input": "text"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
    ]


def test_a_call_of_no_kind_is_a_function_s() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    assert items({"role": "assistant", "tool_calls": [call]}) == items(calling(("c", "f")))


def legacy(name: str) -> list[dict[str, object]]:
    return [
        {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}},
        {"role": "function", "name": name, "content": "done"},
    ]


def test_a_legacy_call_has_an_id_made_up_for_it_and_its_output_goes_to_the_latest_one_of_the_name() -> None:
    made = items(*legacy("f"), *legacy("g"), *legacy("f"))
    assert [item["call_id"] for item in made] == [f"call_legacy_{n}" for n in (0, 0, 1, 1, 2, 2)]
    assert made[:2] == [
        {"type": "function_call", "call_id": "call_legacy_0", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_legacy_0", "output": "done"},
    ]


def test_a_legacy_function_may_have_nothing_to_say() -> None:
    call, answer = legacy("f")
    assert items(call, answer | {"content": None})[1]["output"] == ""


R1 = '{ "type":"reasoning","id":"rs_1", "summary": [] , "encrypted_content":"g"}'
R2 = '{"type":"reasoning", "id":"rs_2","summary":[],"encrypted_content":"h"}'


def test_reasoning_comes_right_before_the_calls_that_it_led_to_byte_for_byte() -> None:
    messages = [user("u"), calling(("a", "f"), ("b", "g"), content="I look."), output("a"), output("b")]
    made = raw_items(messages, {"a": (R1, R2)})
    plain = raw_items(messages)
    assert made == [*plain[:2], R1, R2, *plain[2:]]


def test_reasoning_that_led_to_two_calls_comes_once() -> None:
    messages = [calling(("a", "f"), ("b", "g")), output("a"), output("b"), calling(("c", "f"))]
    made = raw_items(messages, {"a": (R1,), "b": (R1, R2), "c": (R2,)})
    assert [at for at, raw in enumerate(made) if raw in (R1, R2)] == [0, 1]


def test_names_of_speakers_and_marks_for_the_cache_are_left_behind_and_named() -> None:
    marked = {"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}}
    asked = read([user([marked]) | {"name": "ann"}, user("x") | {"name": "bob"}])
    assert asked.dropped == ("messages.prompt_cache_breakpoint", "messages.name")
    assert b"breakpoint" not in asked.body


REFUSED: dict[str, tuple[list[object], str]] = {
    "no message": (["hi"], "messages[0]"),
    "no role": ([{"content": "hi"}], "messages[0].role"),
    "an unknown role": ([user("u"), {"role": "narrator", "content": "hi"}], "messages[1].role"),
    "no content": ([{"role": "user"}], "messages[0].content"),
    "null for a content": ([user(None)], "messages[0].content"),
    "a number for a content": ([user(7)], "messages[0].content"),
    "a part that is none": ([user(["hi"])], "messages[0].content[0]"),
    "a part without a type": ([user([{"text": "t"}])], "messages[0].content[0].type"),
    "a part of Responses": ([user([{"type": "input_text", "text": "t"}])], "messages[0].content[0].type"),
    "a text without text": ([user([{"type": "text"}])], "messages[0].content[0].text"),
    "an image in another form": (
        [user([{"type": "image_url", "image_url": "https://e.test"}])],
        "messages[0].content[0].image_url",
    ),
    "audio": ([user([{"type": "input_audio", "input_audio": {}}])], "messages[0].content[0].type"),
    "audio of the assistant": ([{"role": "assistant", "audio": {"id": "a"}}], "messages[0].audio"),
    "an image of the assistant": (
        [{"role": "assistant", "content": [{"type": "image_url"}]}],
        "messages[0].content[0].type",
    ),
    "an assistant without anything": ([{"role": "assistant", "content": None}], "messages[0].content"),
    "a call without an id": (
        [{"role": "assistant", "tool_calls": [{"type": "function", "function": {}}]}],
        "messages[0].tool_calls[0].id",
    ),
    "a call of another kind": (
        [{"role": "assistant", "tool_calls": [{"id": "c", "type": "mcp"}]}],
        "messages[0].tool_calls[0].type",
    ),
    "a call without arguments": (
        [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}],
        "messages[0].tool_calls[0].function.arguments",
    ),
    "an output without a call's id": ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
    "an output without a call": ([output("c")], "messages[0].tool_call_id"),
    "a legacy output without a call": ([legacy("f")[1]], "messages[0].name"),
    "a legacy call without a name": ([{"role": "assistant", "function_call": {}}], "messages[0].function_call.name"),
}


@pytest.mark.parametrize(("messages", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_message_is_refused_with_the_place(messages: list[object], param: str) -> None:
    assert refused_at(*messages) == param


def test_the_refusal_of_a_role_says_which_there_are_as_openai_does() -> None:
    with pytest.raises(RequestRefused) as refused:
        items({"role": "narrator", "content": "hi"})
    message = json.loads(refused.value.reply.body)["error"]["message"]
    roles = "'system', 'developer', 'user', 'assistant', 'tool', and 'function'"
    assert message == f"Invalid value: 'narrator'. Supported values are: {roles}."


TURNS = st.lists(
    st.one_of(
        st.builds(lambda text: [user(text)], st.text(max_size=5)),
        st.builds(lambda text: [{"role": "assistant", "content": text}], st.text(max_size=5)),
        st.builds(lambda: [user([part for part, _ in PARTS.values()])]),
        st.builds(lambda id: [calling((f"c{id}", "f")), output(f"c{id}")], st.integers(0, 9)),
        st.builds(legacy, st.sampled_from("fg")),
    ),
    max_size=6,
)


@given(TURNS, TURNS)
def test_a_conversation_that_goes_on_begins_with_the_same_bytes(before: list[Any], after: list[Any]) -> None:
    reasoning = {"c1": (R1,), "c2": (R1, R2)}
    first = [user("start"), *chain.from_iterable(before)]
    begun, gone_on = raw_items(first, reasoning), raw_items([*first, *chain.from_iterable(after)], reasoning)
    assert gone_on[: len(begun)] == begun

"""The items of a request's input."""

import json
from dataclasses import replace

import pytest

from understudy.wire.items import (
    are_held,
    continues,
    is_responses_lite,
    opening,
    read_items,
    user_message,
    without_reasoning,
)
from understudy.wire.provider import CODEX, PLATFORM, Rules


def read(raw: str, rules: Rules = CODEX) -> str:
    text = f"[{raw}]"
    return read_items(json.loads(text), text, rules)[1:-1]


UNTOUCHED = {
    "a message": '{ "role": "user", "content": "hi" }',
    "a message with parts": '{"type":"message","role":"developer","content":[{"type":"input_text","text":"\\u00e9"}]}',
    "reasoning with its ciphertext": '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}',
    "reasoning from model_dump()": '{"type":"reasoning", "content": null, "encrypted_content":"gAAA","status":null}',
    "a call": '{"type":"function_call","id":"fc_1","name":"f","arguments":"{\\"n\\": 1.0}","async_":null}',
    "compaction": '{"type":"compaction","encrypted_content":"gAAA"}',
    "a type of the future": '{"type":"what_comes_next","id":"x"}',
    "no object": '"hi"',
}


@pytest.mark.parametrize("raw", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_an_item_that_needs_no_change_goes_on_byte_for_byte(raw: str) -> None:
    assert read(raw) == raw


LOST = {
    "a reference": '{"type": "item_reference", "id": "rs_1"}',
    "a reference that leaves its type out": '{"id": "rs_1"}',
    "a reference from model_dump()": '{"id": "rs_1", "type": null}',
    "reasoning without ciphertext": '{"type": "reasoning", "id": "rs_1", "summary": []}',
    "reasoning with null for ciphertext": '{"type": "reasoning", "id": "rs_1", "encrypted_content": null}',
    "reasoning with empty ciphertext": '{"type": "reasoning", "id": "rs_1", "encrypted_content": ""}',
}


@pytest.mark.parametrize("raw", LOST.values(), ids=LOST.keys())
def test_what_only_points_at_something_stored_is_left_out(raw: str) -> None:
    assert read(raw) == ""
    assert read(f'{raw}, {{"role": "user"}}') == '{"role": "user"}'


def test_the_system_is_the_developer_and_nothing_else_of_its_message_changes() -> None:
    assert read('{"role": "system", "content": [ 1.0 ]}') == '{"role":"developer","content":[ 1.0 ]}'


def test_readable_reasoning_is_taken_from_beside_its_ciphertext() -> None:
    item = json.loads(read('{"type":"reasoning","content":[{"type":"reasoning_text"}],"encrypted_content":"gAAA"}'))
    assert item == {"type": "reasoning", "encrypted_content": "gAAA"}


@pytest.mark.parametrize("raw", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_all_but_reasoning_goes_to_the_platform_byte_for_byte(raw: str) -> None:
    assert read(raw, PLATFORM) == ("" if '"reasoning"' in raw else raw)


def test_the_platform_knows_the_system_but_none_of_what_was_stored_elsewhere() -> None:
    assert read('{"role":"system"}, {"type":"item_reference","id":"msg_1"}, {"id":"rs_1"}', PLATFORM) == (
        '{"role":"system"}'
    )


@pytest.mark.parametrize("raw", LOST.values(), ids=LOST.keys())
def test_a_provider_that_stores_answers_gets_what_points_at_them(raw: str) -> None:
    assert read(raw, replace(CODEX, stored=True)) == raw


def test_a_request_is_responses_lite_by_its_tools_item() -> None:
    items: list[object] = [{"role": "user"}, {"type": "additional_tools"}, 7]
    assert is_responses_lite(items)
    assert not is_responses_lite(items[:1])


def test_a_string_is_one_message_of_the_user() -> None:
    assert json.loads(user_message('"hi"'))[0]["content"] == [{"type": "input_text", "text": "hi"}]


HELD: dict[str, dict[str, object]] = {
    "compaction": {"type": "compaction", "encrypted_content": "gAAA"},
    "compaction by its other name": {"type": "compaction_summary", "encrypted_content": "gAAA"},
    "a compacted context": {"type": "context_compaction", "encrypted_content": "gAAA"},
    "what comes next, encrypted": {"type": "what_comes_next", "encrypted_content": "gAAA"},
    "an encrypted message": {
        "type": "agent_message",
        "content": [{"type": "encrypted_content", "encrypted_content": "g"}],
    },
    "encrypted arguments": {"type": "function_call", "encrypted_function_args": "gAAA"},
    "a file": {"role": "user", "content": [{"type": "input_text"}, {"type": "input_file", "file_id": "file-1"}]},
    "an image": {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
    "an uploaded image": {"role": "user", "content": [{"type": "input_image", "image_url": "sediment://file_1"}]},
    "a file that a tool gave": {"type": "function_call_output", "output": [{"type": "input_file", "file_id": "f"}]},
}


@pytest.mark.parametrize("item", HELD.values(), ids=HELD.keys())
def test_what_only_its_maker_can_read_is_held(item: dict[str, object]) -> None:
    assert are_held([{"role": "user", "content": "hi"}, item])


FREE: dict[str, object] = {
    "reasoning": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    "compaction that was asked for": {"type": "compaction_trigger"},
    "compaction without ciphertext": {"type": "compaction", "encrypted_content": None},
    "a readable message": {"type": "agent_message", "content": [{"type": "input_text", "text": "hi"}]},
    "a call": {"type": "function_call", "arguments": "{}", "encrypted_function_args": None},
    "an image of its own": {
        "role": "user",
        "content": [{"type": "input_image", "image_url": "data:image/png;base64,"}],
    },
    "text that speaks of a file": {"role": "user", "content": [{"type": "input_text", "text": "sediment://file_1"}]},
    "an image in another form": {"role": "user", "content": [{"type": "input_image", "image_url": {"url": 7}}, 7]},
    "a type that is none": {"type": ["compaction"], "content": {}},
    "no object": "hi",
}


@pytest.mark.parametrize("item", FREE.values(), ids=FREE.keys())
def test_what_others_can_read_or_do_without_is_not_held(item: object) -> None:
    assert not are_held([item])


REASONING = (
    '[{"role": "user"},{"type":"reasoning","id":"rs_1","encrypted_content":"g"},'
    '{"id":"rs_2", "type":"reasoning", "encrypted_content":"g"},{"n": 1.0}]'
)


@pytest.mark.parametrize(
    ("ids", "left"),
    [
        (["rs_1"], '[{"role": "user"},{"n": 1.0}]'),
        (["rs_2", "rs_9"], '[{"role": "user"},{"type":"reasoning","id":"rs_1","encrypted_content":"g"},{"n": 1.0}]'),
        (["rs_9"], '[{"role": "user"},{"n": 1.0}]'),
        ([], '[{"role": "user"},{"n": 1.0}]'),
    ],
    ids=["the first, so all behind it too", "the last", "unknown", "none named"],
)
def test_reasoning_is_left_out_whole_and_all_else_stays_byte_for_byte(ids: list[str], left: str) -> None:
    assert without_reasoning(REASONING, ids) == left


@pytest.mark.parametrize("raw", ["[]", '[{"role":"user","id":"rs_1"}]', '[{"type":"reasoning","id":"rs_1"}]'])
def test_where_there_is_no_encrypted_reasoning_nothing_is_left_out(raw: str) -> None:
    assert without_reasoning(raw, ["rs_1"]) is None


def test_a_conversation_is_known_by_its_words_up_to_the_user_s_first_in_whatever_form() -> None:
    text = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    parts = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}], "id": "msg_1"},
        {"type": "message", "role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "why?"},
    ]
    assert opening([*text]) == opening([*parts]) == ("developer: Be brief.", "user: hi")
    assert opening([{"role": "developer", "content": "x"}]) == opening([]) == ()


@pytest.mark.parametrize(
    ("items", "goes_on"),
    [
        ([{"role": "user", "content": "hi"}], False),
        ([{"role": "developer", "content": "x"}, {"role": "user", "content": "hi"}], False),
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Yes?"}], True),
        ([{"type": "function_call_output", "call_id": "c", "output": "1"}], True),
    ],
)
def test_a_conversation_goes_on_where_there_is_something_in_it_that_no_user_says(
    items: list[object], goes_on: bool
) -> None:
    assert continues(items) is goes_on

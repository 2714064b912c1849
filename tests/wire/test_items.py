"""The items of a request's input."""

import json

import pytest

from understudy.wire.items import is_responses_lite, read_items, user_message


def read(raw: str) -> str:
    text = f"[{raw}]"
    return read_items(json.loads(text), text)[1:-1]


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


def test_a_request_is_responses_lite_by_its_tools_item() -> None:
    items: list[object] = [{"role": "user"}, {"type": "additional_tools"}, 7]
    assert is_responses_lite(items)
    assert not is_responses_lite(items[:1])


def test_a_string_is_one_message_of_the_user() -> None:
    assert json.loads(user_message('"hi"'))[0]["content"] == [{"type": "input_text", "text": "hi"}]

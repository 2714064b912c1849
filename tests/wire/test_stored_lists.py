"""Stored items as the API lists them."""

import json

import pytest

from understudy.wire.coding import RequestRefused
from understudy.wire.conversations import Listed, conversation_object, named, page, shown


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ('{"role":"user","content":"hi"}', "msg_"),
        ('{"type":"function_call_output","call_id":"c"}', "fco_"),
        ('{"type":"what_comes_next"}', "item_"),
        ('{"id":"","type":"reasoning"}', "rs_"),
    ],
)
def test_an_item_without_an_id_gets_one_of_its_kind_that_stays_the_same(text: str, prefix: str) -> None:
    found = named(text, "resp_1", 0)
    assert found.id.startswith(prefix) and found == named(text, "resp_1", 0)
    assert len({found.id, named(text, "resp_1", 1).id, named(text, "resp_2", 0).id}) == 3


def test_an_item_keeps_its_own_id_and_is_shown_byte_for_byte() -> None:
    text = '{ "type":"reasoning", "id":"rs_1", "n": 1.0 }'
    assert named(text, "resp_1", 0) == ("rs_1", text)
    assert shown(Listed("rs_1", text)) == text


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", {"type": "input_text", "text": "hi"}),
        ("assistant", {"type": "output_text", "annotations": [], "text": "hi"}),
    ],
)
def test_a_short_message_is_shown_at_length(role: str, part: dict[str, object]) -> None:
    told = json.loads(shown(Listed("msg_1", json.dumps({"role": role, "content": "hi"}))))
    assert told == {"id": "msg_1", "type": "message", "role": role, "status": "completed", "content": [part]}


def test_a_conversation_is_told_in_the_api_s_shape() -> None:
    assert json.loads(conversation_object("conv_1", 12.75, '{"a":"b"}')) == {
        "id": "conv_1",
        "object": "conversation",
        "created_at": 12,
        "metadata": {"a": "b"},
    }


ITEMS = [Listed(f"msg_{n}", f'{{"type":"reasoning","id":"msg_{n}"}}') for n in range(25)]


@pytest.mark.parametrize(
    ("query", "numbers", "has_more"),
    [
        ({}, range(24, 4, -1), True),
        ({"order": ["asc"]}, range(20), True),
        ({"limit": ["100"]}, range(24, -1, -1), False),
        ({"limit": ["2"], "order": ["asc"], "after": ["msg_3"]}, range(4, 6), True),
        ({"limit": ["2"], "after": ["msg_2"]}, range(1, -1, -1), False),
        ({"order": ["asc"], "after": ["msg_24"]}, range(0), False),
    ],
)
def test_a_page_is_what_limit_order_and_after_say(query: dict[str, list[str]], numbers: range, has_more: bool) -> None:
    told = json.loads(page(ITEMS, query))
    ids = [f"msg_{n}" for n in numbers]
    assert [item["id"] for item in told["data"]] == ids
    assert (told["object"], told["has_more"]) == ("list", has_more)
    assert [told["first_id"], told["last_id"]] == ([ids[0], ids[-1]] if ids else [None, None])


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"limit": ["0"]}, 400, "limit"),
        ({"limit": ["101"]}, 400, "limit"),
        ({"limit": ["\u0663"]}, 400, "limit"),
        ({"limit": ["9" * 5000]}, 400, "limit"),
        ({"order": ["up"]}, 400, "order"),
        ({"after": ["msg_99"]}, 404, "after"),
    ],
)
def test_a_query_that_is_none_is_refused(query: dict[str, list[str]], status: int, param: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        page(ITEMS, query)
    assert (refused.value.reply.status, json.loads(refused.value.reply.body)["error"]["param"]) == (status, param)

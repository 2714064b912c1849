"""Long texts are put aside while a body is read: nobody can tell from what goes on."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.wire.bulk import LEAST, put_aside
from understudy.wire.chat.request import read_chat
from understudy.wire.jsontext import loads
from understudy.wire.parameters import read_parameters
from understudy.wire.provider import CODEX

BASE64 = base64.b64encode(bytes(range(256)) * (LEAST // 256)).decode()
IMAGE = f"data:image/png;base64,{BASE64}"

lengths = st.sampled_from((0, 1, 40, LEAST // 2, LEAST - 1, LEAST, LEAST + 1, 3 * LEAST))
scraps = st.sampled_from(('"', '\\"', ",", ";base64,", "\\", " ", "é", "\U0001f600", "{", "~", "~%s~" % ("0" * 64)))
runs = st.builds(lambda start, length: (BASE64 * 4)[start : start + length], st.integers(0, 64), lengths)


@settings(max_examples=200, deadline=None)
@given(st.lists(scraps | runs, max_size=9).map("".join))
def test_what_is_put_back_is_the_body_byte_for_byte(text: str) -> None:
    lean, bulk = put_aside(text.encode())
    assert bulk.back_in(lean) == text.encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(scraps | runs, max_size=9).map("".join))
def test_what_is_json_stays_so_and_what_is_none_does_too(text: str) -> None:
    lean, _ = put_aside(f'["{text}"]'.encode())
    assert is_json(lean) is is_json(f'["{text}"]'.encode())


@pytest.mark.parametrize("offset", [0, 1, LEAST // 2 - 1, LEAST // 2, LEAST // 2 + 1, LEAST - 1, LEAST])
@pytest.mark.parametrize("text", [BASE64[:LEAST], IMAGE], ids=["bare", "data URL"])
def test_a_long_text_is_put_aside_wherever_it_stands(offset: int, text: str) -> None:
    lean, bulk = put_aside(json.dumps([" " * offset, text, "after"]).encode())
    assert len(lean) < offset + 200
    assert list(map(len, bulk.texts.values())) == [len(text.removeprefix("data:image/png;base64,"))]


@pytest.mark.parametrize("text", [BASE64[: LEAST - 1], "lorem ipsum " * LEAST, "[1, 2]" * LEAST], ids=len)
def test_a_body_without_such_a_text_is_not_copied(text: str) -> None:
    body = json.dumps([text]).encode()
    lean, bulk = put_aside(body)
    assert lean is body
    assert bulk.back_in(lean) is body


def test_a_number_is_no_such_text() -> None:
    body = f'["data:;base64,", {"1" * LEAST}]'.encode()
    assert put_aside(body)[0] is body


def test_equal_texts_look_equal() -> None:
    lean, _ = put_aside(json.dumps([IMAGE, IMAGE, IMAGE[:-1]]).encode())
    first, second, third = json.loads(lean)
    assert first == second != third


def test_a_body_with_the_mark_of_its_own_text_is_left_as_it_is() -> None:
    mark = json.loads(put_aside(json.dumps([BASE64]).encode())[0])[0]
    body = json.dumps([BASE64, mark]).encode()
    assert put_aside(body)[0] is body


def test_what_was_left_out_meanwhile_does_not_come_back() -> None:
    lean, bulk = put_aside(json.dumps([IMAGE, f"{IMAGE}AAAA"]).encode())
    left = json.dumps(json.loads(lean)[1:]).encode()
    assert json.loads(bulk.back_in(left)) == [f"{IMAGE}AAAA"]


def test_a_request_reads_the_same_without_its_images() -> None:
    content = [
        {"type": "input_text", "text": "Wären das Küken? \U0001f425"},
        {"type": "input_image", "image_url": IMAGE},
    ]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    body = json.dumps({"model": "gpt-5", "input": messages, "store": True}, ensure_ascii=False).encode()
    lean, bulk = put_aside(body)
    assert len(lean) < 500
    assert bulk.back_in(read_parameters(lean, CODEX).body) == read_parameters(body, CODEX).body


def test_a_chat_request_does_too() -> None:
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": content}]}).encode()
    lean, bulk = put_aside(body)
    assert len(lean) < 500
    assert bulk.back_in(read_chat(lean, nothing).body) == read_chat(body, nothing).body


def nothing(call_id: str) -> tuple[str, ...]:
    return ()


def is_json(body: bytes) -> bool:
    try:
        loads(body)
    except ValueError:
        return False
    return True

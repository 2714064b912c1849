"""A count of tokens that needs nobody: by the models' own vocabulary, and with what else a request has."""

import json
import subprocess
import sys
import time

import pytest

from support.proxy import clean_environment
from understudy.wire.coding import RequestRefused
from understudy.wire.estimate import AROUND, EXACT, IMAGE, LOW_DETAIL, PER_ITEM, input_tokens

ONE_ITEM = AROUND + PER_ITEM


def tokens(**body: object) -> int:
    return input_tokens(json.dumps(body).encode())


def message(*content: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("text", "count"),
    # As tiktoken's o200k_base splits them.
    [
        ("", 0),
        ("hello world", 2),
        ("tiktoken is great!", 6),
        ("<|endoftext|>", 7),
        ("1234567", 3),
        ("お誕生日おめでとう", 8),
    ],
)
def test_text_is_counted_by_the_models_own_vocabulary(text: str, count: int) -> None:
    assert tokens(input=text) == ONE_ITEM + count


def test_a_string_counts_as_the_message_that_it_stands_for() -> None:
    assert tokens(input="hello world") == tokens(input=[message({"type": "input_text", "text": "hello world"})])


def test_every_item_costs_a_little() -> None:
    assert tokens(input=[message(), message(), message()]) == AROUND + 3 * PER_ITEM


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "hello world"},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": "hello world"}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hello world"}]},
        {"type": "function_call", "call_id": "call_1", "name": "", "arguments": "hello world", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "hello world"},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_text", "text": "hello world"}],
        },
    ],
    ids=lambda item: str(item.get("type")),
)
def test_the_text_of_every_kind_of_item_counts_and_its_names_do_not(item: object) -> None:
    assert tokens(input=[item]) == ONE_ITEM + 2


def test_instructions_tools_and_the_answer_s_format_count() -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    plain = tokens(input="hi")
    assert tokens(input="hi", instructions="hello world") == plain + 2
    assert tokens(input="hi", tools=[tool]) == tokens(input="hi", text=[tool]) > plain + 10
    assert tokens(input=[{"type": "additional_tools", "tools": [tool]}, message("hi")]) == PER_ITEM + tokens(
        input="hi", tools=[tool]
    )
    assert tokens(input="hi", tools=[], text=None, instructions=None) == plain


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}, IMAGE),
        ({"type": "input_image", "image_url": "https://127.0.0.1/a.png", "detail": "high"}, IMAGE),
        ({"type": "input_image", "image_url": "https://127.0.0.1/a.png", "detail": "low"}, LOW_DETAIL),
        ({"type": "input_image", "image_url": None, "file_id": "file-1"}, IMAGE),
        ({"type": "input_file", "file_data": "data:application/pdf;base64," + "A" * 100_000}, IMAGE),
        ({"type": "input_audio", "input_audio": {"data": "A" * 100_000, "format": "mp3"}}, IMAGE),
    ],
    ids=["data", "high", "low", "by id", "file", "audio"],
)
def test_what_is_no_text_has_a_fixed_estimate(part: object, count: int) -> None:
    assert tokens(input=[message(part)]) == ONE_ITEM + count


def test_reasoning_that_cannot_be_read_is_estimated_by_its_length() -> None:
    assert tokens(input=[{"type": "reasoning", "summary": [], "encrypted_content": "A" * 8000}]) == ONE_ITEM + 1337
    assert tokens(input=[{"type": "reasoning", "summary": [], "encrypted_content": "A"}]) == ONE_ITEM


def test_half_a_surrogate_pair_is_no_trouble() -> None:
    assert input_tokens(b'{"input": "\\ud800"}') == ONE_ITEM + 1


def test_of_a_huge_text_a_part_tells_about_the_whole() -> None:
    words = "The quick brown fox jumps over the lazy dog.\n"
    part = words * (EXACT // len(words))
    exact = tokens(input=part)
    assert tokens(input=10 * part) == pytest.approx(10 * exact, rel=0.01)


@pytest.mark.parametrize(
    "unit", ["hello brave new world\n", "A", " ", "的人们中国上海"], ids=["words", "A", "blank", "zh"]
)
def test_fifty_mebibytes_are_counted_in_a_moment(unit: str) -> None:
    body = json.dumps({"input": unit * (50 * 1024 * 1024 // len(unit.encode()))}, ensure_ascii=False).encode()
    began = time.process_time()
    assert input_tokens(body) > 100_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"", None, None),
        (b"[]", None, None),
        (b'{"input": "a"', None, None),
        (b"{}", "input", "missing_required_parameter"),
        (b'{"input": null}', "input", "missing_required_parameter"),
        (b'{"input": 7}', "input", "invalid_type"),
    ],
    ids=str,
)
def test_what_is_no_such_request_is_refused(body: bytes, param: str | None, code: str | None) -> None:
    with pytest.raises(RequestRefused) as refused:
        input_tokens(body)
    error = json.loads(refused.value.reply.body)["error"]
    assert (refused.value.reply.status, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)


def test_it_speaks_to_nobody_and_is_loaded_only_where_it_is_asked() -> None:
    script = (
        "import sys\n"
        "from understudy.wire.estimate import input_tokens\n"
        "before = 'splintr' in sys.modules\n"
        "def forbid(event, _):\n"
        "    if event.startswith('socket.'): raise AssertionError(event)\n"
        "sys.addaudithook(forbid)\n"
        'print(before, input_tokens(b\'{"input": "hello world"}\'))\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean_environment(), capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["False", str(ONE_ITEM + 2)], done.stderr

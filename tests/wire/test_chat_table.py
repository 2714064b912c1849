"""The table of Chat Completions' messages says what is true; of the parameters see test_compatibility."""

import json

import pytest

from understudy.wire.chat.request import ChatRequest, read_chat
from understudy.wire.chat.table import MESSAGES, PARAMETERS, Row
from understudy.wire.coding import RequestRefused
from understudy.wire.fate import Fate

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING: dict[str, object] = {"role": "assistant", "tool_calls": [CALL]}
LEGACY: dict[str, object] = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
TEXT = {"type": "text", "text": "secret"}

MADE_OF: dict[str, list[dict[str, object]]] = {
    "system": [{"role": "system", "content": "secret"}],
    "developer": [{"role": "developer", "content": "secret"}],
    "user": [{"role": "user", "content": "secret"}],
    "assistant": [{"role": "assistant", "content": "secret"}],
    "assistant.refusal": [{"role": "assistant", "refusal": "secret"}],
    "assistant.tool_calls": [{"role": "assistant", "tool_calls": [CALL | {"id": "secret"}]}],
    "assistant.function_call": [{"role": "assistant", "function_call": {"name": "secret", "arguments": "{}"}}],
    "assistant.audio": [{"role": "assistant", "audio": {"id": "secret"}}],
    "tool": [CALLING, {"role": "tool", "tool_call_id": "c", "content": "secret"}],
    "function": [LEGACY, {"role": "function", "name": "f", "content": "secret"}],
    "name": [{"role": "user", "name": "secret", "content": "hi"}],
    "part text": [{"role": "user", "content": [TEXT]}],
    "part image_url": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "secret"}}]}],
    "part file": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "secret"}}]}],
    "part refusal": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "secret"}]}],
    "part input_audio": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "secret"}}]}],
    "part prompt_cache_breakpoint": [
        {"role": "user", "content": [{"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "secret"}}]}
    ],
}


def read(**parameters: object) -> ChatRequest:
    given = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **parameters}
    return read_chat(json.dumps(given).encode(), lambda call_id: ())


def test_no_parameter_has_two_rows() -> None:
    for rows in (PARAMETERS, MESSAGES):
        assert len({row.name for row in rows}) == len(rows)


def test_what_becomes_of_a_message_is_shown_for_every_row() -> None:
    assert MADE_OF.keys() == {row.name for row in MESSAGES}


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row.name)
def test_of_a_message_becomes_what_its_row_says(row: Row) -> None:
    messages = MADE_OF[row.name]
    if row.fate is Fate.REFUSED:
        with pytest.raises(RequestRefused):
            read(messages=messages)
        return
    asked = read(messages=messages)
    assert (b"secret" in asked.body) is (row.fate is Fate.SERVED)
    assert bool(asked.dropped) is (row.fate is Fate.DROPPED)

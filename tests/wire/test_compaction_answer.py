"""A compaction's answer: as the backend sent it for Codex, whole for everybody else."""

import json

import pytest

from understudy.wire.compaction import compacted

BODY = b'{ "output": [{"type":"compaction","encrypted_content":"gAAA"}] }'


def test_codex_gets_the_backend_s_bytes() -> None:
    assert compacted(BODY, True, 17.5) == BODY


def test_others_get_what_the_api_reference_has_beside_them_and_the_items_byte_for_byte() -> None:
    told = compacted(BODY, False, 17.5)
    assert b'[{"type":"compaction","encrypted_content":"gAAA"}]' in told
    value = json.loads(told)
    assert (value["object"], value["created_at"]) == ("response.compaction", 17)
    assert value["id"].startswith("resp_") and value["usage"]["total_tokens"] == 0


def test_what_the_backend_says_itself_counts() -> None:
    body = b'{"output": [], "id": "resp_9", "usage": {"total_tokens": 5}}'
    value = json.loads(compacted(body, False, 17.5))
    assert (value["id"], value["usage"]["total_tokens"]) == ("resp_9", 5)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output": {}}', b"<html>", b'{"output": ['])
def test_what_is_none_is_an_error(body: bytes) -> None:
    for codex in (True, False):
        with pytest.raises(ValueError):
            compacted(body, codex, 0.0)

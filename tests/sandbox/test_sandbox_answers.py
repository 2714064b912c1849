"""What an answer looks like: its events, its framing, its header fields."""

import gzip
import time
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from sandbox.client import BODY, ask, body, connect, events, headers, scenario, text
from understudy.sandbox.server import Sandbox
from understudy.sandbox.steps import DEFAULT_TEXT


def last_response(data: bytes) -> dict[str, object]:
    response = events(data)[-1]["response"]
    assert isinstance(response, dict)
    return response


def test_a_plain_answer_has_the_events_of_the_responses_api_in_their_order() -> None:
    with Sandbox(scenario({"do": "answer", "text": "two words"})) as sandbox:
        data = ask(sandbox).content
    assert [event["type"] for event in events(data)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events(data)] == list(range(10))
    assert text(data) == "two words"


def test_the_final_response_is_whole_and_counts_its_tokens() -> None:
    with Sandbox(scenario()) as sandbox:
        response = last_response(ask(sandbox).content)
    assert response["status"] == "completed" and response["model"] == BODY["model"]
    assert response["output"][0]["content"][0]["text"] == DEFAULT_TEXT  # type: ignore[index]
    usage = response["usage"]
    assert isinstance(usage, dict)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens_details"] == {"cached_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def test_every_event_is_named_on_its_event_line_as_in_its_data() -> None:
    with Sandbox(scenario({"do": "answer", "reasoning": True, "vendor": True})) as sandbox:
        data = ask(sandbox).content
    names = [line.removeprefix("event: ") for line in data.decode().splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events(data)]


@pytest.mark.parametrize("include", [["reasoning.encrypted_content"], []], ids=["asked for", "not asked for"])
def test_reasoning_is_encrypted_only_where_the_request_includes_it(include: list[str]) -> None:
    with Sandbox(scenario({"do": "answer", "reasoning": True})) as sandbox:
        response = last_response(ask(sandbox, include=include).content)
    item = response["output"][0]  # type: ignore[index]
    assert item["type"] == "reasoning" and ("encrypted_content" in item) is bool(include)


def test_a_tool_call_streams_its_arguments() -> None:
    arguments = '{"city": "Zürich", "unit": "celsius"}'
    with Sandbox(scenario({"do": "answer", "tool": {"name": "weather", "arguments": arguments}})) as sandbox:
        found = events(ask(sandbox).content)
    deltas = [e["delta"] for e in found if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(map(str, deltas)) == arguments
    item = found[-2]["item"]
    assert isinstance(item, dict)
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", "weather", arguments)


def test_an_empty_output_leaves_the_items_to_their_own_events() -> None:
    with Sandbox(scenario({"do": "answer", "empty_output": True})) as sandbox:
        data = ask(sandbox).content
    assert last_response(data)["output"] == []
    assert [e["type"] for e in events(data)].count("response.output_item.done") == 1


def test_an_incomplete_answer_says_why() -> None:
    with Sandbox(scenario({"do": "answer", "incomplete": True})) as sandbox:
        response = last_response(ask(sandbox).content)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_vendor_events_come_before_the_response_is_created() -> None:
    with Sandbox(scenario({"do": "answer", "vendor": True, "keepalive": True})) as sandbox:
        data = ask(sandbox).content
    types = [event["type"] for event in events(data)]
    assert types[:4] == ["codex.rate_limits", "response.created", "response.in_progress", "codex.response.metadata"]
    assert "keepalive" in types and b"\n: keepalive\n\n" in data


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("br", brotli.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    ],
    ids=["gzip", "deflate", "br", "zstd"],
)
def test_a_compressed_answer_decodes_to_the_plain_one(coding: str, decode: Callable[[bytes], bytes]) -> None:
    with Sandbox(scenario({"do": "answer", "compress": coding})) as sandbox, connect() as client:
        url = f"{sandbox.backend}/responses"
        with client.stream("POST", url, headers=headers(sandbox), content=body()) as response:
            raw = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == coding
    assert text(decode(raw)) == DEFAULT_TEXT


@pytest.mark.parametrize(
    ("look", "end"),
    [
        ({"newline": "crlf"}, b"}\r\n\r\n"),
        ({"newline": "cr"}, b"}\r\r"),
        ({"final_newline": False}, b"}"),
        ({"done_marker": True}, b"data: [DONE]\n\n"),
        ({"chunk_bytes": 7}, b"}\n\n"),
        ({"bom": True}, b"}\n\n"),
    ],
    ids=["crlf", "cr", "no final newline", "done marker", "pieces of 7 bytes", "byte order mark"],
)
def test_framing_changes_leave_the_events_alone(look: dict[str, object], end: bytes) -> None:
    with Sandbox(scenario({"do": "answer", "text": "über alles gleich", **look})) as sandbox:
        data = ask(sandbox).content
    assert data.endswith(end) and text(data) == "über alles gleich"
    assert data.startswith(b"\xef\xbb\xbf") is bool(look.get("bom"))


def test_events_leave_one_by_one_with_the_delay_between_them() -> None:
    with Sandbox(scenario({"do": "answer", "words": 5, "delay": 0.02})) as sandbox:
        ask(sandbox)
        times = [piece.at for piece in sandbox.journal[0].sent]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 0.019


def test_a_thousand_events_without_delay_are_out_within_a_second() -> None:
    with Sandbox(scenario({"do": "answer", "words": 1000})) as sandbox:
        before = time.monotonic()
        data = ask(sandbox).content
        assert time.monotonic() - before < 1.0
    assert len(events(data)) == 1008


def test_response_ids_are_never_the_same() -> None:
    with Sandbox(scenario()) as sandbox:
        ids = {last_response(ask(sandbox).content)["id"] for _ in range(3)}
        assert ids == {entry.response_id for entry in sandbox.journal}
    assert len(ids) == 3


def test_the_quota_moves_with_every_answer() -> None:
    windows = [{"minutes": 300, "used": 10, "cost": 2.5}, {"minutes": 10080, "used": 99.5, "cost": 1}]
    with Sandbox(scenario(windows=windows)) as sandbox:
        seen = [ask(sandbox).headers for _ in range(2)]
    assert [h["x-codex-primary-used-percent"] for h in seen] == ["12.5", "15"]
    assert [h["x-codex-secondary-used-percent"] for h in seen] == ["100", "100"]
    assert seen[0]["x-codex-primary-window-minutes"] == "300"
    assert seen[0]["x-codex-plan-type"] == "plus"


def test_a_prompt_is_cached_in_the_account_that_saw_it() -> None:
    both: dict[str, object] = {"accounts": {"work": {}, "home": {}}}
    long = "x" * 4000
    with Sandbox(both) as sandbox:

        def cached(label: str) -> object:
            usage = last_response(ask(sandbox, label, instructions=long, prompt_cache_key="k").content)["usage"]
            assert isinstance(usage, dict)
            return usage["input_tokens_details"]["cached_tokens"]

        assert cached("work") == 0
        assert cached("work") == 1024
        assert cached("home") == 0


def test_header_changes_of_account_and_step_are_the_last_word() -> None:
    steps = {"do": "answer", "headers": {"x-codex-secondary-reset-at": None, "X-Codex-Plan-Type": "enterprise"}}
    with Sandbox(scenario(steps, headers={"x-codex-primary-used-percent": "NaN"})) as sandbox:
        fields = ask(sandbox).headers
    assert fields["x-codex-primary-used-percent"] == "NaN"
    assert fields["x-codex-plan-type"] == "enterprise"
    assert "x-codex-secondary-reset-at" not in fields

"""What the backend receives of a host's request: all that it needs, nothing that is not its business."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from support.hosts import HOST_KEY, curl
from support.theatre import URL, Heard, Json, Theatre, TheatreFactory
from understudy import __version__

ANSWER: Json = {"do": "answer", "text": "Yes."}
LIMITED: Json = {"do": "usage_limit", "resets_in": 3600}
CAPTURES = Path(__file__).parents[1] / "wire" / "data"
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    """With an account of the government's cloud."""
    return theatres(specs={"office": {"fedramp": True}})


def received(theatre: Theatre, **parameters: object) -> Json:
    """The body that reaches the backend when a host asks with these parameters."""
    theatre.cast(work=ANSWER)
    heard = theatre.ask({"model": "gpt-5.5", "input": "hi", **parameters})
    assert heard.status == 200, heard.body
    body = theatre.calls[0].body
    assert isinstance(body, dict)
    return body


# Real hosts


@pytest.mark.parametrize("host", sorted(path.stem for path in CAPTURES.glob("*.json")))
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_what_real_hosts_send_is_taken_by_a_strict_backend(
    theatre: Theatre, h2_theatre: Theatre, http2: bool, host: str
) -> None:
    theatre = h2_theatre if http2 else theatre
    captured = json.loads((CAPTURES / f"{host}.json").read_text(encoding="utf-8"))
    hop = ("host", "connection", "content-length", "transfer-encoding", "upgrade")
    headers = {name.lower(): value for name, value in captured["headers"] if name.lower() not in hop}
    theatre.cast(work=ANSWER)
    if isinstance(items := captured["body"]["input"], list):
        # The answers that they point at were another backend's.
        captured["body"]["input"] = [item for item in items if item.get("type") != "item_reference"]
    heard = theatre.ask(captured["body"], headers=headers, http2=http2)
    assert heard.status == 200, heard.body
    assert theatre.asked == ["work"]


# The head


HOST_HEADERS = {
    "accept": "application/json",
    "cookie": "session=host-cookie",
    "openai-organization": "org-host",
    "openai-project": "proj-host",
    "x-api-key": HOST_KEY,
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "0",
    "x-forwarded-for": "10.1.2.3",
    "forwarded": "for=10.1.2.3",
    "via": "1.1 somewhere",
    "x-real-ip": "10.1.2.3",
    "chatgpt-account-id": "acc-of-the-host",
    "x-openai-fedramp": "true",
    "x-anything-else": "1",
    "session_id": "s-1",
    "conversation_id": "c-1",
    "x-client-request-id": "r-1",
    "x-codex-window-id": "w:1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
PASSED = {"session_id", "conversation_id", "x-client-request-id", "x-codex-window-id", "traceparent"}
OURS = {
    "host",
    "authorization",
    "chatgpt-account-id",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "originator",
    "user-agent",
}


def test_only_the_header_fields_of_an_allow_list_reach_the_backend(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    assert theatre.ask(headers=HOST_HEADERS, http2=http2).status == 200
    names = [name.lower() for name, _ in theatre.calls[0].headers]
    assert {*names, "host"} == OURS | PASSED  # HTTP/2 has :authority for host
    assert len(names) == len(set(names))


def test_the_backend_is_told_the_account_and_what_to_answer_with(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    theatre.ask(headers=HOST_HEADERS, http2=http2, stream=False)
    call = theatre.calls[0]
    assert call.header("authorization") == f"<{theatre.login('work')}: access token 1, good>"
    assert call.header("chatgpt-account-id") == theatre.sandbox.account_id(theatre.login("work"))
    assert call.header("accept") == "text/event-stream"
    assert call.header("accept-encoding") == "identity"
    assert call.header("content-type") == "application/json"
    assert call.header("content-length") == str(len(call.content))
    assert (call.method, call.path, call.query) == ("POST", "/backend-api/codex/responses", "")


def test_a_host_without_an_originator_goes_by_our_name(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    theatre.ask(headers={"user-agent": "OpenAI/Python 3.52.0"})
    call = theatre.calls[0]
    assert (call.header("originator"), call.header("user-agent")) == ("understudy", f"understudy/{__version__}")


def test_a_host_that_says_who_it_is_keeps_its_name(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    theatre.ask(headers={"originator": "opencode", "user-agent": "opencode/1.18.33 (linux)"})
    call = theatre.calls[0]
    assert (call.header("originator"), call.header("user-agent")) == ("opencode", "opencode/1.18.33 (linux)")


def test_an_account_of_the_governments_cloud_is_announced_as_one(theatre: Theatre) -> None:
    theatre.cast(office=ANSWER)
    assert theatre.ask().status == 200
    assert theatre.calls[0].header("x-openai-fedramp") == "true"
    theatre.cast(work=ANSWER)
    theatre.ask(headers={"x-openai-fedramp": "true"})
    assert theatre.calls[0].header("x-openai-fedramp") is None


def test_the_query_stays_behind(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    answer = curl(theatre.proxy, {"model": "gpt-5.5", "input": "hi"}, url=f"{URL}?api-version=1")
    assert (answer.status, theatre.calls[0].query) == (200, "")


# The body


def test_what_the_backend_insists_on_is_there_whatever_the_host_said(theatre: Theatre) -> None:
    body = received(theatre, store=True, stream=False)
    assert (body["store"], body["stream"]) == (False, True)
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["instructions"] == ""


def test_a_string_as_input_becomes_one_message(theatre: Theatre) -> None:
    assert received(theatre, input='say "hi" — 你好')["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 'say "hi" — 你好'}]}
    ]


def test_what_the_host_includes_stays_and_reasoning_is_added_once(theatre: Theatre) -> None:
    assert received(theatre, include=["message.output_text.logprobs"])["include"] == [
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
    ]
    twice = ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert received(theatre, include=twice)["include"] == twice


def test_a_system_message_is_a_developers(theatre: Theatre) -> None:
    items = received(theatre, input=[{"role": "system", "content": "Be brief."}, USER])["input"]
    assert items == [{"role": "developer", "content": "Be brief."}, USER]


def test_reasoning_without_what_can_be_read_of_it_is_left_out(theatre: Theatre) -> None:
    kept = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    dropped = [{"type": "reasoning", "id": "rs_2", "summary": []}]
    assert received(theatre, input=[USER, *dropped, kept, USER])["input"] == [USER, kept, USER]


def test_other_items_pass_byte_for_byte(theatre: Theatre) -> None:
    item = '{ "role":"user", "n":1.0E+2, "content":"\\u00e9 é 🎭", "new_thing":{"a":[1,2 ,3]} }'
    theatre.cast(work=ANSWER)
    theatre.ask(f'{{"model": "gpt-5.5", "input": [{item}], "stream": true}}'.encode())
    assert item.encode() in theatre.calls[0].content


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]},
        {"tool_choice": "auto"},
        {"parallel_tool_calls": False},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"text": {"verbosity": "low"}},
        {"prompt_cache_key": "k"},
        {"instructions": "Be brief."},
        {"client_metadata": {"thread_id": "t"}},
        {"service_tier": "priority"},
        {"stream_options": {"reasoning_summary_delivery": "sequential_cutoff"}},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_parameter_that_the_backend_knows_passes(theatre: Theatre, given: Json) -> None:
    assert received(theatre, **given).items() >= given.items()


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0.5},
        {"top_p": 1},
        {"max_output_tokens": 100},
        {"metadata": {"a": "b"}},
        {"user": "u"},
        {"truncation": "auto"},
        {"safety_identifier": "s"},
        {"prompt_cache_retention": "24h"},
        {"service_tier": "flex"},
        {"stream_options": {"include_obfuscation": False}},
        {"of_tomorrow": 1},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_parameter_that_the_backend_would_refuse_stays_behind(theatre: Theatre, given: Json) -> None:
    assert not received(theatre, **given).keys() & given.keys()


def test_a_parameter_that_stays_behind_is_named_once_for_each_host(theatre: Theatre) -> None:
    for agent in ("Prompter/1.0", "Prompter/1.1", "Souffleuse/2"):
        theatre.cast(work=ANSWER)
        theatre.ask(headers={"user-agent": agent}, top_logprobs=3, logit_bias=None)
    theatre.proxy.wait_for_log("Souffleuse sends top_logprobs")
    told = re.findall(r"(\w+) sends (\w+)", theatre.proxy.log)
    assert told.count(("Prompter", "top_logprobs")) == 1
    assert "logit_bias" not in {name for _, name in told}


def test_a_responses_lite_body_keeps_its_shape(theatre: Theatre) -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": []}
    body = received(theatre, input=[tools, USER])
    assert body["input"] == [tools, USER]
    assert not {"instructions", "tools"} & body.keys()
    assert theatre.calls[0].header("x-openai-internal-codex-responses-lite") == "true"


def test_a_large_body_arrives_whole(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    text = "0123456789abcdef" * 400_000
    theatre.cast(work=LIMITED, home=ANSWER)
    assert theatre.ask(http2=http2, input=text).status == 200
    for call in theatre.calls:
        assert len(call.content) > 6_000_000 and text.encode() in call.content
    assert theatre.asked == ["work", "home"]


def test_the_replay_carries_the_same_body_and_the_other_accounts_head(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMITED, home=ANSWER)
    theatre.ask(http2=http2, headers=HOST_HEADERS)
    first, second = theatre.calls
    assert first.content == second.content
    assert second.header("chatgpt-account-id") == theatre.sandbox.account_id(theatre.login("home"))
    assert [n for n, _ in first.headers] == [n for n, _ in second.headers]


# Coded bodies


def _deflate_raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zstd": ("zstd", _zstd),
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without its wrapper": ("deflate", _deflate_raw),
    "br": ("br", lambda data: brotli.compress(data, quality=1)),
    "gzip, then zstd": ("gzip, zstd", lambda data: _zstd(gzip.compress(data))),
    "identity": ("identity", lambda data: data),
}


@pytest.mark.parametrize(("coding", "encode"), CODINGS.values(), ids=CODINGS.keys())
def test_a_coded_body_is_read_and_goes_on_plain(
    either: tuple[Theatre, bool], coding: str, encode: Callable[[bytes], bytes]
) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    body = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": True, "instructions": "Be brief."}).encode()
    heard = theatre.ask(encode(body), headers={"content-encoding": coding}, http2=http2)
    assert heard.status == 200, heard.body
    call = theatre.calls[0]
    assert call.header("content-encoding") is None
    assert call.body == {
        "model": "gpt-5.5",
        "input": [USER],
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "include": ["reasoning.encrypted_content"],
    }


# What is refused, in OpenAI's shape, before anybody is asked


def refused(theatre: Theatre, heard: Heard, status: int) -> Json:
    """The error object of a refusal that never reached the backend."""
    assert (heard.status, theatre.calls) == (status, ())
    assert heard.headers["content-type"] == "application/json"
    assert heard.error.keys() == {"message", "type", "param", "code"}
    assert heard.error["type"] == "invalid_request_error"
    return heard.error


BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "an array": b"[]",
    "a string": b'"hi"',
    "NaN": b'{"model": "gpt-5.5", "input": "hi", "temperature": NaN}',
    "no UTF-8": b'{"model": "gpt-5.5", "input": "\xff"}',
    "half of it": b'{"model": "gpt-5.5", "inp',
    "too deep": b'{"model":"gpt-5.5","input":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_no_json_object_is_a_400(either: tuple[Theatre, bool], body: bytes) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    refused(theatre, theatre.ask(body, http2=http2), 400)


BAD_PARAMETERS: dict[str, tuple[Json, str | None]] = {
    "no model": ({"input": "hi"}, "model"),
    "a model that is no string": ({"model": 5, "input": "hi"}, "model"),
    "an empty model": ({"model": "", "input": "hi"}, "model"),
    "no input": ({"model": "gpt-5.5"}, "input"),
    "an input that is a number": ({"model": "gpt-5.5", "input": 5}, "input"),
    "an input that is an object": ({"model": "gpt-5.5", "input": {}}, "input"),
    "an include that is no list": ({"model": "gpt-5.5", "input": "hi", "include": "x"}, "include"),
}


@pytest.mark.parametrize(("body", "param"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_a_parameter_of_the_wrong_kind_is_a_400_that_names_it(theatre: Theatre, body: Json, param: str) -> None:
    theatre.cast(work=ANSWER)
    assert refused(theatre, theatre.ask(body), 400)["param"] == param


def test_a_previous_response_is_not_found(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    error = refused(theatre, theatre.ask(previous_response_id="resp_123"), 400)
    assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
    assert error["message"] == "Previous response with id 'resp_123' not found."


@pytest.mark.parametrize(
    "given",
    [{"previous_response_id": None}, {"conversation": None}, {"background": False}, {"background": None}],
    ids=json.dumps,
)
def test_saying_that_nothing_stored_is_wanted_is_no_fault(theatre: Theatre, given: Json) -> None:
    assert not received(theatre, **given).keys() & given.keys()


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br", "deflate"])
def test_a_body_that_does_not_decode_is_a_400(theatre: Theatre, coding: str) -> None:
    theatre.cast(work=ANSWER)
    refused(theatre, theatre.ask(b"\x00 not what it says", headers={"content-encoding": coding}), 400)


@pytest.mark.parametrize("encode", [gzip.compress, _zstd], ids=["gzip", "zstd"])
def test_a_coded_body_that_is_cut_short_is_a_400(theatre: Theatre, encode: Callable[[bytes], bytes]) -> None:
    theatre.cast(work=ANSWER)
    body = encode(json.dumps({"model": "gpt-5.5", "input": "hi"}).encode())
    coding = "gzip" if encode is gzip.compress else "zstd"
    refused(theatre, theatre.ask(body[:-5], headers={"content-encoding": coding}), 400)


@pytest.mark.parametrize("coding", ["compress", "snappy", "gzip, rot13"])
def test_an_unknown_coding_is_a_415(theatre: Theatre, coding: str) -> None:
    theatre.cast(work=ANSWER)
    refused(theatre, theatre.ask(b"{}", headers={"content-encoding": coding}), 415)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
def test_a_small_body_that_decodes_to_more_than_64_mib_is_a_413(theatre: Theatre, coding: str) -> None:
    theatre.cast(work=ANSWER)
    huge = b'{"model":"gpt-5.5","input":"' + b" " * 65 * 1024 * 1024 + b'"}'
    bomb = CODINGS[coding][1](huge)
    assert len(bomb) < 1024 * 1024
    refused(theatre, theatre.ask(bomb, headers={"content-encoding": coding}), 413)


def test_a_body_over_64_mib_is_a_413(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    answer = curl(theatre.proxy, '{"model":"gpt-5.5","input":"' + " " * 65 * 1024 * 1024 + '"}', "--http1.1")
    assert (answer.status, theatre.calls) == (413, ())
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("option", ["stream_large_bodies=1k", "body_size_limit=1k"])
def test_mitmproxys_own_options_on_body_sizes_do_not_break_a_request(theatres: TheatreFactory, option: str) -> None:
    name, _, value = option.partition("=")
    theatre = theatres(**{name: value})
    theatre.cast(work=LIMITED, home={"do": "answer", "words": 500})
    heard = theatre.ask(input="x" * 100_000)
    assert (heard.status, heard.types[-1]) == (200, "response.completed")
    assert len(theatre.calls[1].content) > 100_000


def test_a_refused_request_leaves_the_connection_good_for_the_next(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    statuses = [theatre.ask(b"[]", http2=http2).status, theatre.ask(http2=http2).status]
    assert statuses == [400, 200]

"""An answer reaches the host exactly as the backend meant it, whatever either of them speaks."""

import json
from pathlib import Path

import pytest

from support.hosts import curl, python
from support.http2 import Http2Host
from support.proxy import ROOT
from support.theatre import Json, Theatre, TheatreFactory, backend_stream, member, raw, read_events

ASK = ROOT / "tests" / "programs" / "ask.py"
CODEX = {"originator": "codex_cli_rs", "user-agent": "codex_cli_rs/0.99.0"}
TALK: Json = {"do": "answer", "text": "Break a leg — 祝你好运 🎭", "reasoning": True}


@pytest.fixture(scope="module")
def h1_backend(theatres: TheatreFactory) -> Theatre:
    return theatres(alpn=("http/1.1",))


@pytest.fixture(params=["in the clear", "TLS, HTTP/1.1", "TLS, HTTP/2"])
def any_theatre(request: pytest.FixtureRequest) -> Theatre:
    """A backend of each kind."""
    names = {"in the clear": "theatre", "TLS, HTTP/1.1": "h1_backend", "TLS, HTTP/2": "h2_theatre"}
    opened = request.getfixturevalue(names[request.param])
    assert isinstance(opened, Theatre)
    return opened


def run(theatre: Theatre, program: Path, *arguments: str) -> list[Json]:
    """The JSON lines that a program on the SDK prints."""
    done = python(theatre.proxy, program, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# Programs on the OpenAI SDK


@pytest.mark.parametrize("way", ["create_stream", "async_create_stream"])
def test_the_sdk_gets_every_event_with_every_field(theatre: Theatre, way: str) -> None:
    theatre.cast(work=TALK)
    *events, last = run(theatre, ASK, way)
    sent = read_events(backend_stream(theatre.calls[0], TALK, json.dumps(last, separators=(",", ":")).encode()))
    assert [event["event"] for event in events] == sent
    assert last["response"] == sent[-1]["response"]


@pytest.mark.parametrize("way", ["stream", "async_stream"])
def test_the_sdks_stream_helper_gets_every_event(theatre: Theatre, way: str) -> None:
    theatre.cast(work=TALK)
    *events, last = run(theatre, ASK, way)
    sent = read_events(backend_stream(theatre.calls[0], TALK, json.dumps(last, separators=(",", ":")).encode()))
    assert [member(event, "event")["type"] for event in events] == [event["type"] for event in sent]
    assert last["text"] == TALK["text"]


@pytest.mark.parametrize("way", ["create", "async_create"])
def test_the_sdk_gets_one_response_object_where_it_asked_for_no_stream(theatre: Theatre, way: str) -> None:
    theatre.cast(work=TALK)
    (last,) = run(theatre, ASK, way)
    sent = read_events(backend_stream(theatre.calls[0], TALK, json.dumps(last, separators=(",", ":")).encode()))
    assert last["response"] == sent[-1]["response"]
    assert last["text"] == TALK["text"]


# HTTP/1.1 and HTTP/2, on both sides


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_the_backends_own_bytes(any_theatre: Theatre, version: str) -> None:
    any_theatre.cast(work=TALK)
    answer = curl(any_theatre.proxy, {"model": "gpt-5.5", "input": "hi", "stream": True}, version)
    assert answer.status == 200
    assert answer.body == backend_stream(any_theatre.calls[0], TALK, answer.body)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_one_json_object_where_it_asked_for_no_stream(any_theatre: Theatre, version: str) -> None:
    any_theatre.cast(work=TALK)
    answer = curl(any_theatre.proxy, {"model": "gpt-5.5", "input": "hi"}, version)
    sent = read_events(backend_stream(any_theatre.calls[0], TALK, answer.body))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == sent[-1]["response"]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_the_host_is_answered_in_the_protocol_that_it_speaks(any_theatre: Theatre, http2: bool) -> None:
    any_theatre.cast(work=TALK)
    assert any_theatre.ask(http2=http2).http_version == ("HTTP/2" if http2 else "HTTP/1.1")


def test_the_backend_is_spoken_to_in_http2_where_host_and_backend_both_know_it(h2_theatre: Theatre) -> None:
    h2_theatre.cast(work=TALK)
    h2_theatre.ask(http2=True)
    assert h2_theatre.calls[0].http_version == "2"


def test_a_backend_without_http2_serves_a_host_with_it(h1_backend: Theatre) -> None:
    h1_backend.cast(work=TALK)
    heard = h1_backend.ask(http2=True)
    assert (heard.http_version, h1_backend.calls[0].http_version) == ("HTTP/2", "1.1")
    assert heard.text == TALK["text"]


def test_streams_that_share_one_http2_connection_do_not_mix(h2_theatre: Theatre) -> None:
    h2_theatre.cast(work={"do": "answer", "words": 30, "delay": 0.005})
    with Http2Host(h2_theatre.proxy) as host:
        streams = [host.ask({"model": "gpt-5.5", "input": "hi", "stream": True}) for _ in range(8)]
        heard = [host.answer(stream) for stream in streams]
    ids = {member(h.events[0], "response")["id"] for h in heard}
    assert len(ids) == 8
    for h in heard:
        assert [event["sequence_number"] for event in h.events] == list(range(len(h.events)))
        assert {member(e, "response")["id"] for e in h.events if "response" in e} <= ids
        assert h.text == " ".join(f"word{n}" for n in range(30))


# Bytes that nobody may change

STREAM = (
    'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","output":[]}}\n\n'
    'event: response.output_item.added\ndata: { "type" : "response.output_item.added","n":1.0E+2, "é":"\\u00e9" }\n\n'
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a\\u2028b 🎭"}\n\n'
    'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","output":[]}}\n\n'
)
WITHOUT_NAMES = "".join(line + "\n" for line in STREAM.split("\n")[:-1] if not line.startswith("event:"))
UNKNOWN = 'event: response.curtain_call\ndata: {"type":"response.curtain_call","bows":3}\n\n'


EXACT = {
    "odd spacing, escapes and numbers": STREAM,
    "CRLF": STREAM.replace("\n", "\r\n"),
    "CR": STREAM.replace("\n", "\r"),
    "mixed line ends": STREAM.replace("\ndata", "\r\ndata").replace("}\n\n", "}\n\r\n", 1),
    "a byte order mark": "\ufeff" + STREAM,
    "no event lines": WITHOUT_NAMES,
    "no space after the colon": STREAM.replace("data: ", "data:"),
    "events of types nobody knows yet": STREAM.replace(
        "event: response.completed", UNKNOWN + "event: response.completed"
    ),
    "an id line and a retry line": STREAM.replace(
        "event: response.output_text", "id: 7\nretry: 10\nevent: response.output_text"
    ),
    "data on two lines": STREAM.replace(', "é"', ',\ndata: "é"'),
    "a large event": STREAM.replace("🎭", "🎭" * 100_000),
}


@pytest.mark.parametrize("body", EXACT.values(), ids=EXACT.keys())
def test_a_stream_passes_byte_for_byte(theatre: Theatre, body: str) -> None:
    theatre.cast(work=raw(body))
    assert theatre.ask().body == body.encode()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_passes_byte_for_byte_however_it_is_cut_into_pieces(any_theatre: Theatre, size: int) -> None:
    step = {**TALK, "chunk_bytes": size}
    any_theatre.cast(work=step)
    heard = any_theatre.ask()
    assert heard.body == backend_stream(any_theatre.calls[0], step, heard.body)


def test_a_last_event_without_its_blank_line_is_given_one_so_that_parsers_take_it(theatre: Theatre) -> None:
    theatre.cast(work=raw(STREAM.rstrip("\n")))
    heard = theatre.ask()
    assert heard.body == STREAM.encode()


@pytest.mark.parametrize("newline", ["lf", "crlf", "cr"])
def test_no_final_newline_is_no_broken_answer(theatre: Theatre, newline: str) -> None:
    theatre.cast(work={**TALK, "newline": newline, "final_newline": False})
    assert theatre.ask().types[-1] == "response.completed"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_answer_reaches_the_host_as_plain_text(any_theatre: Theatre, coding: str) -> None:
    step = {**TALK, "compress": coding}
    any_theatre.cast(work=step)
    heard = any_theatre.ask()
    assert "content-encoding" not in heard.headers
    assert heard.body == backend_stream(any_theatre.calls[0], TALK, heard.body)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_answer_is_decoded_while_it_streams(theatre: Theatre, coding: str) -> None:
    theatre.cast(
        work={"do": "stall", "when": "mid_text", "events": 3, "compress": coding, "seconds": 0.5, "text": "a b c d e"}
    )
    heard = theatre.ask()
    deltas_before_the_pause = [at for at in heard.event_times() if at < heard.ended_at - 0.3]
    assert len(deltas_before_the_pause) >= 5


def test_a_long_answer_is_whole(theatre: Theatre) -> None:
    step = {"do": "answer", "words": 5000}
    theatre.cast(work=step)
    heard = theatre.ask()
    assert heard.body == backend_stream(theatre.calls[0], step, heard.body)


# Vendor events


def test_a_codex_host_gets_the_vendor_events_and_comments_too(theatre: Theatre) -> None:
    theatre.cast(work={**TALK, "vendor": True, "keepalive": True})
    heard = theatre.ask(headers=CODEX)
    assert heard.types[:4] == [
        "codex.rate_limits",
        "response.created",
        "response.in_progress",
        "codex.response.metadata",
    ]
    assert len(heard.body) == sum(piece.size for piece in theatre.calls[0].sent)
    assert b": keepalive\n\n" in heard.body


def test_other_hosts_get_none_of_them(theatre: Theatre) -> None:
    plain = dict(TALK)
    theatre.cast(work={**TALK, "vendor": True, "keepalive": True})
    heard = theatre.ask()
    assert b"keepalive" not in heard.body and b"codex." not in heard.body
    assert heard.text == plain["text"]


def test_a_done_marker_after_the_answer_is_no_event_of_it(theatre: Theatre) -> None:
    theatre.cast(work={**TALK, "done_marker": True})
    heard = theatre.ask()
    assert heard.types[-1] == "response.completed"


# One JSON object


@pytest.mark.parametrize("empty_output", [False, True], ids=["complete", "output only in output_item.done"])
def test_the_object_has_every_output_item(theatre: Theatre, empty_output: bool) -> None:
    step: Json = {**TALK, "tool": {"name": "prompt", "arguments": '{"line": 3}'}, "empty_output": empty_output}
    theatre.cast(work=step)
    heard = theatre.ask(stream=False)
    output = heard.json["output"]
    assert isinstance(output, list)
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert output[1]["content"][0]["text"] == TALK["text"]
    assert output[2]["arguments"] == '{"line": 3}'
    whole = backend_stream(theatre.calls[0], {**step, "empty_output": False}, heard.body)
    assert heard.json == read_events(whole)[-1]["response"]


def test_items_come_out_byte_for_byte(theatre: Theatre) -> None:
    item = '{ "type":"message", "n":1.0E+2, "deep":{"é":"\\u00e9"} }'
    done = f'data: {{"type":"response.output_item.done","output_index":0,"item":{item}}}\n\n'
    theatre.cast(work=raw(STREAM.replace("event: response.completed", done + "event: response.completed")))
    assert item.encode() in theatre.ask(stream=False).body


def test_an_incomplete_answer_is_an_answer(theatre: Theatre) -> None:
    theatre.cast(work={**TALK, "incomplete": True})
    heard = theatre.ask(stream=False)
    assert (heard.status, heard.json["status"]) == (200, "incomplete")
    assert heard.json["incomplete_details"] == {"reason": "max_output_tokens"}


def test_vendor_events_and_keepalives_leave_no_trace_in_the_object(theatre: Theatre) -> None:
    theatre.cast(work={**TALK, "vendor": True, "keepalive": True, "done_marker": True})
    heard = theatre.ask(stream=False)
    assert heard.json == read_events(backend_stream(theatre.calls[0], TALK, heard.body))[-1]["response"]


# The head of the answer


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_the_head_tells_the_host_what_concerns_it(any_theatre: Theatre, stream: bool) -> None:
    any_theatre.cast(work=TALK)
    headers = any_theatre.ask(stream=stream).headers
    assert headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert headers["openai-model"] == "gpt-5.5"
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-codex-primary-window-minutes"] == "300"
    assert "x-codex-turn-state" in headers


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("field", ["set-cookie", "server", "cf-ray", "content-encoding", "x-openai-proxy-wasm"])
def test_the_head_keeps_the_backends_own_business_to_itself(theatre: Theatre, field: str, stream: bool) -> None:
    theatre.cast(work=TALK)
    assert field not in theatre.ask(stream=stream).headers


def test_a_json_answer_has_its_own_length_and_no_transfer_coding(theatre: Theatre) -> None:
    theatre.cast(work=TALK)
    heard = theatre.ask(stream=False)
    assert heard.headers["content-length"] == str(len(heard.body))
    assert "transfer-encoding" not in heard.headers


def test_accept_says_nothing_about_whether_a_stream_was_asked_for(theatre: Theatre) -> None:
    theatre.cast(work=TALK)
    heard = theatre.ask(stream=False, headers={"accept": "text/event-stream"})
    assert heard.headers["content-type"] == "application/json"
    theatre.cast(work=TALK)
    heard = theatre.ask(headers={"accept": "application/json"})
    assert heard.headers["content-type"].startswith("text/event-stream")


# Kept-alive connections


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_kept_alive_connection_serves_request_after_request(h2_theatre: Theatre, http2: bool) -> None:
    h2_theatre.cast(work=TALK)
    h2_theatre.ask(http2=http2)
    before = h2_theatre.backend_connections
    bodies = [h2_theatre.ask(http2=http2, stream=stream).body for stream in (True, False, True, False)]
    assert all(bodies) and len({*bodies}) == 4
    assert h2_theatre.backend_connections == before

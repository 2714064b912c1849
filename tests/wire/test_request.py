"""The host's request as a value, from what real hosts sent."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.provider import PLATFORM
from understudy.wire.reply import Headers, header
from understudy.wire.request import (
    HostRequest,
    RequestRefused,
    decoded,
    read_request,
    turn_state_key,
    upstream_headers,
    with_model,
    without_reasoning,
    without_turn_state,
)

DATA = Path(__file__).parent / "data"
HOSTS = sorted(path.stem for path in DATA.glob("*.json"))
hosts = pytest.mark.parametrize("host", HOSTS)

SENT_BY_CODEX = {
    *("model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "store", "stream"),
    *("stream_options", "include", "service_tier", "prompt_cache_key", "text", "client_metadata"),
}
PLAIN = b'{"model": "gpt-5", "input": "say hi"}'


def captured(host: str) -> tuple[Headers, dict[str, object]]:
    """What a real host sent: its header fields and its body."""
    request = json.loads((DATA / f"{host}.json").read_text(encoding="utf-8"))
    return tuple((name, value) for name, value in request["headers"]), request["body"]


def read(host: str) -> HostRequest:
    headers, body = captured(host)
    return read_request(headers, json.dumps(body).encode())


def sent(request: HostRequest, **changes: bool) -> Headers:
    options = {"fedramp": False, "turn_state": False} | changes
    return upstream_headers(request, "acc-work", **options, version="1.2.3")


@hosts
def test_what_the_backend_insists_on_holds_for_every_host(host: str) -> None:
    body = json.loads(read(host).body)
    assert body["stream"] is True
    assert body["store"] is False
    assert body["include"].count("reasoning.encrypted_content") == 1
    assert isinstance(body["input"], list)
    assert body.keys() <= SENT_BY_CODEX
    lite = any(item.get("type") == "additional_tools" for item in body["input"])
    assert isinstance(body.get("instructions"), str) is not lite


@hosts
def test_what_the_host_said_goes_on_unless_a_rule_says_otherwise(host: str) -> None:
    _, given = captured(host)
    body = json.loads(read(host).body)
    for name in SENT_BY_CODEX - {"input", "include", "store", "stream"} & given.keys():
        assert body[name] == given[name]


@pytest.mark.parametrize(
    ("host", "stream", "codex", "name", "session"),
    [
        ("openai-python-stream", True, False, "OpenAI/Python", False),
        ("openai-python-tool-turn", False, False, "OpenAI/Python", True),
        ("openai-agents-tool-turn", False, False, "Agents/Python", True),
        ("vercel-ai-tool-turn", True, False, "ai-sdk/openai", True),
        ("opencode-tool-turn", True, False, "opencode", True),
        ("opencode-title", True, False, "opencode", True),
        ("codex-lite-tool-turn", True, True, "codex_exec", True),
        ("codex-classic", True, True, "codex_exec", True),
        ("curl", False, False, "curl", False),
    ],
)
def test_a_host_is_known_by_what_it_sends(host: str, stream: bool, codex: bool, name: str, session: bool) -> None:
    request = read(host)
    assert (request.stream, request.codex, request.host_name) == (stream, codex, name)
    assert (request.session is not None) is session


def test_a_codex_body_goes_on_byte_for_byte() -> None:
    headers, body = captured("codex-lite-tool-turn")
    compact = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    assert read_request(headers, compact).body == compact


def test_a_host_that_says_who_it_is_keeps_its_name() -> None:
    fields = dict(sent(read("opencode-tool-turn")))
    assert fields["originator"] == "opencode"
    assert fields["user-agent"].startswith("opencode/1.18.33 ")


@pytest.mark.parametrize("host", ["openai-python-stream", "curl"])
def test_a_host_without_an_originator_goes_by_our_own_name(host: str) -> None:
    fields = dict(sent(read(host)))
    assert (fields["originator"], fields["user-agent"]) == ("understudy", "understudy/1.2.3")


def test_the_responses_lite_field_says_what_the_body_is() -> None:
    field = "x-openai-internal-codex-responses-lite"
    assert header(sent(read("codex-lite-tool-turn")), field) == "true"
    assert header(sent(read_request(((field, "true"),), PLAIN)), field) is None
    lite = b'{"model": "m", "input": [{"type": "additional_tools", "role": "developer", "tools": []}]}'
    assert header(sent(read_request((), lite)), field) == "true"


def test_a_turn_state_goes_only_to_the_account_that_gave_it() -> None:
    request = read_request((("X-Codex-Turn-State", "opaque"),), PLAIN)
    assert header(sent(request), "x-codex-turn-state") is None
    assert header(sent(request, turn_state=True), "x-codex-turn-state") == "opaque"


def test_fedramp_is_said_of_accounts_that_claim_it_whatever_the_host_says() -> None:
    request = read_request((("x-openai-fedramp", "true"),), PLAIN)
    assert header(sent(request), "x-openai-fedramp") is None
    assert header(sent(request, fedramp=True), "x-openai-fedramp") == "true"


@pytest.mark.parametrize("account_id", ["", "a b", "acc\r\nx-evil: 1", "acc\x00", "acc\x85", "a" * 129, "acc\n"])
def test_an_account_id_that_could_break_the_header_is_never_sent(account_id: str) -> None:
    with pytest.raises(ValueError, match="import the account again"):
        upstream_headers(read("curl"), account_id, fedramp=False, turn_state=False, version="1")


def test_a_field_that_could_break_the_header_is_never_sent() -> None:
    request = replace(read("curl"), headers=(("version", "1\r\nx-evil: 1"),))
    with pytest.raises(ValueError, match="header field"):
        sent(request)


def test_an_encoded_body_is_read_and_goes_on_decoded() -> None:
    for coding, encoded in (("zstd", zstandard.compress(PLAIN)), ("gzip", gzip.compress(PLAIN))):
        headers = (("Content-Encoding", coding),)
        assert decoded(headers, encoded) == PLAIN
        assert header(sent(read_request(headers, PLAIN)), "content-encoding") is None


def test_codings_named_in_two_fields_are_undone_in_order() -> None:
    encoded = zstandard.compress(gzip.compress(PLAIN))
    headers = (("Content-Encoding", "gzip"), ("content-encoding", "zstd"))
    assert decoded(headers, encoded) == PLAIN


def test_a_sub_agent_s_request_is_of_its_parent_s_session_wherever_it_names_it() -> None:
    body = b'{"model": "m", "input": "hi", "client_metadata": {"x-codex-parent-thread-id": "parent"}}'
    parent = read_request((("session-id", "parent"),), PLAIN)
    assert read_request((("session-id", "own"),), body).session == parent.session


def test_a_turn_state_is_known_again_by_the_answer_s_field() -> None:
    answer = turn_state_key((("x-codex-turn-state", "opaque"),))
    assert read_request((("X-Codex-Turn-State", "opaque"),), PLAIN).turn_state == answer
    in_body = b'{"model": "m", "input": "hi", "client_metadata": {"x-codex-turn-state": "opaque"}}'
    assert read_request((), in_body).turn_state == answer
    assert read_request((), PLAIN).turn_state is None


def test_a_request_is_held_by_what_only_one_account_can_read() -> None:
    held = b'{"model": "m", "input": [{"type": "compaction", "encrypted_content": "gAAA"}]}'
    assert read_request((), held).held
    assert not read_request((), PLAIN).held
    assert not read("codex-lite-tool-turn").held


@hosts
def test_another_model_is_all_that_changes(host: str) -> None:
    body = read(host).body
    given = json.dumps(json.loads(body)["model"]).encode()
    assert with_model(body, "gpt-6") == body.replace(b'"model":' + given, b'"model":"gpt-6"', 1)


def test_a_model_s_name_cannot_become_anything_else() -> None:
    assert json.loads(with_model(read("curl").body, 'a","store":true'))["model"] == 'a","store":true'


def test_reasoning_is_all_that_is_left_out() -> None:
    body = read("codex-lite-tool-turn").body
    left = without_reasoning(body, [])
    assert left is not None
    before, after = json.loads(body), json.loads(left)
    assert after["input"] == [item for item in before["input"] if item["type"] != "reasoning"]
    assert len(after["input"]) < len(before["input"])
    assert {**after, "input": 0} == {**before, "input": 0}
    assert without_reasoning(left, []) is None


def test_a_turn_state_is_left_out_of_the_body_and_all_else_stays_byte_for_byte() -> None:
    body = b'{"n": 1.0, "client_metadata": {"a": "1" , "x-codex-turn-state": "s", "b":"2"}, "input": []}'
    assert without_turn_state(body) == b'{"n":1.0,"client_metadata":{"a":"1","b":"2"},"input":[]}'


@pytest.mark.parametrize("raw", [b'{"input": []}', b'{"client_metadata": null}', b'{ "client_metadata": {"a": "1"}}'])
def test_a_body_without_a_turn_state_stays_as_it_is(raw: bytes) -> None:
    assert without_turn_state(raw) == raw


def test_a_plain_text_has_no_reasoning_to_leave_out() -> None:
    assert without_reasoning(read_request((), PLAIN, PLATFORM).body, []) is None


@given(st.binary(), st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=4))
def test_arbitrary_bytes_are_refused_and_never_anything_else(content: bytes, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestRefused) as caught:
        read_request(tuple(headers), content)
    assert "message" in json.loads(caught.value.reply.body)["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "role"]), inner),
    max_leaves=6,
)
NAMES = sorted(SENT_BY_CODEX | {"previous_response_id", "conversation", "background", "metadata"})


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_parameters_of_any_type_are_read_or_refused(body: dict[str, object]) -> None:
    content = json.dumps({"model": "gpt-5", "input": "hi"} | body).encode()
    try:
        request = read_request((), content)
    except RequestRefused as refusal:
        assert refusal.reply.status == 400
    else:
        assert json.loads(request.body)["store"] is False
        sent(request)

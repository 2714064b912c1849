"""Who the host is, from its header fields."""

import hashlib

import pytest

from understudy.wire.identity import host_name, is_codex, passed_headers, session_of, turn_state_key
from understudy.wire.provider import CODEX
from understudy.wire.reply import Headers


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "cookie", "openai-organization", "openai-project", "x-stainless-lang", "x-forwarded-for"),
        *("forwarded", "host", "content-length", "content-encoding", "accept", "connection", "chatgpt-account-id"),
        *("proxy-authorization", "x-api-key", "x-openai-fedramp", "x-openai-client-user-agent", "cf-connecting-ip"),
        *("x-codex-", "x-codex-a b", "x-codex-" + "a" * 65),
    ],
)
def test_what_is_not_named_stays_behind(name: str) -> None:
    assert passed_headers(((name, "canary"),), CODEX) == ()
    assert passed_headers(((name.title(), "canary"),), CODEX) == ()


@pytest.mark.parametrize(
    "name", ["Originator", "User-Agent", "session_id", "Session-Id", "X-Codex-Window-Id", "traceparent", "version"]
)
def test_what_is_named_goes_on_in_lower_case(name: str) -> None:
    assert passed_headers(((name, " value "),), CODEX) == ((name.lower(), "value"),)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\x00b", "\x1b[0m", "a\x7f", "é", "", "a" * 16385])
def test_a_value_that_no_field_may_have_is_left_out(value: str) -> None:
    assert passed_headers((("originator", value),), CODEX) == ()


def test_of_a_field_that_comes_twice_the_first_goes_on() -> None:
    assert passed_headers((("version", "1"), ("Version", "2")), CODEX) == (("version", "1"),)


@pytest.mark.parametrize(
    ("originator", "expected"),
    [
        ("codex_cli_rs", True),
        ("codex-tui", True),
        ("codex_vscode", True),
        ("Codex Desktop", True),
        ("opencode", False),
        ("codexlike", False),
        ("my codex_cli_rs", False),
        ("", False),
    ],
)
def test_codex_is_known_by_its_originator(originator: str, expected: bool) -> None:
    assert is_codex((("originator", originator),)) is expected


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("OpenAI/Python 3.52.0", "OpenAI/Python"),
        ("AsyncOpenAI/JS 6.49.0", "AsyncOpenAI/JS"),
        ("opencode/1.18.33 (linux; x64) ai-sdk/4.0", "opencode"),
        ("curl/7.88.1", "curl"),
        ("  ", "unknown"),
        ("\x1b]0;x\x07evil", "]0;xevil"),
        ("a" * 500, "a" * 40),
    ],
)
def test_a_host_goes_by_its_first_product_without_the_version(agent: str, expected: str) -> None:
    assert host_name((("User-Agent", agent),)) == expected


def test_a_host_without_a_user_agent_is_unknown() -> None:
    assert host_name(()) == "unknown"


ORDER = (
    *("x-codex-parent-thread-id", "session-id", "session_id", "thread-id", "thread_id", "conversation_id"),
    *("conversation-id", "x-session-id", "x-session-affinity"),
)


@pytest.mark.parametrize("strongest", range(len(ORDER)), ids=ORDER)
def test_the_strongest_name_of_a_session_counts(strongest: int) -> None:
    headers: Headers = tuple((name, name) for name in reversed(ORDER[strongest:]))
    assert session_of(headers, ["body"]) == digest(ORDER[strongest])


def test_the_body_names_the_session_where_no_field_does() -> None:
    assert session_of((("session-id", " "),), ["", "first", "second"]) == digest("first")


def test_a_sub_agent_belongs_to_the_session_of_its_parent() -> None:
    child = (("session-id", "own"), ("x-codex-parent-thread-id", "parent"))
    assert session_of(child, []) == session_of((("session-id", "parent"),), [])


def test_the_parent_counts_from_the_body_as_from_a_field() -> None:
    assert session_of((("session-id", "own"),), ["key"], parent="parent") == digest("parent")
    assert session_of((("X-Codex-Parent-Thread-Id", "field"),), [], parent="body") == digest("field")


def test_of_a_session_s_field_that_comes_twice_the_first_counts() -> None:
    assert session_of((("session-id", "1"), ("Session-Id", "2")), []) == digest("1")


def test_a_name_of_any_length_is_hashed() -> None:
    assert session_of((("session-id", "s" * 5000),), []) == digest("s" * 5000)


def test_a_turn_state_is_known_by_its_hash_in_a_request_and_in_an_answer() -> None:
    assert turn_state_key((("X-Codex-Turn-State", " opaque "),)) == digest("opaque")
    assert turn_state_key((), "opaque") == digest("opaque")
    assert turn_state_key((("session-id", "s"), ("x-codex-turn-state", " "))) is None


def test_a_request_that_names_no_session_has_none() -> None:
    assert session_of((("x-codex-turn-state", "opaque"),), []) is None


def test_a_name_of_any_text_can_be_hashed() -> None:
    assert session_of((), ["\ud800"]) is not None

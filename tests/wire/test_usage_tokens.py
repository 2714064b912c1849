"""What an answer says that it has used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.sse import Event
from understudy.wire.usage import Usage, read_usage

USAGE = {
    "input_tokens": 120,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}


def event(usage: object, type: str = "response.completed") -> Event:
    return of(json.dumps({"type": type, "response": {"id": "resp_1", "usage": usage}}).encode(), type)


def of(data: bytes, type: str = "response.completed") -> Event:
    return Event(type, data, b"data: " + data + b"\n\n")


@pytest.mark.parametrize("type", ["response.completed", "response.incomplete", "response.failed"])
def test_an_answer_says_at_its_end_what_it_has_used(type: str) -> None:
    assert read_usage(event(USAGE, type)) == Usage(120, 100)


def test_without_details_nothing_was_cached() -> None:
    usage = {"input_tokens": 5, "input_tokens_details": None, "output_tokens": 7}
    assert read_usage(event(usage)) == Usage(5, 0)


@pytest.mark.parametrize(
    ("given", "counted"), [(-1, 0), (True, 0), ("7", 0), (1.5, 0), (None, 0), ([], 0), (10**12, 10**9)], ids=str
)
def test_what_is_no_number_of_tokens_is_not_counted(given: object, counted: int) -> None:
    assert read_usage(event(USAGE | {"input_tokens": given})) == Usage(counted, 100)


@pytest.mark.parametrize("usage", [None, {}, [], 7, "x"], ids=str)
def test_an_answer_that_says_nothing_has_no_usage(usage: object) -> None:
    assert read_usage(event(usage)) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"response": []}', b"\xff", b"[" * 100_000], ids=str)
def test_what_cannot_be_read_has_no_usage(data: bytes) -> None:
    assert read_usage(of(data)) is None


@pytest.mark.parametrize("type", ["response.created", "response.output_item.done", "codex.rate_limits", ""])
def test_only_the_end_of_an_answer_counts(type: str) -> None:
    assert read_usage(event(USAGE, type)) is None


@given(st.binary())
def test_no_bytes_whatever_raise(data: bytes) -> None:
    assert read_usage(of(data)) is None

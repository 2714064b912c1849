"""What the events of an answer mean, and what they add up to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.answer import Collector, Stage, error_of, failed_event, stage
from understudy.wire.sse import Decoder, Event


def event(type: str, data: object) -> Event:
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Event(type, content, b"")


def done(index: object, raw_item: bytes) -> Event:
    return event(
        "response.output_item.done", b'{"output_index": %s, "item": %s}' % (json.dumps(index).encode(), raw_item)
    )


def collect(*events: Event) -> bytes:
    collector = Collector()
    for each in events:
        collector.add(each)
    return collector.result()


COMPLETED_EMPTY = event("response.completed", b'{"response": {"id": "resp_1", "output": [], "usage": {"n": 1.0}}}')


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("response.created", Stage.LIFECYCLE),
        ("response.in_progress", Stage.LIFECYCLE),
        ("response.queued", Stage.LIFECYCLE),
        ("response.metadata", Stage.LIFECYCLE),
        ("response.output_item.added", Stage.OUTPUT),
        ("response.output_text.delta", Stage.OUTPUT),
        ("response.reasoning_summary_text.delta", Stage.OUTPUT),
        ("response.what_comes_next", Stage.OUTPUT),
        ("response.completed", Stage.COMPLETED),
        ("response.incomplete", Stage.INCOMPLETE),
        ("response.failed", Stage.FAILED),
        ("error", Stage.FAILED),
        ("codex.rate_limits", Stage.VENDOR),
        ("codex.response.metadata", Stage.VENDOR),
        ("responsesapi.websocket_timing", Stage.VENDOR),
        ("keepalive", Stage.VENDOR),
        ("", Stage.VENDOR),
    ],
)
def test_an_events_type_says_how_far_the_answer_has_come(type: str, expected: Stage) -> None:
    assert stage(type) is expected


def test_the_response_of_the_last_event_is_the_answer_byte_for_byte() -> None:
    raw = b'{ "id": "resp_1", "output": [ {"n": 1.50} ], "s": "\\u00e9" }'
    completed = event("response.completed", b'{"type": "response.completed", "response": ' + raw + b"}")
    assert collect(done(0, b'{"other": 1}'), completed) == raw


def test_an_empty_output_is_made_of_the_items_in_their_order_byte_for_byte() -> None:
    answer = collect(done(1, b'{"n": 2.0}'), done(0, b'{"n": 1.50}'), COMPLETED_EMPTY)
    assert answer == b'{"id":"resp_1","output":[{"n": 1.50},{"n": 2.0}],"usage":{"n": 1.0}}'


@pytest.mark.parametrize("raw", [b'{"id": "r"}', b'{"id": "r", "output": null}'], ids=["absent", "null"])
def test_an_output_that_is_not_there_is_made_of_the_items_too(raw: bytes) -> None:
    assert json.loads(collect(done(0, b"{}"), event("response.incomplete", b'{"response": ' + raw + b"}")))[
        "output"
    ] == [{}]


def test_items_without_an_index_keep_the_order_they_came_in() -> None:
    answer = json.loads(collect(done(None, b'"a"'), done("1", b'"b"'), COMPLETED_EMPTY))
    assert answer["output"] == ["a", "b"]


def test_an_answer_without_items_has_none() -> None:
    assert json.loads(collect(COMPLETED_EMPTY))["output"] == []


def test_an_answer_that_was_cut_is_none() -> None:
    with pytest.raises(ValueError, match="before it was complete"):
        collect(event("response.created", {"response": {"id": "r"}}), done(0, b"{}"))


@pytest.mark.parametrize("data", [b"", b"{", b'{"response": 7}', b"{}", b"[" * 100_000])
def test_an_end_that_is_not_what_it_says_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        collect(event("response.completed", data))


def test_an_answer_over_the_limit_is_not_collected() -> None:
    collector = Collector(limit=1000)
    collector.add(done(0, b'"' + b"a" * 900 + b'"'))
    with pytest.raises(ValueError, match="as a stream"):
        collector.add(done(1, b'"' + b"a" * 900 + b'"'))


def test_a_failure_of_ours_is_an_event_that_says_what_went_wrong() -> None:
    raw = failed_event("It broke off.", "server_error", response_id="resp_1", sequence_number=7)
    [found] = Decoder().feed(raw)
    value = json.loads(found.data)
    assert (found.type, found.raw) == ("response.failed", raw)
    assert (value["sequence_number"], value["response"]["id"]) == (7, "resp_1")
    assert value["response"]["status"] == "failed"
    said = error_of(found)
    assert (said.code, said.message) == ("server_error", "It broke off.")


def test_a_failure_of_ours_always_has_an_id() -> None:
    raw = failed_event("x", "server_error", response_id="", sequence_number=0)
    assert json.loads(Decoder().feed(raw)[0].data)["response"]["id"]


@pytest.mark.parametrize(
    "data",
    [
        {"type": "response.failed", "response": {"error": {"code": "c", "message": "m", "type": "t"}}},
        {"type": "error", "error": {"type": "t", "code": "c", "message": "m"}, "sequence_number": 3},
    ],
    ids=["response.failed", "error"],
)
def test_what_went_wrong_is_found_where_each_event_has_it(data: object) -> None:
    said = error_of(event("error", data))
    assert (said.code, said.type, said.message) == ("c", "t", "m")
    assert said.body == {"code": "c", "message": "m", "type": "t"}


def test_a_flat_error_has_its_words_beside_its_own_name() -> None:
    said = error_of(event("error", {"type": "error", "code": "c", "message": "m", "param": None, "sequence_number": 3}))
    assert (said.code, said.type, said.message) == ("c", "", "m")
    assert said.body == {"code": "c", "message": "m", "param": None}


@given(st.binary() | st.sampled_from([b"[]", b"7", b'{"error": 7}', b'{"response": []}', b'{"error": {"code": []}}']))
def test_a_failure_of_any_bytes_says_nothing_rather_than_raise(data: bytes) -> None:
    said = error_of(event("error", data))
    assert (said.code, said.type, said.message) == ("", "", "")

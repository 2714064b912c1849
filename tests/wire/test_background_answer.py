"""An answer in the background: what it is so far, what has happened so far, and how it ends."""

import json
from functools import partial
from itertools import pairwise

import pytest

from understudy.wire.answer import COLLECT_LIMIT
from understudy.wire.background import LOG_LIMIT, BackgroundAnswer
from understudy.wire.sse import Decoder
from understudy.wire.stored import as_stored

ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
STREAM = (("content-type", "text/event-stream"),)
EVENTS = (
    {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_up", "status": "in_progress"}},
    {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": ITEM},
    {
        "type": "response.completed",
        "sequence_number": 2,
        "response": {"id": "resp_up", "status": "completed", "output": []},
    },
)


def sse(*events: dict[str, object]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


restate = partial(as_stored, previous="resp_before", conversation=None, store=True, background=True)


def begun(*, streams: bool = True) -> BackgroundAnswer:
    return BackgroundAnswer("resp_own", "gpt-5.5", 17, restate, streams=streams)


def heard(*events: dict[str, object], streams: bool = True) -> BackgroundAnswer:
    answer = begun(streams=streams)
    answer.head(200, STREAM)
    answer.data(sse(*events))
    return answer


def told(answer: BackgroundAnswer, after: int = -1) -> list[dict[str, object]]:
    return [json.loads(event.data) for event in Decoder().feed(answer.since(after)[0])]


def test_it_waits_its_turn_until_something_is_heard() -> None:
    answer = begun()
    response = json.loads(answer.response)
    assert (response["id"], response["status"], response["background"]) == ("resp_own", "queued", True)
    assert (response["model"], response["created_at"], answer.ended) == ("gpt-5.5", 17, False)


def test_everything_is_told_under_the_id_that_was_known_first() -> None:
    answer = heard(*EVENTS)
    assert [event["type"] for event in told(answer)] == [event["type"] for event in EVENTS]
    assert b"resp_up" not in answer.since(-1)[0] and "resp_up" not in answer.response
    assert answer.status == "completed" and answer.ended


def test_an_output_that_the_last_event_leaves_out_is_made_of_the_items() -> None:
    answer = heard(*EVENTS)
    assert json.loads(answer.response)["output"] == [ITEM]
    whole = answer.take()
    assert whole is not None and [json.loads(item) for item in whole.output] == [ITEM]


def test_those_who_follow_hear_what_comes_after_the_event_they_know() -> None:
    answer = heard(*EVENTS[:2])
    assert [event["sequence_number"] for event in told(answer, 0)] == [1]
    news, last = answer.since(1)
    assert (news, last) == (b"", 1)
    answer.data(sse(EVENTS[2]))
    assert [event["sequence_number"] for event in told(answer, last)] == [2]


def test_an_answer_that_breaks_off_has_failed() -> None:
    answer = heard(*EVENTS[:2])
    answer.end()
    assert answer.status == "failed" and json.loads(answer.response)["error"]["code"] == "server_error"
    assert told(answer)[-1]["type"] == "response.failed"


def test_a_refusal_has_failed_in_the_refusal_s_words() -> None:
    answer = begun()
    answer.head(429, (("content-type", "application/json"),))
    answer.data(b'{"error": {"message": "No more.", "type": "usage_limit_reached", "code": "usage_limit_reached"}}')
    answer.end()
    assert json.loads(answer.response)["error"] == {"code": "usage_limit_reached", "message": "No more."}


def test_what_is_cancelled_stays_cancelled() -> None:
    answer = heard(EVENTS[0])
    answer.cancel()
    answer.data(sse(*EVENTS[1:]))
    answer.end()
    assert answer.status == "cancelled" and json.loads(answer.response)["status"] == "cancelled"
    assert answer.take() is None


def test_what_the_backend_knows_nothing_of_is_said_from_the_first_to_the_last() -> None:
    answer = heard(*EVENTS)
    shown = [begun().response, answer.response, *(json.dumps(e["response"]) for e in told(answer) if "response" in e)]
    for response in map(json.loads, shown):
        assert (response["store"], response["background"], response["previous_response_id"]) == (
            True,
            True,
            "resp_before",
        )


def large(number: int, size: int = LOG_LIMIT // 4) -> dict[str, object]:
    return {"type": "response.output_text.delta", "sequence_number": number, "delta": "x" * size}


def test_whoever_follows_hears_every_event_of_an_answer_larger_than_what_is_kept() -> None:
    answer, last, numbers = heard(EVENTS[0]), -1, []
    for number in range(1, 12):
        answer.data(sse(large(number)))
        news, last = answer.since(last)
        numbers += [json.loads(event.data)["sequence_number"] for event in Decoder().feed(news)]
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers)) and numbers[-1] == 11
    answer.data(sse(EVENTS[2]))
    assert told(answer, last)[-1]["type"] == "response.completed"


def test_whoever_comes_too_late_for_the_first_events_can_follow_from_where_there_are_any() -> None:
    answer = heard(EVENTS[0], *(large(number) for number in range(1, 12)))
    assert not answer.tells_all_after(-1) and not answer.tells_all_after(-5)
    first = next(number for number in range(12) if answer.tells_all_after(number))
    assert told(answer, first)[0]["sequence_number"] == first + 1
    assert answer.size < LOG_LIMIT + 10_000


def test_what_breaks_off_past_the_limit_says_so_as_well() -> None:
    answer = heard(EVENTS[0], *(large(number) for number in range(1, 12)))
    _, last = answer.since(-1)
    answer.end()
    failed = told(answer, last)
    assert [event["type"] for event in failed] == ["response.failed"]
    assert failed[0]["response"] == json.loads(answer.response)


def test_the_last_event_is_told_however_large_it_is() -> None:
    response = {"status": "completed", "output": [{**ITEM, "text": "x" * (LOG_LIMIT + 1)}]}
    answer = heard(EVENTS[0], {"type": "response.completed", "sequence_number": 1, "response": response})
    assert told(answer, 0)[-1]["type"] == "response.completed"


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete"])
def test_an_answer_that_is_too_large_to_be_kept_has_failed_and_says_so(last: str) -> None:
    answer = heard(EVENTS[0])
    answer.data(sse({"type": last, "response": {"output": [{**ITEM, "text": "x" * (COLLECT_LIMIT - 200)}]}}))
    assert answer.status == "failed" and answer.take() is None
    assert told(answer)[-1]["type"] == "response.failed"


def test_of_what_was_not_begun_as_a_stream_no_events_are_kept() -> None:
    answer = heard(*EVENTS, streams=False)
    assert not answer.tells_all_after(-1) and answer.since(-1)[0] == b""
    assert answer.status == "completed" and answer.take() is not None


def test_what_an_answer_was_made_of_is_let_go_once_it_is_taken() -> None:
    answer = heard(*EVENTS)
    assert answer.take() is not None and answer.take() is None

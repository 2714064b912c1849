"""An answer in the background: what it is so far, what has happened so far, and how it ends."""

import json

from understudy.wire import background
from understudy.wire.background import BackgroundAnswer
from understudy.wire.sse import Decoder

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


def begun() -> BackgroundAnswer:
    return BackgroundAnswer("resp_own", "gpt-5.5", 17)


def heard(*events: dict[str, object]) -> BackgroundAnswer:
    answer = begun()
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
    assert b"resp_up" not in answer.since(-1)[0] + answer.response
    assert answer.status == "completed" and answer.ended


def test_an_output_that_the_last_event_leaves_out_is_made_of_the_items() -> None:
    answer = heard(*EVENTS)
    assert json.loads(answer.response)["output"] == [ITEM]
    whole = answer.answer()
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
    assert answer.answer() is None


def test_an_answer_of_which_not_every_event_could_be_kept_says_so() -> None:
    answer = heard(EVENTS[0])
    delta = {"type": "response.output_text.delta", "sequence_number": 1, "delta": "x" * (background.LOG_LIMIT // 4)}
    for _ in range(5):
        answer.data(sse(delta))
    answer.data(sse(EVENTS[2]))
    assert not answer.whole and answer.since(-1)[0] == b""
    assert answer.status == "completed"

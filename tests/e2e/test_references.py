"""Hosts that count on a server which keeps their answers, in front of a backend that keeps nothing."""

import json
from collections.abc import Mapping
from itertools import pairwise

import httpx
import pytest

from support.hosts import HOST_KEY
from support.theatre import Json, Theatre, TheatreFactory, read_events
from understudy.cli.main import main
from understudy.sandbox.journal import Entry

ORIGIN = "https://api.openai.com/v1"
AUTHORIZATION = {"authorization": f"Bearer {HOST_KEY}"}
ANSWERS: list[Json] = [{"do": "answer", "text": f"Answer {number}."} for number in range(1, 9)]


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres()


@pytest.fixture(scope="module")
def forgetful(theatres: TheatreFactory) -> Theatre:
    """Where nothing is kept."""
    return theatres(codex_history="off")


def call(theatre: Theatre, method: str, path: str, body: object = None) -> httpx.Response:
    return theatre.client().request(method, ORIGIN + path, json=body, headers=AUTHORIZATION)


def respond(theatre: Theatre, **parameters: object) -> Json:
    """The Response object of a host that asked for no stream."""
    heard = theatre.ask({"model": "gpt-5.5", **parameters})
    assert heard.status == 200, heard.body
    return heard.json


def input_of(entry: Entry) -> bytes:
    """The text of the input that the backend got, without its closing bracket."""
    body = entry.content
    start = body.index(b'"input":[')
    texts = json.JSONDecoder().raw_decode(body[start + 8 :].decode())
    return body[start : start + 8 + texts[1] - 1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_request_that_names_the_answer_before_it_reaches_the_backend_with_the_whole_history(
    theatre: Theatre, stream: bool
) -> None:
    theatre.cast(work=ANSWERS)
    previous: str | None = None
    for number in range(4):
        given: Mapping[str, object] = {"previous_response_id": previous} if previous else {}
        heard = theatre.ask({"model": "gpt-5.5", "input": f"question {number}", "stream": stream, **given})
        assert heard.status == 200, heard.body
        answered = heard.events[-1]["response"] if stream else heard.json
        assert isinstance(answered, dict)
        previous = answered["id"]
    inputs = [input_of(entry) for entry in theatre.calls]
    for shorter, longer in pairwise(inputs):
        assert longer.startswith(shorter), "the prompt cache goes by the beginning of the input, byte for byte"
    assert b"Answer 3." in inputs[3] and b"question 0" in inputs[3]
    assert all(b"previous_response_id" not in entry.content for entry in theatre.calls)


def test_the_history_goes_along_when_another_account_takes_over(theatre: Theatre) -> None:
    theatre.cast(work=[ANSWERS[0], {"do": "usage_limit", "resets_in": 3600}], home=ANSWERS[1])
    first = respond(theatre, input="question 0")
    respond(theatre, input="question 1", previous_response_id=first["id"])
    assert theatre.asked == ["work", "work", "home"]
    assert b"Answer 1." in theatre.calls[-1].content


def test_an_item_that_is_only_referred_to_is_sent_whole(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0")
    output = first["output"]
    assert isinstance(output, list)
    reference = {"type": "item_reference", "id": output[-1]["id"]}
    respond(theatre, input=[{"role": "user", "content": "question 0"}, reference, {"role": "user", "content": "so?"}])
    body = theatre.calls[-1].body
    assert isinstance(body, dict)
    assert body["input"][1] == output[-1]


def test_a_reference_that_is_gone_is_refused_in_openai_s_words_and_nothing_is_asked(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    heard = theatre.ask({"model": "gpt-5.5", "input": "hi", "previous_response_id": "resp_gone"})
    assert (heard.status, heard.error["code"]) == (400, "previous_response_not_found")
    assert heard.error["message"] == "Previous response with id 'resp_gone' not found."
    reference = [{"type": "item_reference", "id": "msg_gone"}]
    assert theatre.ask({"model": "gpt-5.5", "input": reference}).status == 400
    assert theatre.asked == []


def test_what_the_host_does_not_want_stored_is_not(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0", store=False)
    assert call(theatre, "GET", f"/responses/{first['id']}").status_code == 404
    again = theatre.ask({"model": "gpt-5.5", "input": "hi", "previous_response_id": first["id"]})
    assert again.error["code"] == "previous_response_not_found"


def test_a_stored_answer_can_be_had_again_with_its_input_and_be_deleted(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0")
    second = respond(theatre, input="question 1", previous_response_id=first["id"])
    kept = call(theatre, "GET", f"/responses/{second['id']}").json()
    assert kept["store"] is True and kept["previous_response_id"] == first["id"]
    assert kept["output"] == second["output"]
    listed = call(theatre, "GET", f"/responses/{second['id']}/input_items?order=asc").json()
    assert [item["role"] for item in listed["data"]] == ["user", "assistant", "user"]
    assert call(theatre, "DELETE", f"/responses/{second['id']}").json()["deleted"] is True
    assert call(theatre, "GET", f"/responses/{second['id']}").status_code == 404
    assert len(theatre.calls) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_says_what_was_asked_for_and_the_backend_knows_nothing_of(theatre: Theatre, stream: bool) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0", store=True)
    assert (first["store"], first["previous_response_id"]) == (True, None)
    asked = {"model": "gpt-5.5", "input": "question 1", "metadata": {"topic": "demo"}, "stream": stream}
    heard = theatre.ask({**asked, "previous_response_id": first["id"]})
    told = [r for event in heard.events if isinstance(r := event.get("response"), dict)] if stream else [heard.json]
    for response in told:
        assert (response["store"], response["previous_response_id"]) == (True, first["id"])
        assert response["metadata"] == {"topic": "demo"}
    assert call(theatre, "GET", f"/responses/{told[-1]['id']}").json()["metadata"] == {"topic": "demo"}


def test_an_answer_that_nothing_of_the_kind_was_asked_for_goes_on_byte_for_byte(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    for given in ({}, {"store": False}):
        heard = theatre.ask({"model": "gpt-5.5", "input": "question 0", "stream": True, **given})
        assert b'"store":false' in heard.body and heard.types[-1] == "response.completed"


def test_a_conversation_grows_with_each_answer(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    conversation = call(theatre, "POST", "/conversations", {"metadata": {"topic": "demo"}}).json()
    respond(theatre, input="question 0", conversation=conversation["id"])
    respond(theatre, input="question 1", conversation={"id": conversation["id"]})
    assert b"Answer 1." in theatre.calls[-1].content and b"question 0" in theatre.calls[-1].content
    items = call(theatre, "GET", f"/conversations/{conversation['id']}/items?order=asc&limit=100").json()["data"]
    assert [item["role"] for item in items if item["type"] == "message"] == ["user", "assistant", "user", "assistant"]


def test_where_nothing_is_kept_the_host_hears_why(forgetful: Theatre) -> None:
    forgetful.cast(work=ANSWERS)
    first = respond(forgetful, input="question 0")
    heard = forgetful.ask({"model": "gpt-5.5", "input": "hi", "previous_response_id": first["id"]})
    assert heard.status == 400 and "codex_history is off" in str(heard.error["message"])
    background = forgetful.ask({"model": "gpt-5.5", "input": "hi", "background": True})
    assert background.status == 400 and "codex_history" in str(background.error["message"])


# In the background


def finished(theatre: Theatre, id: object) -> Json:
    """The Response object once it has ended."""
    while True:
        found: Json = call(theatre, "GET", f"/responses/{id}").json()
        if found["status"] not in ("queued", "in_progress"):
            return found


def test_an_answer_in_the_background_is_made_without_its_host_and_replayed_like_any_other(theatre: Theatre) -> None:
    theatre.cast(work={"do": "usage_limit", "resets_in": 3600}, home=ANSWERS[0])
    begun = respond(theatre, input="question 0", background=True)
    assert begun["status"] in ("queued", "in_progress") and begun["background"] is True
    ended = finished(theatre, begun["id"])
    assert (ended["status"], ended["id"], ended["background"]) == ("completed", begun["id"], True)
    assert "Answer 1." in json.dumps(ended["output"])
    assert theatre.asked == ["work", "home"]
    follow_up = respond(theatre, input="question 1", previous_response_id=begun["id"])
    assert follow_up["status"] == "completed" and b"Answer 1." in theatre.calls[-1].content


def test_an_answer_in_the_background_can_be_followed_from_any_event_on(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer", "text": "word " * 20})
    heard = theatre.ask({"model": "gpt-5.5", "input": "hi", "background": True, "stream": True})
    numbers = [number for event in heard.events if isinstance(number := event["sequence_number"], int)]
    assert heard.types[-1] == "response.completed" and numbers == sorted(numbers)
    response = heard.events[-1]["response"]
    assert isinstance(response, dict)
    assert {r["id"] for event in heard.events if isinstance(r := event.get("response"), dict)} == {response["id"]}
    rest = call(theatre, "GET", f"/responses/{response['id']}?stream=true&starting_after={numbers[4]}")
    assert rest.headers["content-type"].startswith("text/event-stream")
    assert [event["sequence_number"] for event in read_events(rest.content)] == numbers[5:]


def test_an_answer_in_the_background_that_is_cancelled_is_cancelled_upstream(theatre: Theatre) -> None:
    theatre.cast(work={"do": "stall", "when": "mid_text"})
    begun = respond(theatre, input="hi", background=True)
    theatre.sandbox.journal.wait_for(lambda entry: entry.status == 200)
    assert call(theatre, "POST", f"/responses/{begun['id']}/cancel").json()["status"] == "cancelled"
    theatre.sandbox.journal.wait_for(lambda entry: entry.ending == "cancelled")
    assert finished(theatre, begun["id"])["status"] == "cancelled"


def test_an_answer_in_the_background_that_fails_says_why(theatre: Theatre) -> None:
    theatre.cast(work={"do": "usage_limit", "resets_in": 3600})
    ended = finished(theatre, respond(theatre, input="hi", background=True)["id"])
    error = ended["error"]
    assert isinstance(error, dict)
    assert ended["status"] == "failed" and error["code"] == "usage_limit_reached"


def test_what_was_not_begun_as_a_stream_has_no_events_to_follow(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0")
    refused = call(theatre, "GET", f"/responses/{first['id']}?stream=true")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")


def test_a_wipe_takes_what_was_made_in_the_background_too(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    theatre.cast(work=ANSWERS)
    begun = respond(theatre, input="question 0", background=True)
    finished(theatre, begun["id"])
    monkeypatch.setenv("UNDERSTUDY_HOME", str(theatre.proxy.home))
    assert main(["history", "clear", "--yes"]) == 0
    assert call(theatre, "GET", f"/responses/{begun['id']}").status_code == 404


def test_nothing_but_what_was_put_in_the_background_can_be_cancelled(theatre: Theatre) -> None:
    theatre.cast(work=ANSWERS)
    first = respond(theatre, input="question 0")
    assert call(theatre, "POST", f"/responses/{first['id']}/cancel").status_code == 400

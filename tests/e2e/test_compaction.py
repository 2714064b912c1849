"""Histories made shorter: by an ordinary request that ends in a trigger, and by an endpoint of its own."""

import httpx
import pytest

from support.hosts import HOST_KEY
from support.theatre import Json, Theatre, TheatreFactory, role_of
from understudy.sandbox.journal import Entry

URL = "https://api.openai.com/v1/responses/compact"
ANSWER: Json = {"do": "answer"}
LIMITED: Json = {"do": "usage_limit", "resets_in": 3600}
HISTORY: list[object] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
CODEX = {"originator": "codex_exec", "session-id": "s-1"}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres()


def compact(theatre: Theatre, headers: dict[str, str] | None = None, **parameters: object) -> httpx.Response:
    body = {"model": "gpt-5.5", "input": HISTORY, "instructions": "", **parameters}
    return theatre.client().post(URL, json=body, headers={"authorization": f"Bearer {HOST_KEY}", **(headers or {})})


def compactions(theatre: Theatre) -> list[Entry]:
    """The calls of the endpoint that reached the backend."""
    return [entry for entry in theatre.sandbox.journal.entries() if entry.path.endswith("/compact")]


def test_codex_hears_what_the_backend_has_said(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    answered = compact(theatre, CODEX)
    assert answered.status_code == 200, answered.text
    assert answered.json()["output"][-1]["type"] == "compaction"


def test_an_sdk_hears_what_the_api_reference_has_beside_it(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    told = compact(theatre, store=True, stream=False, temperature=1.0).json()
    assert told["object"] == "response.compaction" and told["id"].startswith("resp_")
    assert told["output"][-1]["type"] == "compaction"
    body = compactions(theatre)[-1].body
    assert isinstance(body, dict)
    assert not body.keys() & {"store", "stream", "include", "temperature", "tool_choice"}


def test_a_limit_is_not_noticed(theatre: Theatre) -> None:
    theatre.cast(work=LIMITED, home=ANSWER)
    assert compact(theatre).status_code == 200
    assert [role_of(entry) for entry in compactions(theatre)] == ["work", "home"]


def test_a_connection_that_breaks_is_tried_again(theatre: Theatre) -> None:
    theatre.cast(retries=2, work=[{"do": "reset"}, ANSWER])
    assert compact(theatre).status_code == 200


def test_nobody_can_serve(theatre: Theatre) -> None:
    theatre.cast(work=LIMITED)
    answered = compact(theatre)
    assert answered.status_code == 429 and answered.json()["error"]["type"] == "usage_limit_reached"


def test_a_trigger_at_the_end_of_an_ordinary_request_gets_exactly_one_item(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    heard = theatre.ask({"model": "gpt-5.5", "input": [*HISTORY, {"type": "compaction_trigger"}], "stream": True})
    done = [event["item"] for event in heard.events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done if isinstance(item, dict)] == ["compaction"]


def test_what_was_made_shorter_stays_with_its_account(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    shorter = compact(theatre, CODEX).json()["output"]
    maker = role_of(compactions(theatre)[-1])
    heard = theatre.ask({"model": "gpt-5.5", "input": [*shorter, *HISTORY], "stream": True}, headers=CODEX)
    assert heard.status == 200, heard.body
    assert theatre.asked == [maker]

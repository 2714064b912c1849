"""Answers in the background, at their edges: what is said of them, how they end, and what is kept."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from support.backstage import Backstage, times
from support.hosts import HOST_KEY
from support.peers import OPENAI, Origin, Tunnel, post, server_tls
from support.proxy import SCRIPT, Proxy
from support.theatre import Json, Theatre, TheatreFactory, eventually, read_events
from understudy.sandbox.server import Sandbox

ORIGIN = "https://api.openai.com/v1"
AUTHORIZATION = {"authorization": f"Bearer {HOST_KEY}"}
BEGIN: Json = {"model": "gpt-5.5", "input": "question 0", "background": True}
STALL: Json = {"do": "stall", "when": "mid_text"}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres()


@pytest.fixture(scope="module")
def narrow(theatres: TheatreFactory, tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    """Where little is kept: the bounds are those of ordinary answers, a thousand times smaller."""
    script = tmp_path_factory.mktemp("bounds") / "narrow.py"
    script.write_text(
        "from understudy.proxy import jobs\nfrom understudy.wire import background\n"
        "background.LOG_LIMIT, jobs.MOST_BYTES = 16_000, 64_000\n"
    )
    return theatres(arguments=("-s", str(script)))


def call(theatre: Theatre, method: str, path: str, body: object = None) -> httpx.Response:
    return theatre.client().request(method, ORIGIN + path, json=body, headers=AUTHORIZATION)


def begun(theatre: Theatre, **more: object) -> str:
    """The id of an answer that is being made."""
    return str(call(theatre, "POST", "/responses", {**BEGIN, **more}).json()["id"])


def ended(theatre: Theatre, id: str) -> Json:
    """The Responses object once it has ended."""
    while True:
        found: Json = call(theatre, "GET", f"/responses/{id}").json()
        if found["status"] not in ("queued", "in_progress"):
            return found


def followed(theatre: Theatre, **more: object) -> tuple[str, list[Json]]:
    """The id of an answer that was begun as a stream, and its events to the last."""
    heard = theatre.ask({**BEGIN, "stream": True, **more})
    response = heard.events[-1]["response"]
    assert isinstance(response, dict)
    return response["id"], heard.events


# What is said of them


def test_it_says_what_was_asked_for_from_the_first_to_the_last(theatre: Theatre) -> None:
    theatre.cast(work=[{"do": "answer"}, STALL, {"do": "answer"}])
    before = call(theatre, "POST", "/responses", {"model": "gpt-5.5", "input": "hi"}).json()["id"]
    asked = {**BEGIN, "previous_response_id": before, "metadata": {"topic": "demo"}}
    first = call(theatre, "POST", "/responses", asked).json()
    eventually(lambda: call(theatre, "GET", f"/responses/{first['id']}").json()["status"] == "in_progress")
    running = call(theatre, "GET", f"/responses/{first['id']}").json()
    call(theatre, "POST", f"/responses/{first['id']}/cancel")
    _, events = followed(theatre, previous_response_id=before, metadata={"topic": "demo"})
    last = events[-1]["response"]
    assert isinstance(last, dict)
    for told in (first, running, ended(theatre, first["id"]), last, ended(theatre, last["id"])):
        said = (told["store"], told["background"], told["previous_response_id"], told["conversation"])
        assert said == (True, True, before, None)
        assert told["metadata"] == {"topic": "demo"}


@pytest.mark.parametrize("steps", [STALL, LIMIT], ids=["running", "failed"])
def test_its_input_can_be_had_before_there_is_an_answer_and_where_there_is_none(theatre: Theatre, steps: Json) -> None:
    theatre.cast(work=[{"do": "answer", "text": "Answer 0."}, steps])
    before = call(theatre, "POST", "/responses", {"model": "gpt-5.5", "input": "question 0"}).json()["id"]
    id = begun(theatre, input="question 1", previous_response_id=before)
    listed = call(theatre, "GET", f"/responses/{id}/input_items?order=asc").json()["data"]
    assert [item["content"][0]["text"] for item in listed] == ["question 0", "Answer 0.", "question 1"]
    assert call(theatre, "GET", f"/responses/{id}/input_items?limit=0").status_code == 400
    call(theatre, "POST", f"/responses/{id}/cancel")


# How they end


@pytest.mark.parametrize("end", ["failed", "cancelled", "completed", "running"])
def test_whatever_has_become_of_it_it_can_be_deleted(theatre: Theatre, end: str) -> None:
    steps: dict[str, Json] = {"failed": LIMIT, "completed": {"do": "answer"}}
    theatre.cast(work=steps.get(end, STALL))
    id = begun(theatre)
    if end == "cancelled":
        call(theatre, "POST", f"/responses/{id}/cancel")
    if end != "running":
        assert ended(theatre, id)["status"] == end
    deleted = call(theatre, "DELETE", f"/responses/{id}")
    assert (deleted.status_code, deleted.json()) == (200, {"id": id, "object": "response", "deleted": True})
    assert call(theatre, "GET", f"/responses/{id}").status_code == 404
    assert call(theatre, "DELETE", f"/responses/{id}").status_code == 404


def test_what_is_deleted_cannot_be_followed_any_more(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    id, _ = followed(theatre)
    assert call(theatre, "DELETE", f"/responses/{id}").status_code == 200
    assert call(theatre, "GET", f"/responses/{id}?stream=true").status_code == 400


# What is kept of them


def test_whoever_follows_hears_the_last_event_of_an_answer_larger_than_what_is_kept(narrow: Theatre) -> None:
    narrow.cast(work={"do": "answer", "words": 300, "delay": 0.002})
    id, events = followed(narrow)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    assert call(narrow, "GET", f"/responses/{id}?stream=true").status_code == 400
    rest = call(narrow, "GET", f"/responses/{id}?stream=true&starting_after={len(events) - 3}")
    assert read_events(rest.content) == events[-2:]


def test_old_events_make_room_for_new_ones_and_the_answers_stay(narrow: Theatre) -> None:
    narrow.cast(work={"do": "answer", "words": 40})
    first, _ = followed(narrow)
    assert call(narrow, "GET", f"/responses/{first}?stream=true").status_code == 200
    for _ in range(5):
        newest, _ = followed(narrow)
    assert call(narrow, "GET", f"/responses/{first}?stream=true").status_code == 400
    assert call(narrow, "GET", f"/responses/{newest}?stream=true").status_code == 200
    assert ended(narrow, first)["status"] == "completed"


# Who may have them


def test_it_is_made_behind_a_proxy_that_wants_a_password(theatres: TheatreFactory) -> None:
    theatre = theatres(proxyauth="user:word")
    theatre.cast(work={"do": "answer"})
    trust = ssl.create_default_context(cafile=str(theatre.proxy.ca))
    address = theatre.proxy.url.replace("://", "://user:word@")
    with httpx.Client(proxy=address, verify=trust, headers=AUTHORIZATION, trust_env=False) as host:
        id = host.post(f"{ORIGIN}/responses", json=BEGIN).json()["id"]
        status = ""
        while status not in ("completed", "failed"):
            status = host.get(f"{ORIGIN}/responses/{id}").json()["status"]
    assert status == "completed"


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin


@pytest.fixture
def stage(make_backstage: Callable[[], Backstage]) -> Backstage:
    return make_backstage()


@pytest.mark.parametrize("history", ["memory", "off"])
def test_for_a_model_that_is_the_program_s_own_it_is_let_go_like_any_other(
    stage: Backstage, openai: Origin, history: str
) -> None:
    options = {"codex_unsupported": "passthrough", "codex_models": "own-*=passthrough", "codex_history": history}
    body = b'{"model":  "own-model", "input": "hi", "background": true}'
    request = post("/v1/responses", body, f"authorization: Bearer {HOST_KEY}")
    openai.forget()
    with Sandbox({"accounts": {"home": {}}}) as sandbox:
        stage.enrol(sandbox)
        routes = {f"{OPENAI}:443": openai.port}
        with stage.proxy(sandbox, routes=routes, options=options) as proxy, Tunnel(proxy) as host:
            answer = host.exchange(request)
        assert sandbox.journal.responses() == ()
    assert (answer.body, openai.requests) == (Origin.BODY, [request])


# Where the script is loaded anew


def edit(proxy: Proxy, script: Path) -> None:
    """Changes the script on disk, and waits until it is loaded once more."""
    loaded = proxy.log.count("Loading script")
    script.write_text(script.read_text() + "\n")
    proxy.wait_for_log(times(loaded + 1, "Loading script"))


@pytest.mark.parametrize("history", ["memory", "disk"])
def test_a_script_that_changes_loses_nothing_that_is_kept_or_in_the_making(stage: Backstage, history: str) -> None:
    script = stage.folder / "codex.py"
    script.write_text(SCRIPT.read_text())
    with Sandbox({"accounts": {"home": {"windows": [{"minutes": 300, "cost": 0}]}}}) as sandbox:
        stage.enrol(sandbox)
        with stage.proxy(sandbox, script=script, options={"codex_history": history}) as proxy:
            theatre = Theatre(sandbox, proxy)
            kept, _ = followed(theatre)
            sandbox.set_steps("home", [{"do": "answer", "words": 60, "delay": 0.05}, STALL, {"do": "answer"}])
            running, stalled = begun(theatre), begun(theatre)
            eventually(lambda: len(sandbox.journal.responses()) == 3)
            edit(proxy, script)
            assert call(theatre, "GET", f"/responses/{kept}?stream=true").status_code == 200
            assert call(theatre, "GET", f"/responses/{running}").json()["status"] == "in_progress"
            assert call(theatre, "POST", f"/responses/{stalled}/cancel").json()["status"] == "cancelled"
            assert ended(theatre, running)["status"] == "completed"
            for id in (kept, running):
                asked = {"model": "gpt-5.5", "input": "so?", "previous_response_id": id}
                assert call(theatre, "POST", "/responses", asked).status_code == 200
            theatre.close()
    assert json.dumps(BEGIN["input"]).encode() in sandbox.journal.responses()[-1].content


def test_it_is_refused_where_it_is_not_to_be_stored(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    refused = call(theatre, "POST", "/responses", {**BEGIN, "store": False})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "store")
    assert theatre.asked == []


def test_what_is_refused_here_and_asked_of_nobody_is_told_in_our_words(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT)
    assert theatre.ask().status == 429
    error = ended(theatre, begun(theatre))["error"]
    assert isinstance(error, dict)
    assert error["code"] == "usage_limit_reached" and "work: usage limit" in str(error["message"])
    assert theatre.asked == ["work"]

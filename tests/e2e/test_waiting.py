"""A request that meets a limit on every account waits for the first that ends, and its host stays on the line."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from support.backstage import Backstage
from support.hosts import Answer, curl, curl_command, environment, python
from support.http2 import Http2Host
from support.proxy import ROOT
from support.theatre import Heard, Json, Theatre, TheatreFactory, backend_stream, eventually, member
from understudy.pool import edits
from understudy.pool.lifts import by_user
from understudy.pool.pool import over_accounts
from understudy.proxy.waiting import COMMENT, EVENT
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

ASK = ROOT / "tests" / "programs" / "ask.py"
TEXT = "It was worth the wait."
ANSWER: Json = {"do": "answer", "text": TEXT}
SOON: Json = {"do": "usage_limit", "resets_in": 1, "until_reset": True}
"""It ends within 2 s: the backend names whole seconds."""
LATER: Json = {"do": "usage_limit", "resets_in": 12, "until_reset": True}
AGAIN: Json = {"do": "usage_limit", "resets_in": 1}
"""A limit that ends soon, and is there again."""
TOMORROW: Json = {"do": "usage_limit", "resets_in": 86400}
CODEX = {"originator": "codex_cli_rs", "user-agent": "codex_cli_rs/0.99.0"}
BODY: Json = {"model": "gpt-5.5", "input": "hi"}
KEEPALIVE = 0.5
"""Seconds between two signs of life, in these tests."""


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What makes a proxy send signs of life as often as that."""
    path = tmp_path_factory.mktemp("brisk") / "brisk.py"
    path.write_text(f"from understudy.proxy import waiting\n\nwaiting.KEEPALIVE = {KEEPALIVE}\n")
    return "-s", str(path)


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory, brisk: tuple[str, str]) -> Theatre:
    """Requests may wait for 20 s."""
    return theatres(codex_wait=20, arguments=brisk)


@pytest.fixture(scope="module")
def h2_theatre(theatres: TheatreFactory, brisk: tuple[str, str]) -> Theatre:
    """The same, with a backend that speaks HTTP/2 over TLS."""
    return theatres(alpn=("h2", "http/1.1"), codex_wait=20, arguments=brisk)


@pytest.fixture(scope="module")
def hurried(theatres: TheatreFactory, brisk: tuple[str, str]) -> Theatre:
    """Requests may wait for 3 s."""
    return theatres(codex_wait=3, arguments=brisk)


@pytest.fixture(scope="module")
def quiet(theatres: TheatreFactory) -> Theatre:
    """Requests may wait for 3 s, and nobody hears of it so soon."""
    return theatres(codex_wait=3)


def waited(theatre: Theatre) -> float:
    """Seconds from the first call to the backend to the last."""
    return theatre.calls[-1].at - theatre.calls[0].at


class Waiting:
    """A host that asks and is left waiting for an account while the block runs; `heard` is what it heard in the end."""

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        self._heard: list[Heard] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        with self._theatre.new_client() as client:
            self._heard.append(self._theatre.ask(client=client))

    def __enter__(self) -> "Waiting":
        limits = self._limits()
        self._thread.start()
        eventually(lambda: self._limits() > limits)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)

    def _limits(self) -> int:
        return self._theatre.proxy.log.count("429 usage limit")

    @property
    def heard(self) -> Heard:
        """Once the block has been left."""
        return self._heard[0]


# The wait


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_a_request_waits_for_the_reset_and_is_answered(either: tuple[Theatre, bool], stream: bool) -> None:
    theatre, http2 = either
    theatre.cast(work=[SOON, ANSWER])
    heard = theatre.ask(http2=http2, stream=stream)
    assert (heard.status, heard.broken) == (200, "")
    assert 0.9 < waited(theatre) < 6
    assert heard.text == TEXT if stream else (heard.json["status"], len(heard.pieces)) == ("completed", 1)


def test_nobody_is_asked_before_a_limit_ends_that_is_worth_the_wait(theatre: Theatre) -> None:
    theatre.cast(work=[SOON, ANSWER], home=[SOON, ANSWER])
    theatre.ask()
    assert [call.status for call in theatre.calls] == [429, 429, 200]


def test_the_first_account_that_recovers_serves(theatre: Theatre) -> None:
    theatre.cast(work=[LATER, ANSWER], home=[SOON, ANSWER])
    assert theatre.ask().text == TEXT
    assert (theatre.asked[:2], theatre.asked[-1]) == (["work", "home"], "home")
    assert waited(theatre) < 8


def test_a_request_that_finds_every_account_limited_waits_before_its_first_attempt(theatre: Theatre) -> None:
    theatre.cast(work=[SOON, ANSWER])
    with Waiting(theatre) as first:
        second = theatre.ask()
    assert (first.heard.text, second.text) == (TEXT, TEXT)
    assert [call.status for call in theatre.calls][-2:] == [200, 200]


def test_many_requests_of_one_connection_wait_side_by_side(h2_theatre: Theatre) -> None:
    h2_theatre.cast(work=[SOON, ANSWER])
    with Http2Host(h2_theatre.proxy) as host:
        streams = [host.ask({**BODY, "stream": number % 2 == 0}) for number in range(10)]
        answers = [host.answer(stream) for stream in streams]
    assert all(answer.status == 200 and TEXT in _words(answer) for answer in answers)


def _words(heard: Heard) -> str:
    return heard.text or heard.body.decode()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_a_limit_that_lasts_longer_than_a_request_may_wait_is_told_at_once(theatre: Theatre, stream: bool) -> None:
    theatre.cast(work=TOMORROW)
    began = time.monotonic()
    heard = theatre.ask(stream=stream)
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    assert heard.ended_at - began < 1.5


def test_nobody_waits_where_the_user_did_not_ask_for_it(theatres: TheatreFactory) -> None:
    theatre = theatres()
    theatre.cast(work=[SOON, ANSWER])
    assert theatre.ask().status == 429


def test_a_wait_is_over_when_the_user_lifts_the_limit(theatre: Theatre) -> None:
    theatre.cast(work=[{**LATER, "until_reset": False}, ANSWER])
    with Waiting(theatre) as host:
        theatre.play("work", ANSWER)
        lift(theatre)
    assert host.heard.text == TEXT
    assert waited(theatre) < 9


def lift(theatre: Theatre) -> None:
    """The user, who sees that an account is limited, says that every one may be asked, in another process."""
    eventually(lambda: any(account.blocks for account in theatre.store.read().accounts))
    theatre.store.update(over_accounts(lambda accounts: tuple(map(by_user, accounts))))


def test_a_wait_is_over_when_another_account_is_enabled(theatre: Theatre) -> None:
    theatre.cast(work=LATER, home=ANSWER, disabled=["home"])
    with Waiting(theatre) as host:
        theatre.store.update(lambda pool: edits.enable(pool, "home", True))
    assert (host.heard.text, theatre.asked) == (TEXT, ["work", "home"])
    assert waited(theatre) < 9


# What the host hears meanwhile


@pytest.mark.parametrize(("headers", "sign"), [({}, COMMENT), (CODEX, EVENT)], ids=["SDK", "Codex"])
def test_a_host_hears_signs_of_life_and_then_its_answer(
    either: tuple[Theatre, bool], headers: dict[str, str], sign: bytes
) -> None:
    theatre, http2 = either
    theatre.cast(work=[SOON, ANSWER])
    began = time.monotonic()
    heard = theatre.ask(http2=http2, headers=headers)
    answer = heard.body.replace(sign, b"")
    assert heard.body.endswith(answer) and heard.body.count(sign) >= 1
    assert answer == backend_stream(theatre.calls[-1], ANSWER, answer)
    assert (heard.status, heard.headers["content-type"]) == (200, "text/event-stream")
    assert heard.headers["cache-control"] == "no-cache"
    moments = [began, *(at for at, _ in heard.pieces)]
    assert max(later - earlier for earlier, later in pairwise(moments)) < KEEPALIVE + 1


@pytest.mark.parametrize("way", ["create", "create_stream", "async_stream"])
def test_a_program_on_the_sdk_knows_nothing_of_it(theatre: Theatre, way: str) -> None:
    theatre.cast(work=[SOON, ANSWER])
    done = python(theatre.proxy, ASK, way)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["text"] == TEXT


def test_signs_of_life_go_on_while_a_backend_keeps_silent(theatre: Theatre) -> None:
    theatre.cast(work=[SOON, {**ANSWER, "wait": 3}])
    heard = theatre.ask()
    signs, _, answer = heard.body.partition(b"event: ")
    moments = [at for at, _ in heard.pieces]
    assert signs.count(COMMENT) >= 4
    assert max(later - earlier for earlier, later in pairwise(moments)) < KEEPALIVE + 1
    assert b"response.completed" in answer and COMMENT not in answer


def test_an_answer_that_was_opened_may_still_be_replayed(theatre: Theatre) -> None:
    theatre.cast(work=[SOON, {"do": "early_failed", "code": "usage_limit_reached", "resets_in": 1}, ANSWER])
    heard = theatre.ask()
    assert (heard.text, heard.types.count("response.created")) == (TEXT, 1)
    assert "early_failed" in [call.step for call in theatre.calls]


# The wait ends in vain


def test_an_opened_answer_ends_in_an_event(hurried: Theatre) -> None:
    hurried.cast(work=AGAIN)
    heard = hurried.ask()
    assert (heard.status, heard.broken, heard.types) == (200, "", ["response.failed"])
    error = member(member(heard.events[0], "response"), "error")
    assert error["code"] == "usage_limit_reached"
    assert "work" in str(error["message"])


def test_an_opened_answer_that_ends_in_an_event_leaves_its_connection_for_the_next(hurried: Theatre) -> None:
    hurried.cast(work=AGAIN)
    hurried.ask()
    hurried.cast(work=ANSWER)
    assert hurried.ask().text == TEXT


def test_a_program_on_the_sdk_reads_the_end_as_an_event(hurried: Theatre) -> None:
    hurried.cast(work=AGAIN)
    done = python(hurried.proxy, ASK, "create_stream")
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout.splitlines()[-1])["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "usage_limit_reached")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_an_answer_that_was_not_opened_is_a_429(hurried: Theatre, quiet: Theatre, stream: bool) -> None:
    theatre = quiet if stream else hurried
    theatre.cast(work=AGAIN)
    heard = theatre.ask(stream=stream)
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    assert waited(theatre) < 5


# The host hangs up


@contextmanager
def curl_running(theatre: Theatre, *, http2: bool, stream: bool) -> "Iterator[subprocess.Popen[bytes]]":
    """A host that can be killed at any moment."""
    body = json.dumps({**BODY, "stream": stream})
    version = "--http2" if http2 else "--http1.1"
    command = curl_command(theatre.proxy, version, "-H", "Content-Type: application/json", "-d", body)
    host = subprocess.Popen(command, env=environment(theatre.proxy), stdout=subprocess.PIPE, bufsize=0)
    try:
        yield host
    finally:
        host.kill()
        host.wait()
        assert host.stdout is not None
        host.stdout.close()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_nobody_is_asked_for_a_host_that_left_while_it_waited(either: tuple[Theatre, bool], stream: bool) -> None:
    theatre, http2 = either
    theatre.cast(work=[SOON, ANSWER])
    with curl_running(theatre, http2=http2, stream=stream) as host:
        theatre.sandbox.journal.wait_for(lambda entry: entry.ending == "finished")
        if stream:
            assert host.stdout is not None and host.stdout.read(1) == COMMENT[:1]
    assert theatre.ask(http2=http2).text == TEXT
    assert [call.status for call in theatre.calls].count(200) == 1


def test_one_request_of_an_http2_host_is_given_up_and_the_other_waits_on(h2_theatre: Theatre) -> None:
    h2_theatre.cast(work=[SOON, ANSWER])
    with Http2Host(h2_theatre.proxy) as host:
        first, second = (host.ask({**BODY, "stream": True}) for _ in range(2))
        h2_theatre.sandbox.journal.wait_for(lambda entry: entry.ending == "finished")
        host.reset(first)
        assert host.answer(second).text == TEXT
    assert [call.status for call in h2_theatre.calls].count(200) == 1


# What the user sees


def test_the_flow_shows_what_the_host_got(make_backstage: MakeBackstage, brisk: tuple[str, str]) -> None:
    answer, (limited, *_, served) = dumped(make_backstage(), brisk, [SOON, ANSWER])
    assert limited.response is not None and limited.response.status_code == 429
    assert served.response is not None
    assert (served.response.status_code, served.response.raw_content) == (200, answer.body)
    assert served.response.headers["content-type"] == answer.headers["content-type"]
    assert served.marked == ":green_circle:"


def test_the_flow_of_an_opened_answer_that_failed_does_not_look_served(
    make_backstage: MakeBackstage, brisk: tuple[str, str]
) -> None:
    answer, (*_, failed) = dumped(make_backstage(), brisk, [AGAIN])
    assert failed.response is not None
    assert (failed.response.status_code, failed.response.raw_content) == (200, answer.body)
    assert failed.marked == ":no_entry_sign:"
    assert "usage_limit_reached" in failed.comment


def dumped(stage: Backstage, brisk: tuple[str, str], steps: list[Json]) -> tuple[Answer, list[http.HTTPFlow]]:
    """What a host gets from an account with these steps, and the flows that are written."""
    path = stage.folder / "flows"
    with Sandbox({"accounts": {"work": {"steps": steps}}}) as sandbox:
        stage.enrol(sandbox)
        with stage.proxy(sandbox, arguments=(*brisk, "-w", str(path)), options={"codex_wait": 3}) as proxy:
            answer = curl(proxy, {**BODY, "stream": True})
    return answer, read_flows(path)


def read_flows(path: Path) -> list[http.HTTPFlow]:
    """The flows of a dump, in the order of writing."""
    with path.open("rb") as file:
        return [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]

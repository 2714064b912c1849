"""Many hosts at once, and one host for a long time: everybody gets their own answer, and nothing piles up."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.hosts import HOST_KEY, python
from support.http2 import Http2Host
from support.proxy import ROOT
from support.theatre import URL, Heard, Json, Theatre, TheatreFactory, eventually, member, role_of

PROGRAMS = ROOT / "tests" / "programs"
HOSTS = 20
TEXT = " ".join(f"word{n}" for n in range(30))
LIVE: Json = {"do": "answer", "words": 30, "delay": 0.01}
QUICK: Json = {"do": "answer", "text": "Yes."}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
MOST_TIMERS = 6
"""Of one host connection: one for each kind of deadline, and mitmproxy's own on HTTP/2. Not one for each request."""


def at_once(theatre: Theatre, http2: bool, ask: Callable[[httpx.Client, int], Heard]) -> list[Heard]:
    """What so many hosts hear that ask at the same moment, each on a connection of its own."""
    start = threading.Barrier(HOSTS)

    def host(number: int) -> Heard:
        with theatre.new_client(http2=http2) as client:
            start.wait(10)
            return ask(client, number)

    with ThreadPoolExecutor(HOSTS) as hosts:
        return list(hosts.map(host, range(HOSTS)))


def text_of(heard: Heard) -> str:
    """The answer's text, streamed or not."""
    if heard.headers["content-type"].startswith("text/event-stream"):
        return heard.text
    output = heard.json["output"]
    assert isinstance(output, list)
    return str(output[0]["content"][0]["text"])


# Many hosts


def test_twenty_hosts_over_three_accounts_with_one_limited_are_all_answered(
    either: tuple[Theatre, bool],
) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMIT, home=LIVE, third=LIVE)
    heard = at_once(
        theatre, http2, lambda client, n: theatre.ask(client=client, stream=n % 2 == 0, prompt_cache_key=f"s{n}")
    )
    assert [answer.status for answer in heard] == [200] * HOSTS
    assert [text_of(answer) for answer in heard] == [TEXT] * HOSTS
    asked = Counter(theatre.asked)
    print(f"calls on the limited account: {asked['work']}")
    assert asked["work"] <= HOSTS and asked["home"] + asked["third"] == HOSTS
    at_once(theatre, http2, lambda client, n: theatre.ask(client=client, prompt_cache_key=f"other{n}"))
    assert Counter(theatre.asked)["work"] == asked["work"]


def test_every_host_gets_an_answer_of_its_own(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMIT, home=LIVE)
    heard = at_once(theatre, http2, lambda client, n: theatre.ask(client=client))
    for answer in heard:
        ids = {member(event, "response")["id"] for event in answer.events if "response" in event}
        assert len(ids) == 1
        assert [event["sequence_number"] for event in answer.events] == list(range(len(answer.events)))
    assert len({str(member(answer.events[0], "response")["id"]) for answer in heard}) == HOSTS


def test_twenty_answers_at_once_are_as_live_as_one(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMIT, home=LIVE)
    heard = at_once(theatre, http2, lambda client, n: theatre.ask(client=client))
    sent = {call.response_id: [piece.at for piece in call.sent] for call in theatre.calls if role_of(call) == "home"}
    for answer in heard:
        left = sent[str(member(answer.events[0], "response")["id"])]
        assert len(answer.event_times()) == len(left)
        assert answer.event_times()[0] < left[-1], "it was heard as a whole, not as it came"


def test_sessions_keep_their_accounts_through_a_limit_of_all_at_once(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either

    def ask(client: httpx.Client, number: int) -> Heard:
        return theatre.ask(client=client, headers={"session_id": f"session-{number}"})

    theatre.cast(work=QUICK, home=QUICK)
    at_once(theatre, http2, ask)
    assert Counter(theatre.asked) == {"work": HOSTS}
    theatre.play("work", {**LIMIT, "resets_in": 1})
    at_once(theatre, http2, ask)
    theatre.play("work", QUICK)
    theatre.sandbox.journal.clear()
    eventually(lambda: (block := theatre.account("work").block) is not None and block.until < time.time())
    at_once(theatre, http2, ask)
    assert Counter(theatre.asked) == {"work": HOSTS}  # their caches are warm there
    theatre.play("work", LIMIT)
    at_once(theatre, http2, ask)
    theatre.play("work", QUICK)
    theatre.sandbox.journal.clear()
    theatre.lift("work")
    at_once(theatre, http2, ask)
    assert Counter(theatre.asked) == {"home": HOSTS}  # they moved for good


def test_hosts_of_every_kind_and_faults_of_every_kind_do_not_get_into_each_others_way(
    either: tuple[Theatre, bool],
) -> None:
    theatre, http2 = either
    faults: list[Json] = [
        {"do": "reset", "when": "before_headers"},
        {"do": "reset", "when": "after_events", "events": 2},
        {"do": "cut", "when": "after_events", "events": 2},
        {"do": "server_error"},
        {"do": "burst"},
        {"do": "unauthorized"},
    ]
    theatre.cast(retries=20, work=[*faults, LIVE], home=[*faults, LIVE], third=LIVE)
    heard = at_once(theatre, http2, lambda client, n: theatre.ask(client=client, stream=n % 2 == 0))
    assert [answer.status for answer in heard] == [200] * HOSTS
    assert [text_of(answer) for answer in heard] == [TEXT] * HOSTS


def test_twenty_hosts_need_one_refresh(theatres: TheatreFactory) -> None:
    theatre = theatres(specs={"stale": {"first_life": -5.0, "token_steps": [{"do": "rotate", "wait": 0.3}]}})
    theatre.cast(stale=QUICK)
    heard = at_once(theatre, False, lambda client, n: theatre.ask(client=client))
    assert [answer.status for answer in heard] == [200] * HOSTS
    assert [entry.status for entry in theatre.sandbox.journal if entry.path == "/oauth/token"] == [200]


def test_a_program_on_the_sdk_may_ask_twenty_things_at_once(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=LIVE, third=LIVE)
    done = python(theatre.proxy, PROGRAMS / "many.py", str(HOSTS))
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {answer["text"] for answer in answers} == {TEXT}
    assert len({answer["id"] for answer in answers}) == HOSTS


def test_twenty_streams_of_one_http2_connection_are_all_moved_to_the_next_account(
    theatre: Theatre, h2_theatre: Theatre, backend_http2: bool
) -> None:
    theatre = h2_theatre if backend_http2 else theatre
    theatre.cast(work=LIMIT, home=LIVE)
    with Http2Host(theatre.proxy) as host:
        streams = [host.ask({"model": "gpt-5.5", "input": "hi", "stream": True}) for _ in range(HOSTS)]
        heard = [host.answer(stream) for stream in streams]
    assert [answer.status for answer in heard] == [200] * HOSTS
    assert [answer.text for answer in heard] == [TEXT] * HOSTS


@pytest.fixture(params=[False, True], ids=["HTTP/1.1 backend", "HTTP/2 backend"])
def backend_http2(request: pytest.FixtureRequest) -> bool:
    """Whether the backend speaks HTTP/2."""
    return bool(request.param)


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_proxy_that_is_told_to_stop_lets_the_running_answers_finish(theatres: TheatreFactory, http2: bool) -> None:
    theatre = theatres(alpn=("h2", "http/1.1"))
    theatre.cast(work=LIMIT, home={"do": "answer", "words": 30, "delay": 0.04})
    with ThreadPoolExecutor(5) as hosts:
        clients = [theatre.new_client(http2=http2) for _ in range(5)]
        asked = [hosts.submit(theatre.ask, client=client) for client in clients]
        theatre.sandbox.journal.wait_until(lambda entries: sum(len(entry.sent) > 5 for entry in entries) == 5)
        theatre.proxy.stop()
        heard = [future.result() for future in asked]
        for client in clients:
            client.close()
    assert [answer.text for answer in heard] == [TEXT] * 5
    assert [answer.types[-1] for answer in heard] == ["response.completed"] * 5


# One host, for long

BOTTOMLESS = {"bottomless": {"windows": [{"minutes": 300, "cost": 0}]}}


@pytest.fixture(scope="module")
def counted(theatres: TheatreFactory) -> Theatre:
    """A proxy that can be asked what is alive in it."""
    return theatres(arguments=("-s", str(PROGRAMS / "census.py")), specs=BOTTOMLESS)


@pytest.fixture(scope="module")
def counted_h2(theatres: TheatreFactory) -> Theatre:
    return theatres(alpn=("h2", "http/1.1"), arguments=("-s", str(PROGRAMS / "census.py")), specs=BOTTOMLESS)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def counted_either(request: pytest.FixtureRequest) -> tuple[Theatre, bool]:
    """The same, over both protocols."""
    http2 = request.param == "HTTP/2"
    theatre = request.getfixturevalue("counted_h2" if http2 else "counted")
    assert isinstance(theatre, Theatre)
    return theatre, http2


def census(theatre: Theatre) -> Mapping[str, int]:
    """What is alive in the proxy: claimed requests, flows, streams, timers."""
    with httpx.Client(proxy=theatre.proxy.url, trust_env=False) as client:
        counted: dict[str, int] = client.get("http://census.invalid/").json()
        return counted


def resident(theatre: Theatre) -> float:
    """The proxy's resident memory, in MiB."""
    status = Path(f"/proc/{theatre.proxy.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def test_500_answers_on_one_connection_leave_nothing_alive(
    counted_either: tuple[Theatre, bool],
) -> None:
    theatre, http2 = counted_either
    theatre.cast(bottomless=QUICK)
    with theatre.new_client(http2=http2) as client:
        for n in range(100):
            assert theatre.ask(client=client, stream=n % 2 == 0).status == 200
        before, memory = census(theatre), resident(theatre)
        for n in range(400):
            assert theatre.ask(client=client, stream=n % 2 == 0).status == 200
        after, growth = census(theatre), resident(theatre) - memory
    print(f"alive after 500 answers: {after}; memory growth over 400 of them: {growth:.1f} MiB")
    assert after["turns"] == 0
    assert after["flows"] <= before["flows"] + 2 and after["streams"] <= before["streams"] + 2
    assert after["timers"] <= MOST_TIMERS
    assert growth < 16


def test_hosts_that_hang_up_leave_nothing_alive(counted_either: tuple[Theatre, bool]) -> None:
    theatre, http2 = counted_either
    theatre.cast(work={"do": "answer", "words": 2000, "delay": 0.01})
    before = census(theatre)
    body = {"model": "gpt-5.5", "input": "hi", "stream": True}
    for _ in range(30):
        with (
            theatre.new_client(http2=http2) as client,
            client.stream("POST", URL, json=body, headers={"authorization": f"Bearer {HOST_KEY}"}) as response,
        ):
            next(response.iter_raw())
    theatre.sandbox.journal.wait_until(lambda entries: all(entry.cancelled_at for entry in entries))
    eventually(lambda: census(theatre)["turns"] == 0)
    after = census(theatre)
    assert after["flows"] <= before["flows"] + 2 and after["streams"] <= before["streams"] + 2


def test_replays_leave_nothing_alive(counted_either: tuple[Theatre, bool]) -> None:
    theatre, http2 = counted_either
    before = census(theatre)
    failure: Json = {"do": "early_failed", "code": "usage_limit_reached", "hold_open": 60}
    with theatre.new_client(http2=http2) as client:
        for _ in range(30):
            theatre.cast(work=failure, home=QUICK)
            assert theatre.ask(client=client).status == 200
        after = census(theatre)
    assert after["turns"] == 0
    assert after["flows"] <= before["flows"] + 2 and after["streams"] <= before["streams"] + 2
    assert after["timers"] <= MOST_TIMERS

"""How it ends when it cannot go on: the host is told the truth in OpenAI's shape, and nothing is left running."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from support.hosts import curl, curl_command, environment, python
from support.http2 import Http2Host
from support.proxy import ROOT
from support.theatre import Json, Theatre, TheatreFactory, backend_stream, eventually, member
from understudy.pool.account import Health
from understudy.sandbox.journal import Entry

ASK = ROOT / "tests" / "programs" / "ask.py"
TEXT = "one two three four five six"
ANSWER: Json = {"do": "answer", "text": TEXT}
ENDLESS: Json = {"do": "answer", "words": 4000, "delay": 0.02}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
GONE: Json = {"first_life": -5.0, "token_steps": [{"do": "refuse", "code": "refresh_token_expired"}]}
SLOW: Json = {"first_life": -5.0, "token_steps": [{"do": "rotate", "wait": 1.0}]}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    """With a login that is gone, and one whose token endpoint takes its time."""
    return theatres(codex_hold=30, specs={"gone": GONE, "also": GONE, "slow": SLOW})


@pytest.fixture(scope="module")
def h2_theatre(theatres: TheatreFactory) -> Theatre:
    """With a backend that speaks HTTP/2 over TLS."""
    return theatres(alpn=("h2", "http/1.1"), codex_hold=30)


# The answer breaks off after it has begun

BREAKS: dict[str, Json] = {
    "an end in the middle of an event": {"do": "cut", "when": "mid_text", "events": 3, "text": TEXT},
    "an end between two events": {"do": "cut", "when": "after_events", "events": 6, "text": TEXT},
    "a reset": {"do": "reset", "when": "mid_text", "events": 3, "text": TEXT},
    "a TCP reset": {"do": "reset", "when": "mid_text", "events": 3, "how": "rst", "text": TEXT},
    "a TCP close": {"do": "reset", "when": "mid_text", "events": 3, "how": "fin", "text": TEXT},
    "a reset of a compressed answer": {
        "do": "reset",
        "when": "mid_text",
        "events": 3,
        "compress": "gzip",
        "text": TEXT,
    },
}


@pytest.mark.parametrize("step", BREAKS.values(), ids=BREAKS.keys())
def test_a_stream_that_breaks_off_ends_with_response_failed(either: tuple[Theatre, bool], step: Json) -> None:
    theatre, http2 = either
    theatre.cast(work=step, home=ANSWER)
    heard = theatre.ask(http2=http2)
    *before, last = heard.events
    assert (heard.status, heard.broken, theatre.asked) == (200, "", ["work"])
    assert [event["type"] for event in before[-1:]] == ["response.output_text.delta"]
    assert last["type"] == "response.failed"
    assert last["sequence_number"] == len(before)
    response = member(last, "response")
    assert (response["status"], response["id"]) == ("failed", theatre.calls[0].response_id)
    assert member(response, "error")["code"] == "server_error"


@pytest.mark.parametrize("step", BREAKS.values(), ids=BREAKS.keys())
def test_what_came_before_the_break_is_whole_and_unchanged(either: tuple[Theatre, bool], step: Json) -> None:
    theatre, http2 = either
    theatre.cast(work=step)
    heard = theatre.ask(http2=http2)
    delivered, failed, _ = heard.body.partition(b"event: response.failed")
    assert failed and delivered.endswith(b"\n\n")
    assert backend_stream(theatre.calls[0], ANSWER, heard.body).startswith(delivered)


@pytest.mark.parametrize("step", BREAKS.values(), ids=BREAKS.keys())
def test_a_host_that_asked_for_no_stream_gets_a_502(either: tuple[Theatre, bool], step: Json) -> None:
    theatre, http2 = either
    theatre.cast(work=step, home=ANSWER)
    heard = theatre.ask(http2=http2, stream=False)
    assert (heard.status, heard.error["type"], theatre.asked) == (502, "server_error", ["work"])
    assert "broke off" in str(heard.error["message"])


@pytest.mark.parametrize("way", ["create_stream", "async_create_stream"])
def test_a_program_on_the_sdk_reads_the_failure_as_an_event(theatre: Theatre, way: str) -> None:
    theatre.cast(work=BREAKS["a reset"])
    done = python(theatre.proxy, ASK, way)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["response"]["status"] == "failed"
    assert "broke off" in last["response"]["error"]["message"]


def test_after_a_broken_answer_others_are_preferred_and_nothing_worse(theatre: Theatre) -> None:
    theatre.cast(work=[BREAKS["a reset"], ANSWER], home=[ANSWER, LIMIT])
    theatre.ask()
    assert [theatre.ask().text for _ in range(2)] == [TEXT] * 2
    assert theatre.asked == ["work", "home", "home", "work"]


def test_a_silence_after_output_may_be_longer_than_one_before_it(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_stall_timeout=1)
    theatre.cast(work={"do": "stall", "when": "mid_text", "events": 3, "seconds": 2, "text": TEXT})
    heard = theatre.ask()
    assert (heard.text, heard.types[-1]) == (TEXT, "response.completed")


@pytest.mark.parametrize("code", ["server_error", "usage_limit_reached"])
def test_a_failure_after_output_is_the_answers_own_end(theatre: Theatre, code: str) -> None:
    theatre.cast(work={"do": "early_failed", "code": code, "words": 5}, home=ANSWER)
    heard = theatre.ask()
    assert (theatre.asked, heard.types[-1], heard.types.count("response.failed")) == (["work"], "response.failed", 1)
    assert member(member(heard.events[-1], "response"), "error")["code"] == code
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["work", "home"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("server_error", 500), ("usage_limit_reached", 429), ("invalid_prompt", 400)],
)
def test_a_failure_after_output_is_an_error_for_a_host_that_asked_for_no_stream(
    theatre: Theatre, code: str, status: int
) -> None:
    theatre.cast(work={"do": "early_failed", "code": code, "words": 5})
    heard = theatre.ask(stream=False)
    assert (heard.status, heard.error["code"]) == (status, code)


def test_an_overload_after_output_is_an_error_that_hosts_come_back_after(theatre: Theatre) -> None:
    theatre.cast(work={"do": "early_failed", "code": "server_is_overloaded", "words": 5})
    heard = theatre.ask(stream=False)
    assert (heard.status, heard.error["type"], heard.error["code"]) == (503, "server_error", "server_error")
    assert "retry-after" in heard.headers


def test_a_backend_that_says_its_last_word_and_does_not_hang_up_keeps_nobody_waiting(
    either: tuple[Theatre, bool],
) -> None:
    theatre, http2 = either
    theatre.cast(work={"do": "early_failed", "code": "server_error", "words": 5, "hold_open": 30})
    heard = theatre.ask(http2=http2)
    assert heard.ended_at - heard.event_times()[-1] < 5
    assert (heard.types[-1], heard.broken) == ("response.failed", "")


def test_an_http_1_0_host_hears_the_whole_answer_and_its_end(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=ANSWER)
    answer = curl(theatre.proxy, {"model": "gpt-5.5", "input": "hi", "stream": True}, "--http1.0")
    assert answer.status == 200
    assert answer.body == backend_stream(theatre.calls[1], ANSWER, answer.body)


# No account can serve


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("asked_before", [False, True], ids=["met now", "known already"])
def test_a_limit_on_every_account_is_a_429_that_names_the_soonest_reset(
    either: tuple[Theatre, bool], stream: bool, asked_before: bool
) -> None:
    theatre, http2 = either
    theatre.cast(work={**LIMIT, "resets_in": 7200}, home={**LIMIT, "resets_in": 600})
    if asked_before:
        theatre.ask(http2=http2)
        theatre.sandbox.journal.clear()
    soonest = time.time() + 600
    heard = theatre.ask(http2=http2, stream=stream)
    assert theatre.asked == ([] if asked_before else ["work", "home"])
    error = heard.error
    assert (heard.status, error["type"], error["code"]) == (429, "usage_limit_reached", "usage_limit_reached")
    assert isinstance(error["resets_at"], int) and abs(error["resets_at"] - soonest) < 10
    assert isinstance(error["resets_in_seconds"], int) and 590 <= error["resets_in_seconds"] <= 601
    assert heard.headers["retry-after"] == str(error["resets_in_seconds"])
    assert heard.headers["x-should-retry"] == "false"
    assert heard.headers["content-type"] == "application/json"


def test_the_message_names_each_account_and_its_reason(theatre: Theatre) -> None:
    theatre.cast(
        gone=ANSWER, work=LIMIT, home={**LIMIT, "type": "usage_not_included"}, third=ANSWER, disabled=["third"]
    )
    heard = theatre.ask()
    message = str(heard.error["message"])
    assert heard.status == 429
    assert re.search(r"gone: needs login", message) and "third: disabled" in message
    assert "work: usage limit" in message and "home: plan without Codex" in message


def test_no_reset_is_invented_where_none_is_known(theatre: Theatre) -> None:
    theatre.cast(work={**LIMIT, "tell": "nothing"})
    for _ in range(2):
        heard = theatre.ask()
        assert (heard.status, theatre.asked) == (429, ["work"])
        assert not {"resets_at", "resets_in_seconds"} & heard.error.keys()
        assert "retry-after" not in heard.headers
        assert heard.headers["x-should-retry"] == "false"


def test_a_program_on_the_sdk_is_told_once_and_does_not_try_again(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=LIMIT)
    done = python(theatre.proxy, ASK, "create_stream")
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]["code"]) == (429, "usage_limit_reached")
    assert theatre.asked == ["work", "home"]


def test_a_request_may_be_tried_again_once_the_soonest_reset_has_come(theatre: Theatre) -> None:
    theatre.cast(work=[{**LIMIT, "resets_in": 1}, ANSWER])
    assert theatre.ask().status == 429
    eventually(lambda: (block := theatre.account("work").block) is not None and block.until < time.time())
    assert theatre.ask().status == 200


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_an_empty_pool_is_a_503_that_gives_the_command(either: tuple[Theatre, bool], stream: bool) -> None:
    theatre, http2 = either
    theatre.cast()
    heard = theatre.ask(http2=http2, stream=stream)
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert "understudy login" in str(heard.error["message"])


def test_accounts_that_all_need_a_login_are_a_503_with_the_reasons(theatre: Theatre) -> None:
    theatre.cast(gone=ANSWER, also=ANSWER)
    heard = theatre.ask()
    assert (heard.status, heard.error["code"], theatre.asked) == (503, "understudy_no_account", [])
    assert "gone: needs login" in str(heard.error["message"]) and "also: needs login" in str(heard.error["message"])
    assert theatre.account("gone").health is Health.NEEDS_LOGIN


def test_accounts_that_are_all_disabled_are_a_503(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER, disabled=["work", "home"])
    heard = theatre.ask()
    assert (heard.status, heard.error["code"], theatre.asked) == (503, "understudy_no_account", [])
    assert "work: disabled; home: disabled" in str(heard.error["message"])


def test_a_limit_here_and_trouble_there_is_a_503_because_waiting_for_the_reset_need_not_help(theatre: Theatre) -> None:
    theatre.cast(retries=2, work=LIMIT, home={"do": "overloaded"})
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (503, ["work", "home", "home"])
    assert "work: usage limit" in str(heard.error["message"]) and "home: overloaded" in str(heard.error["message"])


def test_a_backend_that_cannot_be_reached_is_an_error_in_openais_shape(theatres: TheatreFactory) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        theatre = theatres(codex_backend=f"http://127.0.0.1:{taken.getsockname()[1]}/backend-api/codex")
        theatre.cast(work=ANSWER)
        heard = theatre.ask()
    assert heard.status in (502, 503)
    assert heard.error.keys() == {"message", "type", "param", "code"}


# Redirects


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_a_502_and_nobody_follows_it(either: tuple[Theatre, bool], status: int, stream: bool) -> None:
    theatre, http2 = either
    there = f"{theatre.sandbox.origin}/stage-door"
    theatre.cast(work={"do": "redirect", "status": status, "location": there}, home=ANSWER)
    heard = theatre.ask(http2=http2, stream=stream)
    assert (heard.status, heard.error["code"]) == (502, "blocked_outbound_redirect")
    assert "location" not in heard.headers and b"stage-door" not in heard.body
    assert [entry.path for entry in theatre.sandbox.journal] == ["/backend-api/codex/responses"]


def test_a_program_on_the_sdk_cannot_be_led_elsewhere(theatre: Theatre) -> None:
    theatre.cast(work={"do": "redirect", "location": f"{theatre.sandbox.origin}/stage-door"})
    told = json.loads(python(theatre.proxy, ASK, "create").stdout)
    assert told["status"] == 502
    assert {entry.path for entry in theatre.sandbox.journal} == {"/backend-api/codex/responses"}


# The host hangs up


@contextmanager
def curl_running(theatre: Theatre, *, http2: bool, stream: bool = True) -> "Iterator[subprocess.Popen[bytes]]":
    """A host that can be killed at any moment."""
    body = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": stream})
    command = curl_command(
        theatre.proxy, "--http2" if http2 else "--http1.1", "-H", "Content-Type: application/json", "-d", body
    )
    host = subprocess.Popen(
        command, env=environment(theatre.proxy), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        yield host
    finally:
        host.kill()
        host.wait()
        assert host.stdout is not None
        host.stdout.close()


def hang_up(host: "subprocess.Popen[bytes]") -> float:
    """Ends the host with no chance to say goodbye; gives the moment."""
    host.kill()
    return time.monotonic()


def cancelled(theatre: Theatre, call: int = 0) -> Entry:
    """A call to the backend, once the sandbox has seen that it was cancelled."""
    number = theatre.calls[call].number
    return theatre.sandbox.journal.wait_for(lambda e: e.number == number and e.cancelled_at is not None, 3)


def began(theatre: Theatre, events: int, step: str = "") -> Entry:
    """A call to the backend, once so many events of its answer are out."""
    return theatre.sandbox.journal.wait_for(lambda e: len(e.sent) >= events and e.step.startswith(step))


MOMENTS: Mapping[str, tuple[Json, int]] = {
    "before the headers": ({"do": "stall", "when": "before_headers"}, 0),
    "while the answer is held": ({"do": "stall", "when": "after_events", "events": 2, "seconds": 30}, 2),
    "in the middle of the answer": (ENDLESS, 30),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize(("step", "events"), MOMENTS.values(), ids=MOMENTS.keys())
def test_the_backend_is_cancelled_within_a_second(
    either: tuple[Theatre, bool], step: Json, events: int, stream: bool
) -> None:
    theatre, http2 = either
    theatre.cast(work=step, home=ANSWER)
    with curl_running(theatre, http2=http2, stream=stream) as host:
        began(theatre, events, str(step["do"]))
        left_at = hang_up(host)
    cancelled_at = cancelled(theatre).cancelled_at
    assert cancelled_at is not None and 0 <= cancelled_at - left_at < 1
    assert theatre.asked == ["work"]
    assert theatre.account("work").block is None


def test_nobody_is_asked_for_a_host_that_left_between_two_attempts(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=[{"do": "short_limit", "seconds": 1}, {**ANSWER, "wait": 1.2}], home=ANSWER)
    with curl_running(theatre, http2=http2) as host:
        theatre.sandbox.journal.wait_for(lambda e: e.step == "short_limit" and e.ending == "finished")
        theatre.proxy.wait_for_log(r"429 short limit, tried again after 1\.[0-2] s")
        hang_up(host)
    assert theatre.ask(http2=http2).text == TEXT
    assert theatre.asked == ["work", "work"]


def test_a_host_that_leaves_costs_the_others_nothing(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=[ENDLESS, ANSWER])
    with curl_running(theatre, http2=http2) as host:
        began(theatre, 10)
        hang_up(host)
    cancelled(theatre)
    assert theatre.ask(http2=http2).text == TEXT


def test_one_stream_of_an_http2_host_is_cancelled_and_the_other_goes_on(h2_theatre: Theatre) -> None:
    h2_theatre.cast(work=ENDLESS, home=ANSWER)
    with Http2Host(h2_theatre.proxy) as host:
        first = host.ask({"model": "gpt-5.5", "input": "first", "stream": True})
        began(h2_theatre, 10)
        h2_theatre.play("work", {"do": "answer", "words": 40, "delay": 0.02})
        second = host.ask({"model": "gpt-5.5", "input": "second", "stream": True})
        h2_theatre.sandbox.journal.wait_until(lambda entries: len(entries) == 2 and len(entries[1].sent) > 10)
        host.reset(first)
        left_at = time.monotonic()
        cancelled_at = cancelled(h2_theatre).cancelled_at
        body = host.hear(second)
    assert cancelled_at is not None and cancelled_at - left_at < 1
    assert b"word39" in body and b"response.completed" in body
    assert h2_theatre.calls[1].ending == "finished"


def test_a_refresh_is_finished_and_kept_though_the_host_has_left(theatre: Theatre) -> None:
    theatre.cast(slow=ANSWER)
    before = theatre.account("slow").tokens.refresh.reveal()
    with curl_running(theatre, http2=False) as host:
        theatre.sandbox.journal.wait_for(lambda e: e.path == "/oauth/token")
        hang_up(host)
    eventually(lambda: theatre.account("slow").tokens.refresh.reveal() != before)
    assert theatre.ask().text == TEXT
    assert [entry.status for entry in theatre.sandbox.journal if entry.path == "/oauth/token"] == [200]

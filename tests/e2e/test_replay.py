"""What goes wrong before the answer begins is tried again, on this account or another, and the host never knows."""

import json
import statistics
import time
from collections.abc import Sequence

import pytest

from support.hosts import python
from support.proxy import ROOT
from support.theatre import Json, Theatre, TheatreFactory, backend_stream, eventually, raw, role_of
from understudy.pool.account import Ground, Health

ASK = ROOT / "tests" / "programs" / "ask.py"
ANSWER: Json = {"do": "answer", "text": "The play goes on."}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
BURST: Json = {"do": "burst"}
LIVE: Json = {"do": "answer", "words": 40, "delay": 0.02}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    """Less patient than by default, so that a stall is seen in a second."""
    specs = {"stale": {"first_life": -5.0}, "gone": GONE, "shaky": SHAKY, "brim": BRIM, "rich": RICH}
    return theatres(codex_stall_timeout=1, specs=specs)


@pytest.fixture(scope="module")
def h2_theatre(theatres: TheatreFactory) -> Theatre:
    """The same, with a backend that speaks HTTP/2 over TLS."""
    return theatres(alpn=("h2", "http/1.1"), codex_stall_timeout=1)


BRIM: Json = {"windows": [{"minutes": 300, "used": 99.5}]}
"""The next answer uses it up."""
RICH: Json = {**BRIM, "credits": {"has_credits": True, "balance": "5"}}


def gap(theatre: Theatre, first: int, second: int) -> float:
    """Seconds between the end of one call to the backend and the start of another."""
    calls = theatre.calls
    ended = calls[first].finished_at
    assert ended is not None
    return calls[second].at - ended


# One live stream


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_a_limit_on_one_account_is_answered_by_the_next_without_a_trace(
    either: tuple[Theatre, bool], stream: bool
) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMIT, home=ANSWER)
    heard = theatre.ask(http2=http2, stream=stream)
    assert theatre.asked == ["work", "home"]
    assert (heard.status, heard.broken) == (200, "")
    if stream:
        assert heard.body == backend_stream(theatre.calls[1], ANSWER, heard.body)
    else:
        assert heard.json["status"] == "completed"


def median_in_ms(name: str, seconds: Sequence[float]) -> float:
    """The median, which is printed too: `pytest -rP` shows what was measured."""
    median = statistics.median(seconds) * 1000
    print(f"{name}: {median:.1f} ms in the median, {max(seconds) * 1000:.1f} ms at most")
    return median


def test_events_of_a_replayed_answer_reach_the_host_within_50_ms(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=LIMIT, home=LIVE)
    heard = theatre.ask(http2=http2)
    sent = [piece.at for piece in theatre.calls[1].sent]
    delays = [here - there for here, there in zip(heard.event_times(), sent, strict=True)]
    assert median_in_ms("event delay", delays) < 50


def test_events_of_a_replayed_answer_reach_a_program_on_the_sdk_within_50_ms(
    theatre: Theatre,
) -> None:
    theatre.cast(work=LIMIT, home=LIVE)
    done = python(theatre.proxy, ASK, "create_stream")
    times = [json.loads(line)["at"] for line in done.stdout.splitlines()[:-1]]
    assert theatre.asked == ["work", "home"]
    sent = [piece.at for piece in theatre.calls[1].sent]
    delays = [here - there for here, there in zip(times, sent, strict=True)]
    assert median_in_ms("event delay", delays) < 50


def test_the_next_account_is_asked_at_once(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work=ANSWER)
    theatre.ask(http2=http2)
    theatre.cast(work=LIMIT, home=LIMIT, third=LIMIT, fourth=ANSWER)
    theatre.ask(http2=http2)
    gaps = []
    for first, second in ((0, 1), (1, 2), (2, 3)):
        refused_at = theatre.calls[first].sent[-1].at
        gaps.append(theatre.calls[second].at - refused_at)
    assert median_in_ms("replay cost", gaps) < 50


def test_the_head_is_that_of_the_account_which_answers(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work={"do": "early_failed", "code": "usage_limit_reached"}, home=ANSWER)
    heard = theatre.ask(http2=http2)
    assert heard.headers["x-codex-turn-state"] == f"ts-{theatre.calls[1].response_id[5:21]}"
    assert heard.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_kept_alive_connection_serves_the_replay_too(theatre: Theatre, h2_theatre: Theatre, http2: bool) -> None:
    theatre = h2_theatre if http2 else theatre
    theatre.cast(work=ANSWER)
    theatre.ask(http2=http2)
    before = theatre.backend_connections
    theatre.cast(work=LIMIT, home=BURST, third=ANSWER)
    theatre.ask(http2=http2)
    assert theatre.asked == ["work", "home", "home", "third"]
    assert theatre.backend_connections == before


# Limits


LIMITS: dict[str, Json] = {
    "told in body and header fields": LIMIT,
    "told in the body": {**LIMIT, "tell": "body"},
    "told in header fields": {**LIMIT, "tell": "headers"},
    "told nowhere": {**LIMIT, "tell": "nothing"},
    "a plan without Codex": {**LIMIT, "type": "usage_not_included"},
    "a quota used up": {**LIMIT, "type": "insufficient_quota"},
    "a rate limit of a minute": {"do": "short_limit", "seconds": 60},
    "in the stream, response.failed": {"do": "early_failed", "code": "usage_limit_reached", "resets_in": 3600},
    "in the stream, response.failed alone": {"do": "early_failed", "code": "usage_limit_reached", "lifecycle": False},
    "in the stream, after vendor events": {"do": "early_failed", "code": "usage_limit_reached", "vendor": True},
    "in the stream, error": {"do": "error_event", "code": "usage_limit_reached", "resets_in": 3600},
    "in the stream, flat error": {"do": "error_event", "code": "insufficient_quota", "nested": False},
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS.keys())
def test_a_usage_limit_moves_the_request_to_the_next_account(theatre: Theatre, limit: Json, stream: bool) -> None:
    theatre.cast(work=limit, home=ANSWER)
    heard = theatre.ask(stream=stream)
    assert theatre.asked == ["work", "home"]
    assert heard.status == 200 and b"failed" not in heard.body
    theatre.ask()
    assert theatre.asked == ["work", "home", "home"]


def test_the_limited_account_rests_until_its_reset_and_the_pool_on_disk_knows(theatre: Theatre) -> None:
    theatre.cast(work={**LIMIT, "resets_in": 1800}, home=ANSWER)
    asked_at = time.time()
    theatre.ask()
    eventually(lambda: theatre.account("work").block is not None)
    block = theatre.account("work").block
    assert block is not None and block.authoritative
    assert abs(block.until - asked_at - 1800) < 5


def test_an_account_serves_again_once_its_reset_has_come(theatre: Theatre) -> None:
    theatre.cast(work=[{**LIMIT, "resets_in": 1, "until_reset": True}, ANSWER], home=[ANSWER, LIMIT])
    theatre.ask()
    # Backends tell the reset in whole seconds.
    eventually(lambda: (block := theatre.account("work").block) is not None and block.until + 1 < time.time())
    assert theatre.ask().status == 200
    assert theatre.asked == ["work", "home", "home", "work"]


def test_an_account_whose_own_answer_shows_it_used_up_is_not_asked_again(theatre: Theatre) -> None:
    theatre.cast(brim=ANSWER, home=ANSWER)
    assert [theatre.ask().text for _ in range(2)] == [ANSWER["text"]] * 2
    assert theatre.asked == ["brim", "home"]
    eventually(lambda: (block := theatre.account("brim").block) is not None and block.authoritative)


def test_an_account_with_credits_goes_on_when_its_windows_are_used_up(theatre: Theatre) -> None:
    theatre.cast(rich=ANSWER, home=ANSWER)
    assert [theatre.ask().text for _ in range(2)] == [ANSWER["text"]] * 2
    assert theatre.asked == ["rich", "rich"]


def test_an_abandoned_stream_is_cancelled_and_not_waited_for(either: tuple[Theatre, bool]) -> None:
    theatre, http2 = either
    theatre.cast(work={"do": "early_failed", "code": "usage_limit_reached", "hold_open": 30}, home=ANSWER)
    theatre.ask(http2=http2)
    failed, answered = theatre.calls
    left = theatre.sandbox.journal.wait_for(lambda e: e.number == failed.number and e.cancelled_at is not None)
    assert left.cancelled_at is not None
    assert abs(left.cancelled_at - answered.at) < 1


@pytest.mark.parametrize(
    "limit",
    [{"do": "short_limit", "seconds": 1}, {"do": "early_failed", "code": "rate_limit_exceeded"}],
    ids=["429", "in the stream"],
)
def test_a_short_limit_is_waited_for_on_the_same_account(theatre: Theatre, limit: Json) -> None:
    theatre.cast(work=[limit, ANSWER], home=ANSWER)
    heard = theatre.ask()
    assert theatre.asked == ["work", "work"]
    assert 0.95 < gap(theatre, 0, 1) < 4
    assert heard.body == backend_stream(theatre.calls[1], ANSWER, heard.body)


def test_a_short_limit_that_is_met_twice_moves_the_request_on(theatre: Theatre) -> None:
    theatre.cast(work={"do": "short_limit", "seconds": 0.2}, home=ANSWER)
    theatre.ask()
    assert theatre.asked == ["work", "work", "home"]


def test_a_burst_is_paced_on_the_same_account_and_never_counts_as_a_quota(theatre: Theatre) -> None:
    theatre.cast(work=[BURST, ANSWER], home=ANSWER)
    theatre.ask()
    assert 0.24 < gap(theatre, 0, 1) < 4
    theatre.ask()
    assert theatre.asked == ["work", "work", "work"]
    assert theatre.account("work").block is None


def test_a_burst_that_goes_on_moves_the_request_on_but_blocks_nothing(theatre: Theatre) -> None:
    theatre.cast(work=[ANSWER, BURST, BURST, ANSWER], home=ANSWER)
    for _ in range(3):
        assert theatre.ask(prompt_cache_key="mine").status == 200
    assert theatre.asked == ["work", "work", "work", "home", "work"]
    assert theatre.account("work").blocks == ()


def test_two_dead_workspaces_are_enough_to_tell_the_host(theatre: Theatre) -> None:
    theatre.cast(work={"do": "deactivated"}, home={"do": "deactivated"}, third=ANSWER)
    heard = theatre.ask()
    assert (heard.status, heard.error["code"], theatre.asked) == (402, "deactivated_workspace", ["work", "home"])
    assert theatre.ask().status == 200


# A failing backend, or the way to it


FAULTS: dict[str, Json] = {
    "500": {"do": "server_error"},
    "502 with a page": {"do": "bad_gateway"},
    "503 overloaded": {"do": "overloaded"},
    "529": {"do": "status", "status": 529, "body": ""},
    "a 200 that is no event stream": {"do": "status", "status": 200, "body": "<html>"},
    "an overload in the stream": {"do": "early_failed", "code": "server_is_overloaded"},
    "a server error in the stream": {"do": "error_event", "code": "server_error"},
    "a reset before the headers": {"do": "reset", "when": "before_headers"},
    "a close before the headers": {"do": "reset", "when": "before_headers", "how": "fin"},
    "a reset after the headers": {"do": "reset", "when": "after_headers"},
    "a reset after two lifecycle events": {"do": "reset", "when": "after_events", "events": 2},
    "a close after two lifecycle events": {"do": "reset", "when": "after_events", "events": 2, "how": "fin"},
    "an end after the headers": {"do": "cut", "when": "after_headers"},
    "an end after two lifecycle events": {"do": "cut", "when": "after_events", "events": 2},
    "silence after the headers": {"do": "stall", "when": "after_headers"},
    "silence after two lifecycle events": {"do": "stall", "when": "after_events", "events": 2},
    "silence after two slow lifecycle events": {"do": "stall", "when": "after_events", "events": 2, "delay": 0.3},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_before_any_output_is_tried_once_more_on_the_same_account(
    either: tuple[Theatre, bool], fault: Json
) -> None:
    theatre, http2 = either
    theatre.cast(retries=1, work=[fault, ANSWER], home=ANSWER)
    heard = theatre.ask(http2=http2)
    assert (heard.status, theatre.asked) == (200, ["work", "work"]), heard.body
    assert heard.body == backend_stream(theatre.calls[1], ANSWER, heard.body)
    if fault["do"] != "stall":
        assert 0.2 < gap(theatre, 0, 1) < 3


RESTS = {"500": 4, "a reset before the headers": 6, "an end after two lifecycle events": 4}
"""Seconds."""


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize(("name", "rest"), RESTS.items())
def test_a_fault_that_stays_moves_the_request_on_and_others_are_preferred_for_a_while(
    theatre: Theatre, name: str, rest: int, stream: bool
) -> None:
    theatre.cast(retries=2, work=[ANSWER, FAULTS[name], FAULTS[name], ANSWER], home=[ANSWER, ANSWER, LIMIT])
    heard = [theatre.ask(stream=stream, prompt_cache_key="mine") for _ in range(3)]
    assert [answer.status for answer in heard] == [200] * 3
    assert theatre.asked == ["work", "work", "work", "home", "home"]
    eventually(lambda: theatre.account("work").blocks != ())
    [block] = theatre.account("work").blocks
    assert (block.ground, round(block.until - block.since)) == (Ground.COOLING, rest)
    assert theatre.ask(prompt_cache_key="mine").status == 200
    assert theatre.asked[5:] == ["home", "work"]  # nobody else is left


def test_a_compressed_answer_that_breaks_before_any_output_is_tried_again(theatre: Theatre) -> None:
    theatre.cast(retries=1, work=[{"do": "reset", "when": "after_events", "compress": "zstd"}, ANSWER])
    assert theatre.ask().text == ANSWER["text"]


def test_retries_of_a_failing_backend_are_bounded_over_all_requests(theatres: TheatreFactory) -> None:
    theatre = theatres()
    theatre.cast(work={"do": "overloaded"}, home={"do": "overloaded"})
    calls: list[int] = []
    for _ in range(5):
        assert theatre.ask().status == 503
        calls.append(len(theatre.calls) - sum(calls))
    assert calls == [4, 4, 4, 2, 1]  # the ten retries of a quiet minute, and none counts that is not made


# Bounds


def test_a_request_asks_four_accounts_at_most(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=LIMIT, third=LIMIT, fourth=LIMIT, fifth=ANSWER)
    heard = theatre.ask()
    assert theatre.asked == ["work", "home", "third", "fourth"]
    assert heard.status == 503
    assert theatre.ask().status == 200  # the fifth was never at fault


def test_a_request_makes_six_calls_at_most(theatre: Theatre) -> None:
    short = {"do": "short_limit", "seconds": 0.1}
    theatre.cast(work=short, home=short, third=short, fourth=ANSWER)
    heard = theatre.ask()
    assert theatre.asked == ["work", "work", "home", "home", "third", "third"]
    assert heard.status == 503


# What is held, and for how long


def test_an_answer_is_held_no_longer_than_codex_hold_and_then_never_replayed(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_hold=1)
    theatre.cast(work={"do": "stall", "when": "after_events", "events": 2, "seconds": 2}, home=ANSWER)
    heard = theatre.ask()
    opened_at = theatre.calls[0].answered_at
    assert opened_at is not None
    assert 0.9 < heard.event_times()[0] - opened_at < 1.9
    assert (theatre.asked, heard.types[-1]) == (["work"], "response.completed")
    theatre.cast(work={"do": "early_failed", "code": "usage_limit_reached", "delay": 0.8}, home=ANSWER)
    heard = theatre.ask()
    assert (theatre.asked, heard.types[-1]) == (["work"], "response.failed")


def test_a_host_that_asked_for_no_stream_can_be_helped_for_longer(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_hold=1)
    theatre.cast(work={"do": "early_failed", "code": "usage_limit_reached", "delay": 0.8}, home=ANSWER)
    assert theatre.ask(stream=False).status == 200
    assert theatre.asked == ["work", "home"]


def test_no_more_than_64_kib_are_held(theatre: Theatre) -> None:
    padding = "x" * 70_000
    theatre.cast(
        work=raw(
            f'data: {{"type":"response.created","response":{{"id":"resp_1","padding":"{padding}"}}}}\n\n'
            'data: {"type":"response.in_progress","response":{"id":"resp_1"}}\n\n'
        ),
        home=ANSWER,
    )
    heard = theatre.ask()
    assert theatre.asked == ["work"]
    assert heard.types == ["response.created", "response.in_progress", "response.failed"]


# Logins


GONE: Json = {"first_life": -5.0, "token_steps": [{"do": "refuse", "code": "refresh_token_expired"}]}
SHAKY: Json = {"first_life": -5.0, "token_steps": [{"do": "status", "status": 500}]}


def refreshes(theatre: Theatre) -> list[int | None]:
    """Statuses of the token endpoint's answers."""
    return [entry.status for entry in theatre.sandbox.journal if entry.path == "/oauth/token"]


def test_a_token_that_is_refused_is_refreshed_once_and_the_request_tried_again(theatre: Theatre) -> None:
    theatre.cast(work=[{"do": "unauthorized"}, ANSWER], home=ANSWER)
    heard = theatre.ask()
    assert heard.status == 200
    assert [call.header("authorization") for call in theatre.calls] == [
        f"<{theatre.login('work')}: access token 1, good>",
        f"<{theatre.login('work')}: access token 2, good>",
    ]
    assert refreshes(theatre) == [200]


def test_a_refreshed_token_that_is_refused_too_moves_the_request_on(theatre: Theatre) -> None:
    theatre.cast(work={"do": "unauthorized"}, home=ANSWER)
    assert theatre.ask().status == 200
    assert theatre.asked == ["work", "work", "home"]
    assert theatre.ask().status == 200
    assert theatre.asked[3:] == ["home"]
    assert refreshes(theatre) == [200]


def test_an_expired_token_is_refreshed_before_it_is_used(theatre: Theatre) -> None:
    theatre.cast(stale=ANSWER)
    assert theatre.ask().status == 200
    assert [call.token for call in theatre.calls] == ["good"]
    assert refreshes(theatre) == [200]


def test_the_refreshed_tokens_are_in_the_pool_on_disk(theatre: Theatre) -> None:
    theatre.cast(stale=ANSWER)
    before = theatre.account("stale").tokens
    theatre.ask()
    after = theatre.account("stale").tokens
    assert after.access.reveal() != before.access.reveal() and after.refresh.reveal() != before.refresh.reveal()


def test_a_login_that_cannot_be_refreshed_any_more_moves_the_request_on(theatre: Theatre) -> None:
    theatre.cast(gone=ANSWER, home=ANSWER)
    assert theatre.ask().status == 200
    assert theatre.asked == ["home"]
    assert theatre.account("gone").health is Health.NEEDS_LOGIN
    theatre.ask()
    assert refreshes(theatre) == [401]


def test_a_login_server_in_trouble_moves_the_request_on_and_is_left_alone_for_a_while(theatre: Theatre) -> None:
    theatre.cast(shaky=ANSWER, home=ANSWER)
    assert [theatre.ask().status, theatre.ask().status] == [200, 200]
    assert theatre.asked == ["home", "home"]
    assert refreshes(theatre) == [500]
    assert theatre.account("shaky").health is Health.OK


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("code", ["token_invalidated", "token_revoked"])
def test_a_revoked_login_is_told_to_the_host_and_nobody_else_is_asked(
    theatre: Theatre, code: str, stream: bool
) -> None:
    theatre.cast(work={"do": "revoked", "code": code}, home=ANSWER)
    heard = theatre.ask(stream=stream)
    assert (heard.status, heard.error["code"]) == (401, code)
    assert theatre.asked == ["work"] and refreshes(theatre) == []
    eventually(lambda: theatre.account("work").health is Health.NEEDS_LOGIN)
    theatre.ask()
    assert theatre.asked == ["work", "home"]


# What another attempt would not help


def test_an_error_in_openais_shape_reaches_the_host_byte_for_byte(theatre: Theatre) -> None:
    body = '{"error": {"message": "No tool call found.", "type": "invalid_request_error", "n":1.0e2, "code": null}}'
    headers = {"content-type": "application/json", "x-request-id": "req_1"}
    theatre.cast(work={"do": "status", "status": 400, "body": body, "headers": headers}, home=ANSWER)
    heard = theatre.ask()
    assert (heard.status, heard.body.decode()) == (400, body)
    assert heard.headers["x-request-id"] == "req_1"
    assert theatre.asked == ["work"]


REFUSALS: dict[str, tuple[Json, int, str]] = {
    "a detail": ({"do": "status", "status": 400, "body": {"detail": "Unsupported parameter: x"}}, 400, "Unsupported"),
    "a detail of 403": ({"do": "forbidden"}, 403, "not permitted"),
    "a validation": (
        {"do": "status", "status": 422, "body": {"detail": [{"loc": ["body", "model"], "msg": "field required"}]}},
        422,
        "body.model: field required",
    ),
    "nothing": ({"do": "status", "status": 405, "body": ""}, 405, "405"),
}


@pytest.mark.parametrize(("step", "status", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_any_other_refusal_reaches_the_host_in_openais_shape(
    theatre: Theatre, step: Json, status: int, words: str
) -> None:
    theatre.cast(work=step, home=ANSWER)
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (status, ["work"])
    assert heard.headers["content-type"] == "application/json"
    assert heard.error.keys() >= {"message", "type", "param", "code"}
    assert words in str(heard.error["message"])
    assert "<" not in str(heard.error["message"])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("code", ["context_length_exceeded", "invalid_prompt", "cyber_policy"])
def test_an_early_failure_that_is_the_requests_own_fault_is_delivered(
    theatre: Theatre, code: str, stream: bool
) -> None:
    theatre.cast(work={"do": "early_failed", "code": code}, home=ANSWER)
    heard = theatre.ask(stream=stream)
    assert theatre.asked == ["work"]
    if stream:
        assert heard.types == ["response.created", "response.in_progress", "response.failed"]
        assert code.encode() in heard.body
    else:
        assert (heard.status, heard.error["code"]) == (400, code)


# Sessions


NOT_ENTITLED: Json = {"do": "usage_limit", "type": "usage_not_included", "tell": "nothing"}
"""For the model that is asked for, and no other."""


def test_a_session_returns_from_a_limit_that_ends_while_its_cache_is_warm(theatre: Theatre) -> None:
    theatre.cast(work=[ANSWER, {**LIMIT, "resets_in": 1}, ANSWER], home=ANSWER)
    theatre.ask(headers={"session_id": "mine"})
    theatre.ask(headers={"session_id": "mine"})
    eventually(lambda: (block := theatre.account("work").block) is not None and block.until < time.time())
    theatre.ask(headers={"session_id": "mine"})
    assert theatre.asked == ["work", "work", "home", "work"]


def test_a_session_moves_for_good_from_a_limit_that_outlasts_its_cache(theatre: Theatre) -> None:
    theatre.cast(work=[ANSWER, LIMIT, ANSWER], home=ANSWER)
    theatre.ask(headers={"session_id": "mine"})
    theatre.ask(headers={"session_id": "mine"})
    theatre.lift("work")
    theatre.ask(headers={"session_id": "mine"})
    assert theatre.asked == ["work", "work", "home", "home"]


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ("session-id", {}),
        ("thread-id", {}),
        ("conversation_id", {}),
        ("x-session-id", {}),
        ("x-codex-parent-thread-id", {}),
        ("", {"prompt_cache_key": "mine"}),
        ("", {"client_metadata": {"thread_id": "mine"}}),
    ],
    ids=lambda named: named if isinstance(named, str) else "".join(named),
)
def test_a_session_is_known_by_each_of_its_names(theatre: Theatre, field: str, parameters: Json) -> None:
    body = {"model": "gpt-5.5", "input": "hi", **parameters}
    headers = {field: "mine"} if field else {}
    theatre.cast(work=[ANSWER, NOT_ENTITLED, ANSWER], home=ANSWER)
    theatre.ask(body, headers=headers)
    theatre.ask(model="gpt-5.4", prompt_cache_key="another")  # from now on home is the account in use
    theatre.ask(body, headers=headers)
    theatre.ask(prompt_cache_key="a third")
    assert theatre.asked == ["work", "work", "home", "work", "home"]


def test_a_turn_state_goes_back_to_the_account_that_gave_it(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    state = theatre.ask(headers={"session_id": "mine"}).headers["x-codex-turn-state"]
    theatre.ask(headers={"session_id": "mine", "x-codex-turn-state": state})
    assert theatre.calls[1].header("x-codex-turn-state") == state


def test_a_turn_state_is_dropped_on_another_account(theatre: Theatre) -> None:
    theatre.cast(work=[ANSWER, LIMIT], home=ANSWER)
    state = theatre.ask(headers={"session_id": "mine"}).headers["x-codex-turn-state"]
    theatre.ask(headers={"session_id": "mine", "x-codex-turn-state": state})
    _, limited, answered = theatre.calls
    assert limited.header("x-codex-turn-state") == state
    assert (role_of(answered), answered.header("x-codex-turn-state")) == ("home", None)


# The user's own choice


def test_only_the_pinned_account_is_asked(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_account="home")
    theatre.cast(work=ANSWER, home=[ANSWER, LIMIT])
    assert theatre.ask().status == 200
    heard = theatre.ask()
    assert theatre.asked == ["home", "home"]
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    theatre.cast(work=ANSWER)
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (503, [])
    assert "home" in str(heard.error["message"])


def test_a_disabled_account_is_never_asked(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER, disabled=["work"])
    theatre.ask()
    assert theatre.asked == ["home"]


def test_accounts_are_asked_in_the_order_in_which_they_were_added(theatre: Theatre) -> None:
    theatre.cast(third=ANSWER, work=ANSWER, home=ANSWER)
    theatre.ask()
    assert theatre.asked == ["third"]

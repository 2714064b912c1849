"""What follows each way in which an attempt can end: who is asked, what the host gets, what the pool remembers of it.

Every row is the first account's fate in a pool of two, the second of which answers; whoever is first in order is asked
first (`codex_strategy=drain`), so that the request after it shows whether the first one rests.
"""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from support.theatre import URL, Heard, Json, Theatre, TheatreFactory, backend_stream, eventually, member
from support.witness import IMPATIENT, Witness, with_constants
from understudy.pool import edits
from understudy.pool.account import Account, Block, Ground, Health
from understudy.pool.pool import over_accounts
from understudy.sandbox.replies import revoked_token

TEXT = "The play goes on."
ANSWER: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
SHORT: Json = {"do": "short_limit", "seconds": 0.2}
BURST: Json = {"do": "burst"}
ERROR: Json = {"do": "server_error"}
NO_MODEL = "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."
NOT_SUPPORTED: Json = {"do": "status", "status": 400, "body": {"detail": NO_MODEL}}
MODEL = "gpt-5.5"


def early(code: str, **more: object) -> Json:
    """A 200 whose stream fails before any output."""
    return {"do": "early_failed", "code": code, **more}


@dataclass(frozen=True, slots=True)
class Rest:
    """The block that the account gets: for this long (seconds), perhaps for the request's model alone."""

    ground: Ground
    seconds: float
    named: bool = False
    """The backend itself has named its end."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What the first account does with its requests, what follows, and who is asked by the next request.

    `fate`: its last step repeats. `codes`: of the attempts that ended badly. `host`: the status that the host gets, and
    the error's code unless it is answered. `retries`: of a failing backend, which are bounded over all requests.
    """

    fate: Json | Sequence[Json]
    asked: str
    codes: str
    then: str
    host: tuple[int, str] = (200, "")
    keeps: Rest | str | None = None
    """A block, or why the login is dead; None: nothing."""
    retries: int = 0


OTHER, SAME, NONE = "retry_other_account_after_", "retry_same_account_after_", "no_retry_after_"
BOTH = "work work home"
PLAN = Rest(Ground.LIMIT, 3600, named=True)
UNNAMED = Rest(Ground.LIMIT, 300)
LACKS = Rest(Ground.ENTITLEMENT, 1800, model=MODEL)
NETWORK, SERVER = Rest(Ground.COOLING, 6), Rest(Ground.COOLING, 4)


def rests(kind: str, fate: Json, keeps: Rest) -> Row:
    """The next account is asked at once, and this one rests."""
    return Row(fate, "work home", OTHER + kind, "home", keeps=keeps)


def once(kind: str, fate: Json, *, retries: int = 0) -> Row:
    """It happens once: the same account is asked again, and nothing is remembered."""
    return Row([fate, ANSWER], "work work", SAME + kind, "work", retries=retries)


def twice(kind: str, fate: Json, *, keeps: Rest | None, retries: int = 0) -> Row:
    """It happens again on the same account: then the next one is asked."""
    codes = f"{SAME}{kind} {OTHER}{kind}"
    then = "home" if keeps else "work"
    return Row([fate, fate, ANSWER], BOTH, codes, then, keeps=keeps, retries=retries)


def told(kind: str, fate: Json, status: int, code: str, *, keeps: str | None = None) -> Row:
    """It is the last word: nobody else is asked."""
    return Row([fate, ANSWER], "work", NONE + kind, "home" if keeps else "work", (status, code), keeps)


TABLE: dict[str, Row] = {
    # The plan is used up
    "usage limit": rests("usage_limit", LIMIT, PLAN),
    "usage limit, reset in the body": rests("usage_limit", {**LIMIT, "tell": "body"}, PLAN),
    "usage limit, reset in the head": rests("usage_limit", {**LIMIT, "tell": "headers"}, PLAN),
    "usage limit, reset told nowhere": rests("usage_limit", {**LIMIT, "tell": "nothing"}, UNNAMED),
    "usage limit as a 404": rests("usage_limit", {**LIMIT, "status": 404}, PLAN),
    "usage limit as a 403": rests("usage_limit", {**LIMIT, "status": 403}, PLAN),
    "usage limit in a 200": rests("usage_limit", early("usage_limit_reached", resets_in=3600), PLAN),
    "usage limit in a 200, as an error event": rests(
        "usage_limit", {"do": "error_event", "code": "usage_limit_reached", "resets_in": 3600}, PLAN
    ),
    "quota used up": rests("usage_limit", {"do": "insufficient_quota"}, UNNAMED),
    "402": rests("usage_limit", {"do": "payment_required"}, UNNAMED),
    "rate limit of a minute": rests(
        "usage_limit", {"do": "short_limit", "seconds": 60}, Rest(Ground.LIMIT, 60, named=True)
    ),
    # Too much at once
    "short limit": once("short_limit", SHORT),
    "short limit, again": twice("short_limit", SHORT, keeps=None),
    "short limit in a 200": once("short_limit", early("rate_limit_exceeded", message="Please try again in 300ms.")),
    "burst": once("burst", BURST),
    "burst, again": twice("burst", BURST, keeps=None),
    "burst, with a long Retry-After": rests("burst", {"do": "retry_after", "seconds": 30}, Rest(Ground.COOLING, 30)),
    "burst, with a short Retry-After": once("short_limit", {"do": "retry_after", "seconds": 1}),
    # The login
    "401": once("unauthorized", {"do": "unauthorized"}),
    "401, again": twice("unauthorized", {"do": "unauthorized"}, keeps=Rest(Ground.LOGIN, 60)),
    "401 token_invalidated": told("revoked", {"do": "revoked"}, 401, "token_invalidated", keeps="login revoked"),
    "401 token_revoked": told(
        "revoked", {"do": "revoked", "code": "token_revoked"}, 401, "token_revoked", keeps="login revoked"
    ),
    "402 deactivated workspace": Row(
        {"do": "deactivated"}, "work home", OTHER + "workspace_gone", "home", keeps="workspace deactivated"
    ),
    # The model
    "403 usage_not_included": rests("not_entitled", {"do": "usage_not_included_403"}, LACKS),
    "429 usage_not_included": rests("not_entitled", {"do": "usage_not_included"}, LACKS),
    "usage_not_included in a 200": rests("not_entitled", early("usage_not_included"), LACKS),
    "unsupported model": rests("not_entitled", NOT_SUPPORTED, LACKS),
    "unknown model": rests("not_entitled", {"do": "model_not_found"}, LACKS),
    # Stopped on the way
    "challenge": told("challenge", {"do": "html403"}, 502, "upstream_challenge"),
    "challenge, 503": told("challenge", {"do": "html503"}, 502, "upstream_challenge"),
    "empty 404": told("challenge", {"do": "not_found"}, 502, "upstream_challenge"),
    "redirect": told("redirect", {"do": "redirect"}, 502, "blocked_outbound_redirect"),
    # The request itself
    "400": told("refused", {"do": "invalid_request"}, 400, "invalid_value"),
    "403": told("refused", {"do": "forbidden"}, 403, "insufficient_permissions"),
    "404": told("refused", {"do": "status", "status": 404, "body": {"detail": "Not Found"}}, 404, "not_found"),
    "cyber_policy": told("refused", {"do": "cyber_policy"}, 400, "cyber_policy"),
    # The backend, or the way to it
    "500": once("server_error", ERROR, retries=1),
    "500, again": twice("server_error", ERROR, keeps=SERVER, retries=2),
    "500, again, with Retry-After": twice(
        "server_error", {**ERROR, "headers": {"retry-after": "30"}}, keeps=Rest(Ground.COOLING, 30), retries=2
    ),
    "502 with a page, again": twice("server_error", {"do": "bad_gateway"}, keeps=SERVER, retries=2),
    "200 with a page, again": twice(
        "server_error", {"do": "status", "status": 200, "body": "<html>"}, keeps=SERVER, retries=2
    ),
    "500 in a 200, again": twice("server_error", early("server_error"), keeps=SERVER, retries=2),
    "overload": once("overloaded", {"do": "overloaded"}, retries=1),
    "overload, again": twice("overloaded", {"do": "overloaded"}, keeps=None, retries=2),
    "overload as a 529, again": twice("overloaded", {"do": "status", "status": 529, "body": ""}, keeps=None, retries=2),
    "overload in a 200, again": twice("overloaded", early("server_is_overloaded"), keeps=None, retries=2),
    "reset": once("transport", {"do": "reset"}, retries=1),
    "reset, again": twice("transport", {"do": "reset"}, keeps=NETWORK, retries=2),
    "reset in a 200, again": twice("transport", {"do": "reset", "when": "after_events"}, keeps=NETWORK, retries=2),
    "end in a 200, again": twice("empty", {"do": "cut", "when": "after_events"}, keeps=SERVER, retries=2),
    "silence in a 200, again": twice("transport", {"do": "stall", "when": "after_events"}, keeps=NETWORK, retries=2),
    "empty 200": once("empty", {"do": "empty"}, retries=1),
    "empty 200, again": twice("empty", {"do": "empty"}, keeps=SERVER, retries=2),
}


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    return Witness(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory, theatres: TheatreFactory, witness: Witness) -> Theatre:
    arguments = (*with_constants(tmp_path_factory.mktemp("impatient"), IMPATIENT), *witness.arguments)
    return theatres(codex_strategy="drain", codex_stall_timeout=1, arguments=arguments)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_what_follows(theatre: Theatre, witness: Witness, row: Row) -> None:
    fate = [row.fate] if isinstance(row.fate, dict) else list(row.fate)
    theatre.cast(retries=row.retries, work=fate, home=ANSWER)
    witness.news()
    heard = theatre.ask()
    assert theatre.asked == row.asked.split()
    assert [seen.code for seen in witness.news() if seen.code] == row.codes.split()
    assert heard.status == row.host[0]
    if heard.status == 200:
        assert heard.body == backend_stream(theatre.calls[-1], ANSWER, heard.body)
    else:
        assert heard.error["code"] == row.host[1]
    assert theatre.ask().status == 200
    assert theatre.asked[len(row.asked.split()) :] == [row.then]
    kept(theatre, row.keeps)


def kept(theatre: Theatre, keeps: Rest | str | None) -> None:
    """Checks what the pool on disk has of the first account."""
    if isinstance(keeps, str):
        eventually(lambda: theatre.account("work").health is Health.NEEDS_LOGIN)
        assert theatre.account("work").health_reason == keeps
    else:
        assert theatre.account("work").health is Health.OK
    if isinstance(keeps, Rest):
        block = block_of(theatre, "work")
        assert (block.ground, block.model, block.authoritative) == (keeps.ground, keeps.model, keeps.named)
        assert keeps.seconds - 0.5 < block.until - block.since < keeps.seconds + 2
    else:
        assert theatre.account("work").blocks == ()


def block_of(theatre: Theatre, role: str) -> Block:
    """The one block of an account, as soon as it is on disk."""
    eventually(lambda: theatre.account(role).blocks != ())
    [block] = theatre.account(role).blocks
    return block


def test_an_invalidated_login_is_told_to_the_host_in_the_backend_s_own_bytes(theatre: Theatre) -> None:
    theatre.cast(work={"do": "revoked"}, home=ANSWER)
    heard = theatre.ask()
    assert heard.body == revoked_token("token_invalidated").body
    assert [entry.path for entry in theatre.sandbox.journal] == ["/backend-api/codex/responses"]  # and no refresh


@pytest.mark.parametrize("code", ["context_length_exceeded", "invalid_prompt", "cyber_policy"])
def test_an_early_failure_that_is_the_request_s_own_fault_is_its_answer(theatre: Theatre, code: str) -> None:
    theatre.cast(work=[early(code), ANSWER], home=ANSWER)
    heard = theatre.ask()
    assert (heard.status, failure_of(heard), theatre.asked) == (200, code, ["work"])
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["work", "work"]


def failure_of(heard: Heard) -> object:
    """The code of the failure in which a stream ends."""
    event = heard.events[-1]
    assert event["type"] == "response.failed"
    return member(member(event, "response"), "error")["code"]


# After the first output nothing is replayed, but what it says of the account counts

AFTER_OUTPUT: dict[str, tuple[Json, str, Rest | None]] = {
    "usage limit": ({**LIMIT, "after_words": 5}, "usage_limit_reached", PLAN),
    "overload": (early("server_is_overloaded", words=5), "server_is_overloaded", None),
    "500": (early("server_error", words=5), "server_error", SERVER),
    "too long": (early("context_length_exceeded", words=5), "context_length_exceeded", None),
    "reset": ({"do": "reset", "when": "mid_text"}, "server_error", NETWORK),
    "end": ({"do": "cut", "when": "mid_text"}, "server_error", NETWORK),
}


@pytest.mark.parametrize(("fate", "code", "keeps"), AFTER_OUTPUT.values(), ids=AFTER_OUTPUT.keys())
def test_after_output_nothing_is_replayed(theatre: Theatre, fate: Json, code: str, keeps: Rest | None) -> None:
    theatre.cast(work=[fate, ANSWER], home=ANSWER)
    heard = theatre.ask()
    assert (heard.status, failure_of(heard), theatre.asked) == (200, code, ["work"])
    assert heard.types.count("response.created") == heard.types.count("response.failed") == 1
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["work", "home" if keeps else "work"]
    kept(theatre, keeps)


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        pytest.param({**LIMIT, "after_words": 5}, "usage limit", id="usage limit"),
        pytest.param(early("context_length_exceeded", words=5), "context_length_exceeded", id="too long"),
        pytest.param(ANSWER, "ok", id="nothing"),
    ],
)
def test_what_an_answer_failed_in_is_said_of_it(theatre: Theatre, witness: Witness, fate: Json, said: str) -> None:
    theatre.cast(work=fate)
    witness.news()
    theatre.ask()
    assert [(seen.status, seen.reason) for seen in witness.news()] == [(200, said)]


# Time

QUICK: dict[str, object] = {
    **IMPATIENT,
    "understudy.proxy.attempts.HEADERS_TIMEOUT": 0.4,
    "understudy.proxy.stream.STALL_AFTER_OUTPUT": 0.4,
    "understudy.pool.policy.DEADLINE": 2.5,
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, theatres: TheatreFactory, witness: Witness) -> Theatre:
    """What takes a minute and more is a matter of seconds there."""
    arguments = (*with_constants(tmp_path_factory.mktemp("quick"), QUICK), *witness.arguments)
    return theatres(codex_strategy="drain", arguments=arguments)


def test_headers_that_do_not_come_in_time_are_a_reset(quick: Theatre, witness: Witness) -> None:
    silent = {"do": "stall", "when": "before_headers"}
    quick.cast(work=[silent, silent, ANSWER], home=ANSWER)
    witness.news()
    assert quick.ask().text == TEXT
    assert quick.asked == BOTH.split()
    assert [seen.code for seen in witness.news()] == [f"{SAME}transport", f"{OTHER}transport", ""]
    kept(quick, NETWORK)


def test_silence_after_output_ends_the_answer(quick: Theatre) -> None:
    quick.cast(work={"do": "stall", "when": "mid_text"}, home=ANSWER)
    heard = quick.ask()
    assert (heard.status, failure_of(heard), quick.asked) == (200, "server_error", ["work"])
    kept(quick, NETWORK)


def test_no_attempt_begins_after_the_deadline(quick: Theatre, witness: Witness) -> None:
    quick.cast(work={"do": "short_limit", "seconds": 3}, home=ANSWER)
    witness.news()
    asked_at = time.monotonic()
    heard = quick.ask()
    assert (heard.status, heard.error["code"], quick.asked) == (503, "understudy_no_account", ["work"])
    assert heard.ended_at - asked_at < 2
    assert "home: not asked" in str(heard.error["message"])
    assert [seen.code for seen in witness.news() if seen.attempt] == [f"{NONE}short_limit"]


# Bounds


def test_a_request_asks_four_accounts_at_most(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=LIMIT, third=LIMIT, fourth=LIMIT, fifth=ANSWER)
    heard = theatre.ask()
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert theatre.asked == ["work", "home", "third", "fourth"]
    assert "fifth: not asked" in str(heard.error["message"])
    assert theatre.ask().text == TEXT
    assert theatre.asked[4:] == ["fifth"]


def test_a_request_makes_six_calls_at_most(theatre: Theatre) -> None:
    theatre.cast(work=SHORT, home=SHORT, third=SHORT, fourth=ANSWER)
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (503, ["work", "work", "home", "home", "third", "third"])


def test_a_backend_that_cannot_be_reached_is_said_to_be_so(theatres: TheatreFactory, witness: Witness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/backend-api/codex"
        theatre = theatres(codex_backend=nowhere, arguments=witness.arguments)
        theatre.cast(work=ANSWER, home=ANSWER)
        witness.news()
        heard = theatre.ask()
    attempts = [seen for seen in witness.news() if seen.attempt]
    assert [seen.account for seen in attempts] == ["work", "work", "home", "home"]
    assert [seen.code for seen in attempts] == [
        f"{SAME}transport",
        f"{OTHER}transport",
        f"{SAME}transport",
        f"{NONE}transport",
    ]
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert "no connection to the backend" in str(heard.error["message"])
    kept(theatre, NETWORK)


def test_retries_of_a_failing_backend_are_bounded_over_all_requests(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_strategy="drain")
    theatre.cast(work={"do": "overloaded"}, home=ANSWER)
    assert [theatre.ask().status for _ in range(5)] == [200] * 5
    assert theatre.asked == BOTH.split() * 5  # two retries each: the ten of a quiet minute
    assert theatre.ask().status == 503
    assert theatre.asked[15:] == ["work"]


# A host that hangs up says nothing of the account


def test_a_host_that_hangs_up_costs_the_account_nothing(theatre: Theatre) -> None:
    moments: list[Json] = [
        {"do": "stall", "when": "before_headers"},
        {"do": "stall", "when": "after_events"},
        {"do": "stall", "when": "mid_text"},
    ]
    theatre.cast(work=[*moments, ANSWER], home=ANSWER)
    for _ in moments:
        with theatre.new_client() as client, pytest.raises(httpx.ReadTimeout):
            client.post(URL, json={"model": MODEL, "input": "hi", "stream": True}, timeout=0.4)
    theatre.sandbox.journal.wait_until(lambda entries: all(entry.cancelled_at is not None for entry in entries))
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["work"] * 4
    kept(theatre, None)


# The breaker, and the outage rule


def break_down(theatre: Theatre) -> None:
    """The first account fails three times and more, while there is no other."""
    theatre.store.update(lambda pool: edits.enable(pool, "home", False))
    assert [theatre.ask().status for _ in range(2)] == [503, 503]
    assert theatre.asked == ["work"] * 4
    eventually(lambda: any(block.ground is Ground.BREAKER for block in theatre.account("work").blocks))


def test_an_account_that_fails_three_times_in_a_minute_rests_for_half_of_one(theatre: Theatre) -> None:
    theatre.cast(retries=4, work=[ERROR] * 4 + [ANSWER], home=ANSWER)
    break_down(theatre)
    [block] = [block for block in theatre.account("work").blocks if block.ground is Ground.BREAKER]
    assert 29 < block.until - block.since < 31
    theatre.store.update(lambda pool: edits.enable(pool, "home", True))
    assert theatre.ask().text == TEXT
    assert theatre.asked[4:] == ["home"]


def test_an_account_that_failed_is_probed_by_one_request_at_a_time_where_there_is_no_other(
    theatre: Theatre, witness: Witness
) -> None:
    theatre.cast(retries=4, work=[ERROR] * 4 + [{**ANSWER, "wait": 0.6}, ANSWER], home=ANSWER)
    break_down(theatre)
    lift_cooling(theatre)
    witness.news()
    with asking(theatre) as probe:
        theatre.sandbox.journal.wait_until(lambda entries: len(theatre.asked) == 5)
        heard = theatre.ask()
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert "being probed" in str(heard.error["message"])
    assert probe[0].text == TEXT
    assert [seen.chosen_by for seen in witness.news() if seen.attempt] == ["probe"]
    assert theatre.ask().text == TEXT
    assert theatre.asked[4:] == ["work", "work"]
    eventually(lambda: theatre.account("work").blocks == ())


def lift_cooling(theatre: Theatre) -> None:
    """The seconds have passed in which others are preferred after a failure."""

    def lifted(account: Account) -> Account:
        return replace(account, blocks=tuple(b for b in account.blocks if b.ground is not Ground.COOLING))

    theatre.store.update(over_accounts(lambda accounts: tuple(map(lifted, accounts))))


@contextmanager
def asking(theatre: Theatre) -> Iterator[list[Heard]]:
    """Another host's request, answered by the time that the block is left."""
    heard: list[Heard] = []

    def ask() -> None:
        with theatre.new_client() as client:
            heard.append(theatre.ask(client=client))

    host = threading.Thread(target=ask, daemon=True)
    host.start()
    yield heard
    host.join(20)


def test_where_three_accounts_fail_within_ten_seconds_it_is_the_backend_and_nothing_is_replayed(
    theatre: Theatre, witness: Witness
) -> None:
    theatre.cast(retries=6, work=[ERROR, ERROR, ANSWER], home=ERROR, third=ERROR, fourth=[ERROR, ANSWER])
    witness.news()
    first, second = theatre.ask(), theatre.ask()
    for heard in (first, second):
        assert (heard.status, heard.error["code"]) == (500, "server_error")
    assert theatre.asked == ["work", "work", "home", "home", "third", "fourth"]
    codes = [SAME, OTHER, SAME, OTHER, NONE, NONE]
    assert [seen.code for seen in witness.news()] == [f"{code}server_error" for code in codes]
    assert theatre.ask().text == TEXT


def test_an_answer_ends_an_outage(theatre: Theatre) -> None:
    theatre.cast(retries=8, work=[ERROR, ERROR, ANSWER], home=ERROR, third=ERROR)
    assert theatre.ask().status == 500
    theatre.play("work", ANSWER)
    assert theatre.ask().text == TEXT  # the first to have failed
    theatre.play("third", [ERROR, ANSWER])
    theatre.store.update(lambda pool: edits.enable(edits.enable(pool, "work", False), "home", False))
    assert theatre.ask().text == TEXT
    assert theatre.asked[-2:] == ["third", "third"]


def test_after_a_challenge_one_request_at_a_time_finds_out_whether_it_is_over(theatre: Theatre) -> None:
    theatre.cast(work=[{"do": "html403"}, {**ANSWER, "wait": 0.6}, {**ANSWER, "wait": 0.3}], home=ANSWER)
    assert theatre.ask().status == 502
    with asking(theatre) as probe:
        theatre.sandbox.journal.wait_until(lambda entries: len(entries) == 2)
        heard = theatre.ask()
    assert (heard.status, heard.error["code"], theatre.asked) == (502, "upstream_challenge", ["work", "work"])
    assert probe[0].text == TEXT
    with asking(theatre) as first:
        theatre.sandbox.journal.wait_until(lambda entries: len(entries) == 3)
        second = theatre.ask()
    assert (first[0].text, second.text) == (TEXT, TEXT)

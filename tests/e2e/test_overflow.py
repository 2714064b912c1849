"""A key in the pool is the last resort: only where the user wants it, only so often, never in place of an account."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.hosts import HOST_KEY
from support.theatre import Heard, Json, Steps, Theatre, eventually, roles
from support.troupe import Troupe, opened_troupe
from understudy.pool.account import Health
from understudy.sandbox.journal import Entry

KEY = "sk-canary-of-the-overflow-tests"
TEXT = "The key has paid for this."
ANSWER: Json = {"do": "answer"}
PAID: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
GONE: Json = {"do": "revoked"}
MINE = {"session_id": "mine"}
SPENDS = "carries out a request, and it costs money"


@pytest.fixture(scope="module")
def troupe(tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path) -> Iterator[Troupe]:
    scenario = roles() | {"api_keys": {"key": {"key": KEY}, "other": {"key": f"{KEY}-2"}}}
    with opened_troupe(tmp_path_factory.mktemp("troupe"), confdir_template, authority_file, scenario) as troupe:
        yield troupe


@pytest.fixture(scope="module")
def theatre(troupe: Troupe) -> Iterator[Theatre]:
    """The user lets keys serve three requests a day."""
    flows = ("-w", str(troupe.home.parent / "flows"))
    with troupe.theatre(codex_overflow="on", codex_overflow_limit=3, arguments=flows) as theatre:
        yield theatre


@pytest.fixture
def cast(troupe: Troupe, theatre: Theatre) -> Callable[..., None]:
    """Makes fresh accounts the pool, and behind them the key, with nothing spent: `cast(key=step)`."""

    def make(*, work: Steps = LIMIT, home: Steps | None = None, key: Json = PAID, retries: int = 0) -> None:
        if home is None:
            theatre.cast(retries=retries, work=work)
        else:
            theatre.cast(retries=retries, work=work, home=home)
        troupe.sandbox.set_key_steps("key", [key])
        troupe.add_key("key")

    return make


def spent(troupe: Troupe, label: str = "key") -> int:
    [account] = [account for account in troupe.store.read().accounts if account.label == label]
    return account.spending.requests


def paid_call(theatre: Theatre) -> Entry:
    """The call that the key made last."""
    return theatre.sandbox.journal.responses("key")[-1]


# Who is asked


def test_without_the_option_the_key_is_never_asked(troupe: Troupe, theatre: Theatre, cast: Callable[..., None]) -> None:
    cast(home=LIMIT)
    with troupe.theatre() as another:
        heard = another.ask()
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    assert "key: codex_overflow is off" in str(heard.error["message"])
    assert theatre.asked == ["work", "home"]
    assert spent(troupe) == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_the_key_serves_where_every_account_is_limited(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None], stream: bool
) -> None:
    cast(home=LIMIT)
    said = theatre.proxy.log.count(SPENDS)
    heard = theatre.ask(stream=stream)
    assert heard.status == 200
    assert TEXT in (heard.text if stream else heard.body.decode())
    assert theatre.asked == ["work", "home", "key"]
    eventually(lambda: theatre.proxy.log.count(SPENDS) == said + 1)
    theatre.proxy.wait_for_log(r"understudy: key \(last resort, paid by the request\)")
    assert spent(troupe) == 1


def test_no_key_is_asked_while_an_account_can_serve(theatre: Theatre, cast: Callable[..., None]) -> None:
    cast(work={"do": "burst"}, home=[{"do": "server_error"}, ANSWER])
    assert theatre.ask().status == 200
    assert "key" not in theatre.asked


def test_a_session_that_the_key_has_served_returns_to_an_account_that_is_free_again(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast(work=[ANSWER, LIMIT, ANSWER])
    for _ in range(2):
        assert theatre.ask(headers=MINE).status == 200
    eventually(lambda: theatre.account("work").blocks != ())
    assert theatre.ask(headers=MINE).status == 200
    troupe.lift("work")
    assert theatre.ask(headers=MINE).status == 200
    assert theatre.asked == ["work", "work", "key", "key", "work"]


def test_a_new_session_of_the_key_does_not_stay_with_it(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast(work=[LIMIT, ANSWER])
    assert theatre.ask(headers={"session_id": "new"}).status == 200
    eventually(lambda: theatre.account("work").blocks != ())
    troupe.lift("work")
    assert theatre.ask(headers={"session_id": "new"}).status == 200
    assert theatre.asked == ["work", "key", "work"]


# What is sent


def test_the_platform_gets_the_request_as_the_host_gave_it(theatre: Theatre, cast: Callable[..., None]) -> None:
    cast()
    given: Json = {
        "model": "gpt-5.5",
        "input": "hi",
        "instructions": "Be brief.",
        "temperature": 0.25,
        "top_p": 0.5,
        "max_output_tokens": 1000,
        "store": True,
        "metadata": {"a": "b"},
        "truncation": "auto",
        "service_tier": "flex",
        "stream": False,
    }
    heard = theatre.ask(given, headers={"openai-organization": "org-1", "cookie": "a=b", "x-own": "1"})
    assert (heard.status, heard.json["object"]) == (200, "response")
    call = paid_call(theatre)
    assert call.path == "/v1/responses"
    assert call.body == given | {"stream": True}
    names = {name for name, _ in call.headers}
    assert names & {"chatgpt-account-id", "originator", "cookie", "openai-organization", "x-own"} == set()


def test_the_key_is_in_no_flow_and_no_log_and_the_host_s_own_goes_nowhere(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast()
    theatre.ask()
    assert dict(paid_call(theatre).headers)["authorization"] == "<key: API key>"
    flows = (troupe.home.parent / "flows").read_bytes()
    assert b"Bearer understudy:key" in flows
    for secret in (KEY, HOST_KEY):
        assert secret.encode() not in flows
        assert secret not in theatre.proxy.log


# How often


def test_the_day_s_requests_are_counted_on_disk_over_all_processes(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast()
    with troupe.theatre(codex_overflow="on", codex_overflow_limit=3) as another:
        heard: list[Heard] = []

        def ask(through: Theatre) -> None:
            with through.new_client() as client:
                heard.append(through.ask(client=client))

        hosts = [threading.Thread(target=ask, args=(through,)) for through in [theatre, another] * 4]
        for host in hosts:
            host.start()
        for host in hosts:
            host.join(20)
    assert sorted(each.status for each in heard) == [200] * 3 + [429] * 5
    assert len(theatre.sandbox.journal.responses("key")) == 3
    assert spent(troupe) == 3
    message = str(next(each for each in heard if each.status == 429).error["message"])
    assert "key: 3 paid requests today" in message or "its paid requests of today are used up" in message


def test_to_ask_a_key_that_fails_again_counts_too(troupe: Troupe, theatre: Theatre, cast: Callable[..., None]) -> None:
    cast(key={"do": "server_error"}, retries=2)
    for _ in range(3):
        assert theatre.ask().status >= 400
    assert len(theatre.sandbox.journal.responses("key")) == spent(troupe) == 3


def test_the_count_begins_anew_each_day(troupe: Troupe, theatre: Theatre, cast: Callable[..., None]) -> None:
    cast()
    [key] = [account for account in troupe.store.read().accounts if account.label == "key"]
    troupe.change("key", spending=type(key.spending)(day=20_000, requests=3))
    assert theatre.ask().status == 200
    assert spent(troupe) == 1


# A key that fails


def test_a_key_that_is_refused_is_dead_and_said_to_be_so(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    refused = {"error": {"message": "Incorrect API key.", "type": "invalid_request_error", "code": "invalid_api_key"}}
    cast(key={"do": "status", "status": 401, "body": refused})
    heard = theatre.ask()
    assert (heard.status, heard.error["code"]) == (401, "invalid_api_key")
    eventually(lambda: theatre.account("key").health is Health.NEEDS_LOGIN)
    assert theatre.account("key").health_reason == "key refused"
    assert "key is used no more: key refused; add another key with `understudy accounts add-api-key`" in (
        theatre.proxy.log
    )
    heard = theatre.ask()
    assert heard.status == 429
    assert len(theatre.sandbox.journal.responses("key")) == 1


def test_another_key_takes_over_from_one_that_is_used_up(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast(key={"do": "insufficient_quota"})
    troupe.add_key("other")
    assert theatre.ask().status == 200
    assert theatre.asked == ["work", "key", "other"]


# What it may not have


def test_a_conversation_that_one_account_alone_can_read_never_goes_to_a_key(
    theatre: Theatre, cast: Callable[..., None]
) -> None:
    cast(work=[ANSWER, LIMIT])
    compaction = theatre.sandbox.item(theatre.login("work"), "compaction")
    assert theatre.ask(headers=MINE).status == 200
    heard = theatre.ask(input=[compaction, {"role": "user", "content": "hi"}], headers=MINE)
    assert heard.status == 429
    assert "key: only work can read this conversation" in str(heard.error["message"])
    assert theatre.asked == ["work", "work"]


@pytest.mark.parametrize("isolation", ["workspace", "account"])
def test_an_isolated_conversation_never_goes_to_a_key(
    troupe: Troupe, theatre: Theatre, cast: Callable[..., None], isolation: str
) -> None:
    cast(work=[ANSWER, LIMIT])
    with troupe.theatre(codex_overflow="on", codex_isolate=isolation) as isolated:
        assert isolated.ask(headers={"session_id": isolation}).status == 200
        heard = isolated.ask(headers={"session_id": isolation})
    assert heard.status == 429
    assert "key: the conversation stays with work" in str(heard.error["message"])
    assert theatre.asked == ["work", "work"]


def test_the_reasoning_of_an_account_stays_behind(theatre: Theatre, cast: Callable[..., None]) -> None:
    cast(work=[ANSWER, LIMIT])
    reasoning = theatre.sandbox.item(theatre.login("work"), "reasoning")
    heard = theatre.ask(input=[reasoning, {"role": "user", "content": "hi"}])
    assert heard.status == 200
    heard = theatre.ask(input=[reasoning, {"role": "user", "content": "hi"}])
    assert (heard.status, theatre.asked) == (200, ["work", "work", "key"])
    body = paid_call(theatre).body
    assert isinstance(body, dict)
    assert body["input"] == [{"role": "user", "content": "hi"}]
    assert "encrypted" not in json.dumps(body)

"""What the host hears where no account is left, and what makes an account serve again before its limit was to end."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.proxy import Proxy
from support.theatre import Heard, Json, Theatre, TheatreFactory, eventually
from support.witness import IMPATIENT, Witness, with_constants
from understudy.pool.account import Account, Block, Ground
from understudy.pool.pool import over_accounts

TEXT = "The play goes on."
ANSWER: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
UNNAMED: Json = {**LIMIT, "tell": "nothing"}
BURST: Json = {"do": "burst"}
OVERLOAD: Json = {"do": "overloaded"}
SPARK = "gpt-5.3-codex-spark"
SPECS: dict[str, Json] = {
    "sparkling": {"limits": {"codex_bengalfox": {"models": [SPARK], "windows": [{"minutes": 300, "used": 10}]}}},
}


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    return Witness(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory, theatres: TheatreFactory, witness: Witness) -> Theatre:
    arguments = (*with_constants(tmp_path_factory.mktemp("impatient"), IMPATIENT), *witness.arguments)
    return theatres(codex_strategy="drain", specs=SPECS, arguments=arguments)


@pytest.fixture(scope="module")
def neighbour(theatre: Theatre) -> Iterator[Theatre]:
    """A second proxy of the same user, on the same store."""
    options = {"codex_backend": theatre.sandbox.backend, "codex_issuer": theatre.sandbox.issuer}
    with Proxy(theatre.proxy.home, theatre.proxy.confdir, options) as proxy:
        second = Theatre(theatre.sandbox, proxy)
        yield second
        second.close()


def is_retried(heard: Heard) -> bool:
    """Whether hosts try again by themselves. Codex does after a 5xx, but for two codes, and never after a 429; OpenAI's
    SDKs do after both, unless they are told otherwise (PROTOCOL, 3.7 and 7.1)."""
    codes = {heard.error["code"], heard.error["type"]}
    for_codex = heard.status >= 500 and not codes & {"server_is_overloaded", "slow_down"}
    return for_codex and heard.headers.get("x-should-retry") != "false"


def told_reset(heard: Heard) -> float | None:
    """Seconds until the reset that a usage limit names, if it names one: the same in every place."""
    error = heard.error
    assert (heard.status, error["type"], error["code"]) == (429, "usage_limit_reached", "usage_limit_reached")
    assert heard.headers["x-should-retry"] == "false"
    if "resets_at" not in error:
        assert "resets_in_seconds" not in error and "retry-after" not in heard.headers
        return None
    resets_at, seconds = error["resets_at"], error["resets_in_seconds"]
    assert isinstance(resets_at, int) and isinstance(seconds, int)
    assert heard.headers["retry-after"] == str(seconds)
    assert abs(resets_at - time.time() - seconds) < 3
    return seconds


# The last word

LIMITED: dict[str, tuple[dict[str, Json], float | None]] = {
    "the soonest reset of all": ({"work": {**LIMIT, "resets_in": 7200}, "home": {**LIMIT, "resets_in": 600}}, 600),
    "one account": ({"work": LIMIT}, 3600),
    "a guess is told to nobody": ({"work": UNNAMED, "home": UNNAMED}, None),
    "nor is it where it ends before what is known": ({"work": UNNAMED, "home": LIMIT}, 3600),
    "limits of other kinds": ({"work": {"do": "payment_required"}, "home": {"do": "insufficient_quota"}}, None),
    "a limit within a 200": ({"work": {"do": "early_failed", "code": "usage_limit_reached", "resets_in": 900}}, 900),
    "a limit that was a 404": ({"work": {**LIMIT, "status": 404}}, 3600),
    "a limit and a dead login": ({"work": LIMIT, "home": {"do": "deactivated"}}, 3600),
    "a limit and a plan without the model": ({"work": LIMIT, "home": {"do": "usage_not_included"}}, 3600),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize(("fates", "reset"), LIMITED.values(), ids=LIMITED.keys())
def test_where_limits_are_the_reason_it_is_a_usage_limit(
    theatre: Theatre, fates: dict[str, Json], reset: float | None, stream: bool
) -> None:
    theatre.cast(retries=0, disabled=(), **fates)
    for asked in (list(fates), []):
        theatre.sandbox.journal.clear()
        heard = theatre.ask(stream=stream)
        assert theatre.asked == asked
        assert told_reset(heard) == (None if reset is None else pytest.approx(reset, abs=5))


def test_a_limit_here_and_trouble_there_may_be_tried_again(theatre: Theatre) -> None:
    theatre.cast(retries=2, work=LIMIT, home=OVERLOAD)
    heard = theatre.ask()
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert is_retried(heard) and "resets_at" not in heard.error
    assert theatre.asked == ["work", "home", "home"]
    message = str(heard.error["message"])
    assert "work: usage limit until" in message and "home: overloaded" in message


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize(
    ("fate", "code", "words"),
    [
        (OVERLOAD, "server_error", "Selected model is at capacity. Please try a different model."),
        ({"do": "early_failed", "code": "slow_down", "message": "Slow down."}, "server_error", "Slow down."),
        (BURST, "rate_limit_exceeded", "Too Many Requests"),
    ],
    ids=["overload", "overload in a 200", "burst"],
)
def test_what_is_soon_over_is_told_in_a_form_that_hosts_try_again_after(
    theatre: Theatre, fate: Json, code: str, words: str, stream: bool
) -> None:
    theatre.cast(retries=4, work=fate, home=fate, third=ANSWER)
    heard = theatre.ask(stream=stream)
    assert (heard.status, heard.error["code"], heard.error["message"]) == (503, code, words)
    assert theatre.asked == ["work", "work", "home", "home"]
    assert is_retried(heard) and int(heard.headers["retry-after"]) >= 1


def test_a_pause_that_the_backend_asks_for_is_passed_on(theatre: Theatre) -> None:
    pausing = {**OVERLOAD, "headers": {"retry-after": "17"}}
    theatre.cast(retries=4, work=pausing, home=pausing)
    heard = theatre.ask()
    assert (heard.status, heard.headers["retry-after"]) == (503, "17")
    assert is_retried(heard)


@pytest.mark.parametrize("fate", [BURST, OVERLOAD, {"do": "server_error"}], ids=["burst", "overload", "500"])
def test_the_trouble_of_a_lone_account_may_be_tried_again(theatre: Theatre, witness: Witness, fate: Json) -> None:
    theatre.cast(retries=2, work=[fate, fate, ANSWER])
    witness.news()
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (503, ["work", "work"])
    assert is_retried(heard)
    first, second, refusal = witness.news()
    assert first.code.startswith("retry_same_account_after_") and second.code.startswith("no_retry_after_")
    assert (refusal.attempt, refusal.reason) == (0, "understudy_no_account")
    assert theatre.ask().text == TEXT


# What ends a limit early


def limited(theatre: Theatre, role: str, *, since: float, until: float, model: str = "", limit_id: str = "") -> None:
    """Another process has met a limit: seconds before and after now."""
    now = time.time()
    block = Block(now + until, "usage limit", True, Ground.LIMIT, model, limit_id, since=now - since)

    def changed(account: Account) -> Account:
        return replace(account, blocks=(block,)) if account.label == role else account

    theatre.store.update(over_accounts(lambda accounts: tuple(map(changed, accounts))))


def test_before_its_half_a_limit_is_a_limit(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    limited(theatre, "work", since=1000, until=1100)
    assert told_reset(theatre.ask()) == pytest.approx(1100, abs=5)
    assert theatre.asked == []


def test_past_its_half_a_limit_is_tried_where_nobody_else_is_left(theatre: Theatre, witness: Witness) -> None:
    theatre.cast(work=ANSWER)
    limited(theatre, "work", since=1100, until=1000)
    witness.news()
    assert [theatre.ask().text for _ in range(2)] == [TEXT] * 2
    assert [seen.chosen_by for seen in witness.news()] == ["early", "drain"]
    eventually(lambda: theatre.account("work").blocks == ())


def test_it_is_not_tried_while_another_account_can_serve(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    limited(theatre, "work", since=1100, until=1000)
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["home"]


def test_it_is_tried_before_the_last_account_is_given_up(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=LIMIT)
    limited(theatre, "work", since=1100, until=1000)
    assert theatre.ask().text == TEXT
    assert theatre.asked == ["home", "work"]


def test_it_is_tried_once_in_a_quarter_of_an_hour(theatre: Theatre, neighbour: Theatre) -> None:
    theatre.cast(work={**LIMIT, "resets_in": 1000})
    limited(theatre, "work", since=1100, until=1000)
    for host in (theatre, neighbour, theatre):
        assert told_reset(host.ask()) == pytest.approx(1000, abs=5)
    assert theatre.asked == ["work"]
    [block] = theatre.account("work").blocks
    assert block.tried_at is not None and abs(block.tried_at - time.time()) < 10


def test_and_again_after_that(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    limited(theatre, "work", since=5000, until=1000)

    def tried(account: Account) -> Account:
        [block] = account.blocks
        return replace(account, blocks=(replace(block, tried_at=time.time() - 15 * 60 - 1),))

    theatre.store.update(over_accounts(lambda accounts: tuple(map(tried, accounts))))
    assert theatre.ask().text == TEXT


def test_a_try_that_says_nothing_of_the_limit_was_the_one_of_its_quarter_of_an_hour(theatre: Theatre) -> None:
    mute = {f"x-codex-{slot}-used-percent": None for slot in ("primary", "secondary")}
    theatre.cast(work=[{"do": "forbidden", "headers": mute}, ANSWER])
    limited(theatre, "work", since=1100, until=1000)
    assert theatre.ask().status == 403
    assert told_reset(theatre.ask()) == pytest.approx(1000, abs=5)
    assert theatre.asked == ["work"]


def test_an_answer_to_another_process_lifts_it_for_all(theatre: Theatre, neighbour: Theatre, witness: Witness) -> None:
    theatre.cast(work=ANSWER)
    limited(theatre, "work", since=1100, until=1000)
    assert neighbour.ask().text == TEXT
    eventually(lambda: theatre.account("work").blocks == ())
    witness.news()
    assert theatre.ask().text == TEXT
    assert [seen.chosen_by for seen in witness.news()] == ["drain"]


def test_fresh_figures_lift_the_limit_of_one_model(theatre: Theatre) -> None:
    theatre.cast(sparkling=[{**LIMIT, "resets_in": 5000}, ANSWER])
    heard = theatre.ask(model=SPARK)
    assert told_reset(heard) == pytest.approx(5000, abs=5)
    assert theatre.ask().text == TEXT  # which says that the other limit's window is full as before
    assert theatre.ask(model=SPARK).status == 429
    theatre.sandbox.lift(theatre.login("sparkling"))
    assert theatre.ask().text == TEXT  # which says that it is not
    assert theatre.ask(model=SPARK).text == TEXT
    assert theatre.asked == ["sparkling"] * 4


def test_fresh_figures_lift_a_limit_although_the_answer_is_none(theatre: Theatre) -> None:
    theatre.cast(work=[{**LIMIT, "resets_in": 4}, {"do": "forbidden"}, ANSWER])
    assert told_reset(theatre.ask()) is not None
    theatre.sandbox.lift(theatre.login("work"))
    eventually(lambda: (block := theatre.account("work").block) is not None and time.time() > _half(block))
    assert theatre.ask().status == 403
    assert theatre.ask().text == TEXT


def _half(block: Block) -> float:
    return (block.since + block.until) / 2


def test_opencode_is_told_of_no_pause_that_it_would_sleep_through_without_a_word(theatre: Theatre) -> None:
    for agent, told in (("opencode/1.18.33 (linux)", False), ("OpenAI/Python 3.52.0", True)):
        theatre.cast(work=LIMIT)
        heard = theatre.ask(headers={"user-agent": agent})
        assert (heard.status, "retry-after" in heard.headers) == (429, told)
        assert heard.error["resets_in_seconds"]

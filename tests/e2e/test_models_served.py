"""Models that not every account has: who is asked for them, what is remembered, and what serves in their place."""

import pytest

from support.theatre import Heard, Json, Theatre, TheatreFactory, member
from support.witness import Witness
from understudy.pool import edits

TEXT = "The play goes on."
ANSWER: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
SPECS: dict[str, Json] = {
    "full": {"models": ["gpt-5.5", "gpt-5.4", "gpt-5.4-mini"]},
    "lesser": {"models": ["gpt-5.4", "gpt-5.4-mini"]},
    **{role: {"models": ["gpt-5.4"]} for role in ("petty", "poor", "plain", "puny")},
}
"""What each role's account has."""
MODELS = "gpt-4o=gpt-5.5,o3*=gpt-4o,gpt-9*>gpt-8>gpt-5.5>gpt-5.4,gpt-7>gpt-4o,gpt-6>gpt-8,gpt-5.4-mini>gpt-5.4"
SERVED = "x-understudy-model"


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    return Witness(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory, witness: Witness) -> Theatre:
    return theatres(codex_strategy="drain", codex_models=MODELS, specs=SPECS, arguments=witness.arguments)


def asked_for(theatre: Theatre) -> list[tuple[str, str]]:
    """Whom the calls went to, and for which model."""
    return list(zip(theatre.asked, (call.model for call in theatre.calls), strict=True))


def lists(theatre: Theatre) -> list[str]:
    """Whose list of models was asked for."""
    entries = [entry for entry in theatre.sandbox.journal if entry.path.endswith("/codex/models")]
    return sorted((entry.account or "").rstrip("0123456789") for entry in entries)


def refusal(heard: Heard) -> str:
    """The message of an answer that refuses the model, in OpenAI's shape."""
    error = heard.error
    assert heard.status == 400 and heard.headers["content-type"] == "application/json"
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
    assert SERVED not in heard.headers
    return str(error["message"])


def words(model: str) -> str:
    """The backend's own."""
    return f"The '{model}' model is not supported when using Codex with a ChatGPT account."


# Nobody has it


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_the_host_gets_the_backend_s_words_and_what_there_is(theatre: Theatre, stream: bool) -> None:
    theatre.cast(lesser=ANSWER, petty=ANSWER)
    message = refusal(theatre.ask(model="gpt-5.5", stream=stream))
    assert message == f"{words('gpt-5.5')} Models there are: lesser: gpt-5.4, gpt-5.4-mini; petty: gpt-5.4."
    assert theatre.asked == ["lesser", "petty"]


def test_a_chain_that_nobody_has_any_of_ends_in_these_words(
    theatre: Theatre,
) -> None:
    theatre.cast(petty=ANSWER, poor=ANSWER, plain=ANSWER)
    assert refusal(theatre.ask(model="gpt-6")).startswith(words("gpt-6"))
    assert [model for _, model in asked_for(theatre)] == 3 * ["gpt-6"] + 3 * ["gpt-8"]


def test_it_is_remembered_so_that_nobody_is_asked_again(theatre: Theatre) -> None:
    theatre.cast(lesser=ANSWER, petty=ANSWER)
    first, second = (theatre.ask(model="gpt-5.5") for _ in range(2))
    assert refusal(first) == refusal(second)
    assert theatre.asked == ["lesser", "petty"]
    assert lists(theatre) == ["lesser", "petty"]


def test_who_may_not_serve_is_not_asked_what_there_is(theatre: Theatre) -> None:
    theatre.cast(lesser=ANSWER, petty=ANSWER)
    theatre.store.update(lambda pool: edits.pin(pool, "petty", soft=False))
    assert refusal(theatre.ask(model="gpt-5.5")).endswith("Models there are: petty: gpt-5.4.")
    assert lists(theatre) == ["petty"]
    theatre.store.update(edits.unpin)


def test_it_is_of_that_model_alone(theatre: Theatre) -> None:
    theatre.cast(lesser=ANSWER, petty=ANSWER)
    refusal(theatre.ask(model="gpt-5.5"))
    assert theatre.ask(model="gpt-5.4").text == TEXT
    assert asked_for(theatre)[2:] == [("lesser", "gpt-5.4")]


def test_an_account_that_cannot_serve_does_not_make_it_another_matter(theatre: Theatre) -> None:
    theatre.cast(lesser=ANSWER, full=ANSWER, disabled=["full"])
    assert refusal(theatre.ask(model="gpt-5.5")).endswith("Models there are: lesser: gpt-5.4, gpt-5.4-mini.")
    theatre.store.update(lambda pool: edits.enable(pool, "full", True))
    assert theatre.ask(model="gpt-5.5").text == TEXT


def test_where_one_that_has_it_is_limited_the_limit_is_what_counts(theatre: Theatre) -> None:
    theatre.cast(lesser=ANSWER, full=LIMIT)
    heard = theatre.ask(model="gpt-5.5")
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    assert "lesser: model not for this account" in str(heard.error["message"])


def test_four_accounts_are_asked_at_once_and_then_the_others(theatre: Theatre) -> None:
    theatre.cast(petty=ANSWER, poor=ANSWER, plain=ANSWER, puny=ANSWER, full=ANSWER)
    assert refusal(theatre.ask(model="gpt-5.5")).startswith(words("gpt-5.5"))
    assert theatre.asked == ["petty", "poor", "plain", "puny"]
    assert theatre.ask(model="gpt-5.5").text == TEXT
    assert theatre.asked[4:] == ["full"]


# Somebody has it


def test_an_account_that_has_it_serves(theatre: Theatre, witness: Witness) -> None:
    theatre.cast(lesser=ANSWER, full=ANSWER)
    witness.news()
    assert [theatre.ask(model="gpt-5.5").text for _ in range(2)] == [TEXT] * 2
    assert theatre.asked == ["lesser", "full", "full"]
    assert [seen.code for seen in witness.news()] == ["retry_other_account_after_not_entitled", "", ""]
    assert lists(theatre) == []


# Another model in its place


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
@pytest.mark.parametrize("asked", ["gpt-4o", "o3-mini"])
def test_an_alias_is_served_always_and_the_host_is_told(theatre: Theatre, asked: str, stream: bool) -> None:
    theatre.cast(full=ANSWER)
    heard = theatre.ask(model=asked, stream=stream)
    assert (heard.status, heard.headers[SERVED]) == (200, "gpt-5.5")
    assert asked_for(theatre) == [("full", "gpt-5.5")]
    theatre.proxy.wait_for_log(f"asks for {asked}: gpt-5.5 serves")


def test_all_else_of_the_request_stays_byte_for_byte(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER)
    for model in ("gpt-4o", "gpt-5.5"):
        theatre.ask(
            f'{{"stream":true, "model" : "{model}", "input":[{{ "role":"user", "content":"h\\u0069"}}]}}'.encode()
        )
    aliased, plain = theatre.calls
    assert aliased.content == plain.content


def test_a_model_that_is_served_as_it_is_is_not_told(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER)
    assert SERVED not in theatre.ask(model="gpt-5.5").headers


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_the_next_of_a_chain_serves_where_no_account_has_the_model(
    theatre: Theatre, witness: Witness, stream: bool
) -> None:
    theatre.cast(lesser=ANSWER, full=ANSWER)
    witness.news()
    heard = theatre.ask(model="gpt-9-codex", stream=stream)
    assert (heard.status, heard.headers[SERVED]) == (200, "gpt-5.5")
    assert asked_for(theatre) == [
        ("lesser", "gpt-9-codex"),
        ("full", "gpt-9-codex"),
        ("lesser", "gpt-8"),
        ("full", "gpt-8"),
        ("lesser", "gpt-5.5"),
        ("full", "gpt-5.5"),
    ]
    if stream:
        created = member(heard.events[0], "response")
        assert (created["model"], heard.text) == ("gpt-5.5", TEXT)
    codes = [seen.code for seen in witness.news()]
    assert codes == [f"retry_{which}_account_after_not_entitled" for which in ("other",) * 5] + [""]
    theatre.proxy.wait_for_log("asks for gpt-9-codex: gpt-5.5 serves")


def test_the_chain_is_not_gone_through_again(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER)
    assert [theatre.ask(model="gpt-9").headers[SERVED] for _ in range(2)] == ["gpt-5.5"] * 2
    assert asked_for(theatre)[3:] == [("full", "gpt-5.5")]


def test_a_chain_leads_over_an_alias(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER)
    assert theatre.ask(model="gpt-7").headers[SERVED] == "gpt-5.5"
    assert asked_for(theatre) == [("full", "gpt-7"), ("full", "gpt-5.5")]


def test_a_limit_is_no_reason_for_another_model(theatre: Theatre) -> None:
    theatre.cast(lesser=LIMIT)
    heard = theatre.ask(model="gpt-5.4-mini")
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    assert asked_for(theatre) == [("lesser", "gpt-5.4-mini")]


def test_where_no_account_has_any_of_the_chain_the_host_hears_of_the_model_that_it_asked_for(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER)
    for _ in range(2):
        message = refusal(theatre.ask(model="gpt-6"))
        assert message == f"{words('gpt-6')} Models there are: full: gpt-5.5, gpt-5.4, gpt-5.4-mini."
    assert asked_for(theatre) == [("full", "gpt-6"), ("full", "gpt-8")]


def test_the_next_of_a_chain_serves_also_where_no_more_accounts_are_asked_for_the_first(theatre: Theatre) -> None:
    theatre.cast(full=ANSWER, petty=ANSWER, poor=ANSWER, plain=ANSWER, puny=ANSWER)
    heard = theatre.ask(model="gpt-7")
    assert (heard.status, heard.headers[SERVED], heard.text) == (200, "gpt-5.5", TEXT)
    assert theatre.asked == ["full", "petty", "poor", "plain", "full"]

"""What Codex hears of the quota, and which account a session without a name goes by."""

import pytest

from support.theatre import Json, Theatre, TheatreFactory, eventually

CODEX = {"originator": "codex_exec"}
ANSWER: Json = {"do": "answer"}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres(codex_strategy="round_robin")


def used(theatre: Theatre, headers: dict[str, str]) -> float:
    heard = theatre.ask(headers=headers)
    assert heard.status == 200, heard.body
    return float(heard.headers["x-codex-primary-used-percent"])


def primary(percent: float) -> Json:
    return ANSWER | {"headers": {"x-codex-primary-used-percent": str(percent)}}


def test_codex_hears_the_mean_of_the_accounts_and_others_the_account_s_own(theatre: Theatre) -> None:
    theatre.cast(work=primary(80), home=primary(20))
    own = [used(theatre, {"session-id": f"s{number}"}) for number in range(2)]
    assert sorted(own) == [20, 80]
    assert used(theatre, CODEX | {"session-id": "s0"}) == 50


def test_with_one_account_codex_hears_of_that_one(theatre: Theatre) -> None:
    theatre.cast(work=primary(80))
    assert used(theatre, CODEX) == 80


def test_a_session_that_names_itself_nowhere_keeps_the_account_that_answered_it(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    spoken: dict[str, str] = {}
    for question in ("one", "two", "three", "four"):
        theatre.ask(input=question)
        spoken[question] = theatre.asked[-1]
    assert len(set(spoken.values())) > 1, "new sessions are spread"
    eventually(lambda: len(theatre.calls) == 4)
    for question, account in spoken.items():
        history = [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes."}]
        theatre.ask(input=[*history, {"role": "user", "content": "and?"}])
        assert theatre.asked[-1] == account


def test_a_request_goes_to_the_account_that_made_the_answer_it_goes_on_from(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    first = [theatre.ask(input="the same words", stream=False).json["id"] for _ in range(2)]
    made = list(theatre.asked)
    assert len(set(made)) == 2
    for answer, account in zip(first, made, strict=True):
        for _ in range(2):
            theatre.ask(input="and?", previous_response_id=answer)
            assert theatre.asked[-1] == account


def test_programs_that_always_begin_alike_are_spread_all_the_same(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    for _ in range(4):
        theatre.ask(input="the same words")
    assert len(set(theatre.asked)) == 2

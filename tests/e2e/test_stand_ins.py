"""Who answers while an account is limited: nobody comes back to it for a second chance, and a session keeps the account
that stands in."""

import threading

from support.theatre import Heard, Json, Theatre, TheatreFactory, eventually

SOON: Json = {"do": "short_limit", "seconds": 1.5}
LATER: Json = {"do": "usage_limit", "resets_in": 600}
ANSWER: Json = {"do": "answer", "text": "Yes."}


def test_a_second_chance_is_forgone_where_the_account_is_limited_meanwhile(theatre: Theatre) -> None:
    theatre.cast(work=[SOON, LATER], home=ANSWER)
    heard: list[Heard] = []
    with theatre.new_client() as client:
        patient = threading.Thread(target=lambda: heard.append(theatre.ask(client=client)))
        patient.start()
        eventually(lambda: theatre.asked == ["work"])
        theatre.sandbox.journal.wait_for(lambda entry: entry.status == 429)
        assert theatre.ask().status == 200
        patient.join(30)
    assert [answer.status for answer in heard] == [200]
    assert theatre.asked == ["work", "work", "home", "home"]


def test_a_session_keeps_the_account_that_stands_in_until_its_own_is_back(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_strategy="round_robin")
    theatre.cast(work=ANSWER, home=ANSWER, third=ANSWER)

    def ask(session: str) -> str:
        assert theatre.ask(prompt_cache_key=session).status == 200
        return theatre.asked[-1]

    own = ask("ours")
    theatre.play(own, [LATER, ANSWER])
    stand_in = ask("ours")
    assert {ask("another"), ask("one more"), ask("the last")} == {"work", "home", "third"} - {own}
    assert [ask("ours") for _ in range(3)] == [stand_in] * 3

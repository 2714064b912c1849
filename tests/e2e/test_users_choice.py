"""What the user chooses takes effect in a running proxy, at its very next request."""

import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

import pytest

from support.proxy import clean_environment
from support.theatre import Heard, Theatre, TheatreFactory, eventually
from understudy.pool import edits

ANSWER: Mapping[str, object] = {"do": "answer"}
LIMIT: Mapping[str, object] = {"do": "usage_limit", "resets_in": 3600}
SLOW: Mapping[str, object] = {"do": "answer", "words": 20, "delay": 0.2}
MINE = {"session_id": "mine"}


def accounts(theatre: Theatre, *words: str, fails: bool = False) -> str:
    """Types a command of `understudy accounts`; gives what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "understudy", "accounts", *words],
        env=clean_environment(UNDERSTUDY_HOME=str(theatre.proxy.home)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def unpinned(theatre: Theatre) -> None:
    """No test leaves its pin to the next."""
    theatre.store.update(edits.unpin)


@pytest.mark.parametrize("words", [["use", "home"], ["use", "home", "--soft"]], ids=" ".join)
def test_a_pin_takes_a_session_from_the_account_that_it_is_bound_to(theatre: Theatre, words: Sequence[str]) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    theatre.ask(headers=MINE)
    accounts(theatre, *words)
    theatre.ask(headers=MINE)
    theatre.ask(headers={"session_id": "another"})
    assert theatre.asked == ["work", "home", "home"]


def test_without_its_pin_a_session_is_not_held_by_the_account_either(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    accounts(theatre, "use", "home")
    theatre.ask(headers=MINE)
    accounts(theatre, "unpin")
    theatre.ask(headers=MINE)
    assert theatre.asked == ["home", "work"]


def test_a_soft_pin_falls_through_while_its_account_is_limited(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=[LIMIT, ANSWER])
    accounts(theatre, "use", "home", "--soft")
    assert [theatre.ask(headers=MINE).status for _ in range(2)] == [200, 200]
    assert theatre.asked == ["home", "work", "work"]


def test_a_hard_pin_does_not_and_the_host_is_told_of_the_pin(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=[LIMIT, ANSWER])
    accounts(theatre, "use", "home")
    first, second = theatre.ask(headers=MINE), theatre.ask(headers=MINE)
    assert theatre.asked == ["home"]
    for heard in (first, second):
        assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
        assert re.search(r"\(home: (?:usage limit|5h limit used up) until \d\d:\d\d\)", str(heard.error["message"]))
        assert "pinned" in str(heard.error["message"])
        assert "understudy accounts unpin" in str(heard.error["message"])
    accounts(theatre, "unpin")
    assert theatre.ask(headers=MINE).status == 200


def test_where_no_pin_is_the_reason_none_is_named(theatre: Theatre) -> None:
    theatre.cast(work=LIMIT, home=LIMIT)
    accounts(theatre, "use", "home", "--soft")
    message = str(theatre.ask().error["message"])
    assert "work: usage limit" in message and "home: usage limit" in message
    assert "pin" not in message


def test_the_option_of_one_process_wins_over_the_pin_of_all(theatres: TheatreFactory) -> None:
    theatre = theatres(codex_account="work")
    theatre.cast(work=[ANSWER, LIMIT], home=ANSWER)
    accounts(theatre, "use", "home")
    theatre.ask()
    message = str(theatre.ask().error["message"])
    assert theatre.asked == ["work", "work"]
    assert "codex_account" in message and "unpin" not in message


def test_an_account_is_disabled_and_enabled_between_two_requests_of_a_session(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    theatre.ask(headers=MINE)
    accounts(theatre, "disable", "work")
    theatre.ask(headers=MINE)
    accounts(theatre, "enable", "work")
    theatre.ask(headers={"session_id": "another"})
    assert theatre.asked == ["work", "home", "work"]


def test_a_pinned_account_that_is_disabled_leaves_the_requests_to_the_others(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    accounts(theatre, "use", "home")
    accounts(theatre, "disable", "home")
    assert theatre.ask().status == 200
    assert theatre.asked == ["work"]


def test_where_every_account_is_disabled_the_host_is_told_so(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER)
    accounts(theatre, "disable", "work")
    heard = theatre.ask()
    assert (heard.status, theatre.asked) == (503, [])
    assert "work: disabled" in str(heard.error["message"])


@pytest.mark.parametrize(("strategy", "new"), [("drain", "home"), ("sticky", "work")])
def test_the_order_counts_for_new_sessions_unless_an_account_is_in_use(
    theatres: TheatreFactory, strategy: str, new: str
) -> None:
    theatre = theatres(codex_strategy=strategy)
    theatre.cast(work=[ANSWER, ANSWER, ANSWER, LIMIT], third=ANSWER, home=ANSWER)
    theatre.ask(headers=MINE)
    accounts(theatre, "order", "home")
    theatre.ask(headers=MINE)
    theatre.ask(headers={"session_id": "another"})
    assert theatre.asked == ["work", "work", new]
    if strategy == "sticky":
        theatre.ask()
        assert theatre.asked[3:] == ["work", "home"]  # from the account in use to the first in order


def test_a_session_whose_account_is_removed_is_like_a_new_one(theatre: Theatre) -> None:
    theatre.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    theatre.ask(headers=MINE)
    accounts(theatre, "remove", "work", "--yes")
    theatre.ask(headers=MINE)
    accounts(theatre, "order", "third")
    theatre.ask(headers={"session_id": "another"})
    assert theatre.asked == ["work", "home", "home"]  # which is the account in use since


@pytest.mark.parametrize("words", [["remove", "work", "--yes"], ["disable", "work"], ["use", "home"]], ids=" ".join)
def test_what_is_being_answered_is_answered_to_its_end(theatre: Theatre, words: Sequence[str]) -> None:
    theatre.cast(work=SLOW, home=ANSWER)
    heard: list[Heard] = []

    def listen() -> None:
        with theatre.new_client() as client:
            heard.append(theatre.ask(headers=MINE, client=client))

    host = threading.Thread(target=listen)
    host.start()
    eventually(lambda: len(theatre.calls) == 1)
    accounts(theatre, *words)
    assert host.is_alive()
    host.join(20)
    assert heard[0].types[-1] == "response.completed"
    theatre.ask(headers=MINE)
    assert theatre.asked == ["work", "home"]
    assert [a.label for a in theatre.store.read().accounts] == (["home"] if words[0] == "remove" else ["work", "home"])

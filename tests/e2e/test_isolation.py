"""Which conversations may move to which account, and what of an account is kept for the user."""

import uuid

import pytest

from support.theatre import Heard, Json, Theatre, TheatreFactory
from understudy.pool import edits

Session = dict[str, str]

ANSWER: Json = {"do": "answer"}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
TEAM: Json = {"plan": "team", "account_id": "ws-of-the-team"}
SPECS: dict[str, Json] = {
    "member": TEAM,
    "colleague": TEAM,
    "stranger": {"plan": "team", "account_id": "ws-of-others"},
    "plus": {"plan": "plus"},
    "pro": {"plan": "pro"},
    # The first answer leaves 19 percent of the one, 4 of the other.
    "reserved": {"windows": [{"minutes": 300, "used": 79.0, "cost": 2.0, "resets_in": 7200}]},
    "scarce": {"windows": [{"minutes": 300, "used": 95.0, "cost": 1.0, "resets_in": 7200}]},
    "scarcer": {"windows": [{"minutes": 300, "used": 96.0, "cost": 1.0, "resets_in": 7200}]},
}


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres(specs=SPECS)


@pytest.fixture(scope="module")
def by_workspace(theatres: TheatreFactory) -> Theatre:
    return theatres(specs=SPECS, codex_isolate="workspace")


@pytest.fixture(scope="module")
def by_account(theatres: TheatreFactory) -> Theatre:
    return theatres(specs=SPECS, codex_isolate="account")


@pytest.fixture
def mine() -> Session:
    """The fields of a session that no other test has."""
    return {"session_id": uuid.uuid4().hex}


def refused(heard: Heard) -> str:
    """What a host is told to whom nobody may answer."""
    assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
    return str(heard.error["message"])


# By workspace


def test_within_a_workspace_a_conversation_moves_past_everybody_else(by_workspace: Theatre, mine: Session) -> None:
    by_workspace.cast(member=[ANSWER, LIMIT], plus=ANSWER, stranger=ANSWER, colleague=ANSWER)
    assert [by_workspace.ask(headers=mine).status for _ in range(3)] == [200] * 3
    assert by_workspace.asked == ["member", "member", "colleague", "colleague"]


def test_where_the_workspace_is_used_up_it_stops_and_a_new_conversation_does_not(
    by_workspace: Theatre, mine: Session
) -> None:
    by_workspace.cast(member=[ANSWER, LIMIT], plus=ANSWER, colleague=LIMIT)
    assert by_workspace.ask(headers=mine).status == 200
    message = refused(by_workspace.ask(headers=mine))
    assert "plus: the conversation stays with member" in message
    assert "member: usage limit until" in message and "colleague: usage limit until" in message
    assert by_workspace.ask(headers={"session_id": "new"}).status == 200
    assert by_workspace.asked == ["member", "member", "colleague", "plus"]


def test_personal_accounts_are_one_workspace(by_workspace: Theatre, mine: Session) -> None:
    by_workspace.cast(plus=[ANSWER, LIMIT], member=ANSWER, pro=ANSWER)
    assert [by_workspace.ask(headers=mine).status for _ in range(2)] == [200] * 2
    assert by_workspace.asked == ["plus", "plus", "pro"]


def test_a_conversation_that_nobody_has_answered_yet_may_begin_anywhere(by_workspace: Theatre, mine: Session) -> None:
    by_workspace.cast(member=LIMIT, plus=[ANSWER, LIMIT], pro=ANSWER)
    assert [by_workspace.ask(headers=mine).status for _ in range(2)] == [200] * 2
    assert by_workspace.asked == ["member", "plus", "plus", "pro"]


# By account


def test_by_account_no_conversation_moves(by_account: Theatre, mine: Session) -> None:
    by_account.cast(plus=[ANSWER, LIMIT], pro=ANSWER)
    assert by_account.ask(headers=mine).status == 200
    assert "pro: the conversation stays with plus" in refused(by_account.ask(headers=mine))
    assert by_account.ask(headers={"session_id": "new"}).status == 200
    assert by_account.asked == ["plus", "plus", "pro"]


def test_a_turn_s_account_counts_where_no_session_is_named(by_account: Theatre) -> None:
    by_account.cast(plus=[ANSWER, LIMIT], pro=ANSWER)
    state = {"x-codex-turn-state": by_account.ask().headers["x-codex-turn-state"]}
    refused(by_account.ask(headers=state))
    assert by_account.asked == ["plus", "plus"]


def test_a_conversation_whose_account_was_removed_stays_nobody_s(by_account: Theatre, mine: Session) -> None:
    by_account.cast(plus=ANSWER, pro=ANSWER)
    by_account.ask(headers=mine)
    by_account.store.update(lambda pool: edits.remove(pool, ["plus"]))
    heard = by_account.ask(headers=mine)
    assert heard.status == 503
    assert "pro: the conversation stays with an account that is gone" in str(heard.error["message"])
    assert by_account.asked == ["plus"]


# What the user keeps


def keep(theatre: Theatre, role: str, percent: float) -> None:
    theatre.store.update(lambda pool: edits.reserve(pool, role, percent))


def test_what_is_reserved_no_program_gets(theatre: Theatre, mine: Session) -> None:
    theatre.cast(reserved=ANSWER, home=ANSWER)
    keep(theatre, "reserved", 20)
    heard = theatre.ask(headers=mine)
    assert heard.status == 200
    theatre.ask(headers=mine)
    theatre.ask(headers={"session_id": "new"})
    assert theatre.asked == ["reserved", "home", "home"]


def test_a_pin_does_not_spend_it(theatre: Theatre) -> None:
    theatre.cast(reserved=ANSWER, home=ANSWER)
    keep(theatre, "reserved", 20)
    theatre.store.update(lambda pool: edits.pin(pool, "reserved", soft=False))
    try:
        assert theatre.ask().status == 200
        message = refused(theatre.ask())
    finally:
        theatre.store.update(edits.unpin)
    assert "reserved: the last 20 % of its 5h limit are reserved until" in message
    assert theatre.asked == ["reserved"]


def test_the_host_is_told_when_the_reserve_is_filled_up_again(theatre: Theatre) -> None:
    theatre.cast(reserved=ANSWER)
    keep(theatre, "reserved", 20)
    theatre.ask()
    heard = theatre.ask()
    refused(heard)
    seconds = heard.error["resets_in_seconds"]
    assert isinstance(seconds, int) and 0 < seconds <= 7201
    assert heard.headers["retry-after"] == str(seconds)


def test_the_user_may_take_the_reserve_back_at_once(theatre: Theatre) -> None:
    theatre.cast(reserved=ANSWER)
    keep(theatre, "reserved", 20)
    theatre.ask()
    refused(theatre.ask())
    keep(theatre, "reserved", 0)
    assert theatre.ask().status == 200
    assert theatre.asked == ["reserved", "reserved"]


def test_a_soft_pin_passes_by_the_reserve(theatre: Theatre, mine: Session) -> None:
    theatre.cast(home=ANSWER, reserved=ANSWER)
    keep(theatre, "reserved", 20)
    theatre.store.update(lambda pool: edits.pin(pool, "reserved", soft=True))
    try:
        assert [theatre.ask(headers=mine).status for _ in range(2)] == [200] * 2
    finally:
        theatre.store.update(edits.unpin)
    assert theatre.asked == ["reserved", "home"]


# The soft quota


def test_an_account_with_little_left_keeps_its_sessions_and_gets_no_new_ones(theatre: Theatre, mine: Session) -> None:
    theatre.cast(scarce=ANSWER, home=ANSWER)
    theatre.ask(headers=mine)
    theatre.ask(headers=mine)
    theatre.ask(headers={"session_id": "new"})
    assert theatre.asked == ["scarce", "scarce", "home"]


def test_where_all_have_little_left_the_first_in_order_goes_on(theatre: Theatre) -> None:
    theatre.cast(scarcer=ANSWER, scarce=ANSWER)
    for number in range(4):
        theatre.ask(headers={"session_id": f"new-{number}"})
    assert theatre.asked == ["scarcer", "scarce", "scarce", "scarce"]


def test_to_drain_an_account_is_to_go_on_with_it(theatres: TheatreFactory) -> None:
    theatre = theatres(specs=SPECS, codex_strategy="drain")
    theatre.cast(scarce=ANSWER, home=ANSWER)
    for number in range(3):
        theatre.ask(headers={"session_id": f"new-{number}"})
    assert theatre.asked == ["scarce"] * 3

"""Sessions stay with their accounts for twenty minutes after their last use, and no more than so many of them."""

import pytest

from understudy.pool.affinity import LIFETIME, SKEW, Affinity, Binding, Bindings
from understudy.pool.ledger import EMPTY, Figures
from understudy.wire.usage import Usage

NOW = 1_800_000_000.0


def usage(input_tokens: int, cached_tokens: int = 0) -> Usage:
    return Usage(input_tokens, cached_tokens)


def test_a_session_is_found_until_its_time_is_over() -> None:
    affinity = Affinity(lifetime=10)
    affinity.bind("session", "work", now=0)
    assert affinity.account("session", now=10) == "work"
    assert affinity.account("session", now=10.5) is None


def test_binding_again_prolongs_and_moves() -> None:
    affinity = Affinity(lifetime=10)
    affinity.bind("session", "work", now=0)
    affinity.bind("session", "home", now=9)
    assert affinity.account("session", now=15) == "home"


def test_reading_does_not_prolong() -> None:
    affinity = Affinity(lifetime=10)
    affinity.bind("session", "work", now=0)
    affinity.account("session", now=9)
    assert affinity.account("session", now=11) is None


def test_the_owner_of_a_session_is_known_long_after_its_cache_is_cold() -> None:
    affinity = Affinity()
    affinity.bind("session", "work", NOW)
    assert affinity.account("session", NOW + 7 * 86400) is None
    assert affinity.owner("session") == "work"
    assert affinity.owner("another") is None


def test_the_least_recently_used_session_makes_room() -> None:
    affinity = Affinity(capacity=2)
    for now, session in enumerate(["a", "b", "a", "c"]):
        affinity.bind(session, "work", now)
    assert len(affinity) == 2
    assert affinity.account("b", now=4) is None
    assert affinity.account("a", now=4) == "work"


def test_a_new_session_gets_its_room_also_after_the_clock_was_set_back() -> None:
    affinity = Affinity(capacity=2)
    for session, now in (("a", NOW), ("b", NOW + 1), ("c", NOW - 3600)):
        affinity.bind(session, "work", now)
    assert [affinity.owner(session) for session in "abc"] == [None, "work", "work"]


def test_a_request_without_a_session_binds_nothing() -> None:
    affinity = Affinity()
    affinity.bind(None, "work", now=0)
    assert affinity.charge(None, "work", usage(100), now=0) == 0
    assert len(affinity) == 0
    assert (affinity.account(None, now=0), affinity.owner(None), affinity.ledger(None)) == (None, None, EMPTY)


def test_another_generation_unbinds_all_sessions() -> None:
    affinity = Affinity().at(4)
    affinity.bind("session", "work", NOW)
    assert affinity.at(4).account("session", NOW) == "work"
    assert affinity.at(5).account("session", NOW) is None
    assert affinity.owner("session") is None
    assert affinity.at(4).owner("session") is None


def test_what_a_switch_by_the_user_costs_is_known_though_the_binding_is_gone() -> None:
    affinity = Affinity()
    affinity.bind("session", "work", NOW)
    affinity.charge("session", "work", usage(1000), NOW)
    affinity.at(1).bind("session", "home", NOW + 5)
    assert affinity.charge("session", "home", usage(1200), NOW + 6) == 1000


def test_sessions_of_a_forgotten_account_are_nobodys_and_the_others_stay() -> None:
    affinity = Affinity()
    affinity.bind("a", "work", NOW)
    affinity.bind("b", "home", NOW)
    affinity.forget_account("work")
    assert [affinity.account(session, NOW) for session in "ab"] == [None, "home"]
    assert affinity.owner("a") is None


def test_a_charge_goes_to_the_account_that_answered_and_leaves_the_session_with_its_own() -> None:
    affinity = Affinity()
    affinity.bind("session", "work", NOW)
    assert affinity.charge("session", "work", usage(1000, 200), NOW + 1) == 0
    assert affinity.charge("session", "home", usage(1500, 100), NOW + 2) == 900
    ledger = affinity.ledger("session")
    assert ledger.accounts == {"work": Figures(1, 1000, 200), "home": Figures(1, 1500, 100)}
    assert (ledger.moves, ledger.moved_tokens) == (1, 900)
    assert affinity.account("session", NOW + 2) == "work"


def test_the_end_of_a_long_answer_prolongs_the_binding() -> None:
    affinity = Affinity()
    affinity.bind("session", "work", NOW)
    affinity.charge("session", "work", usage(1), NOW + LIFETIME)
    assert affinity.account("session", NOW + 2 * LIFETIME) == "work"


def test_a_charge_to_a_session_that_is_not_bound_does_not_bind_it() -> None:
    affinity = Affinity()
    affinity.charge("session", "work", usage(1), NOW)
    assert affinity.account("session", NOW) is None
    assert affinity.ledger("session").accounts == {"work": Figures(1, 1, 0)}


@pytest.mark.parametrize("back", [SKEW / 2, SKEW + 1, 86400.0])
def test_a_clock_that_is_set_back_leaves_sessions_bound_for_no_longer_than_before(back: float) -> None:
    affinity = Affinity()
    affinity.bind("session", "work", NOW)
    now = NOW - back
    assert affinity.account("session", now) == "work"
    assert affinity.account("session", now + SKEW + LIFETIME + 1) is None


@pytest.mark.parametrize("back", [0.0, SKEW / 2, SKEW + 1, 86400.0])
def test_the_later_binding_counts_for_other_processes_also_when_the_clock_was_set_back(back: float) -> None:
    affinity, other = Affinity(), Affinity()
    affinity.bind("session", "work", NOW)
    other.hear(affinity.told(NOW), NOW)
    now = NOW - back
    affinity.bind("session", "home", now)
    other.hear(affinity.told(now).merged(other.told(now)), now)
    assert other.account("session", now) == "home"


def test_what_others_tell_is_known_at_once() -> None:
    affinity, other = Affinity(), Affinity()
    affinity.bind("session", "work", NOW)
    affinity.charge("session", "work", usage(10), NOW)
    other.hear(affinity.told(NOW), NOW)
    assert other.account("session", NOW + LIFETIME) == "work"
    assert other.ledger("session") == affinity.ledger("session")


def test_what_is_heard_of_another_generation_waits_until_it_is_ours() -> None:
    affinity, other = Affinity().at(7), Affinity()
    affinity.bind("session", "work", NOW)
    other.hear(affinity.told(NOW), NOW)
    assert other.account("session", NOW) is None
    assert other.at(7).account("session", NOW) == "work"
    assert other.at(8).account("session", NOW) is None


def test_what_is_heard_does_not_bring_a_forgotten_account_back_until_it_is_used_again() -> None:
    affinity, other = Affinity(), Affinity()
    affinity.bind("session", "work", NOW)
    before = affinity.told(NOW)
    affinity.forget_account("work")
    affinity.hear(before, NOW)
    assert affinity.owner("session") is None
    other.hear(before, NOW)
    other.bind("session", "work", NOW + 1)
    affinity.hear(other.told(NOW + 1), NOW + 1)
    assert affinity.owner("session") == "work"


def test_a_use_from_a_future_that_will_not_come_does_not_outlast_a_use_of_now() -> None:
    planted = Bindings(0, {"session": Binding("work", NOW + 86400)})
    affinity = Affinity()
    affinity.bind("session", "home", NOW)
    affinity.hear(planted, NOW)
    assert affinity.account("session", NOW) == "home"


@pytest.mark.parametrize(
    ("binding", "news"),
    [
        pytest.param(Binding("work", NOW + 59), False, id="prolonged by less than a minute"),
        pytest.param(Binding("work", NOW + 60), True, id="prolonged by a minute"),
        pytest.param(Binding("work", NOW - 3600), True, id="brought back from the future"),
        pytest.param(Binding("home", NOW + 1), True, id="another account"),
        pytest.param(Binding(None, NOW), True, id="no account any more"),
    ],
)
def test_what_is_worth_a_write(binding: Binding, news: bool) -> None:
    known = Bindings(0, {"session": Binding("work", NOW)})
    told = Bindings(0, {"session": binding})
    assert told.is_news_to(known) is news
    assert told.is_news_to(known, everything=True)


def test_another_generation_is_worth_a_write_only_where_there_is_something_to_know() -> None:
    known = Bindings(0, {"session": Binding("work", NOW)})
    assert Bindings(1).is_news_to(known)
    assert known.is_news_to(Bindings(1))
    assert not Bindings(1).is_news_to(Bindings())


def test_only_what_was_done_here_counts_as_a_change() -> None:
    affinity = Affinity()
    affinity.hear(Bindings(0, {"session": Binding("work", NOW)}), NOW)
    affinity.account("session", NOW)
    assert affinity.changes == 0
    affinity.bind("session", "work", NOW + 1)
    assert affinity.changes == 1

"""Sessions stay with their accounts for twenty minutes after their last use, and no more than so many of them."""

from understudy.pool.affinity import Affinity


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


def test_the_least_recently_used_session_makes_room() -> None:
    affinity = Affinity(capacity=2)
    for now, session in enumerate(["a", "b", "a", "c"]):
        affinity.bind(session, "work", now)
    assert len(affinity) == 2
    assert affinity.account("b", now=4) is None
    assert affinity.account("a", now=4) == "work"


def test_a_request_without_a_session_binds_nothing() -> None:
    affinity = Affinity()
    affinity.bind(None, "work", now=0)
    assert len(affinity) == 0
    assert affinity.account(None, now=0) is None

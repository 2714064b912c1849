"""A request waits for the end of a limit, where that is soon, helps, and spares the user something."""

import pytest

from support.logins import NOW, account
from understudy.pool.choose import Choice, Exhausted
from understudy.pool.obstacles import Obstacle, Why
from understudy.pool.strategies import By
from understudy.pool.waiting import worth_waiting


def limited(label: str, seconds: float | None, why: Why = Why.LIMIT) -> Obstacle:
    return Obstacle(label, why, "usage limit", None if seconds is None else NOW + seconds)


def test_it_waits_for_the_first_of_the_limits_as_long_as_it_may() -> None:
    found = Exhausted((limited("work", 90), limited("home", 30), Obstacle("spare", Why.DISABLED, "disabled")))
    assert worth_waiting(found, NOW, 30) == NOW + 30
    assert worth_waiting(found, NOW, 29) is None
    assert worth_waiting(found, NOW, 0) is None


@pytest.mark.parametrize(
    "met",
    [
        limited("work", None),
        limited("work", 5, Why.BREAKER),
        limited("work", 5, Why.UNENTITLED),
        limited("work", 5, Why.NEEDS_LOGIN),
    ],
    ids=["nobody knows when it ends", "it fails", "it lacks the model", "it needs a login"],
)
def test_it_does_not_wait_for_what_no_reset_ends(met: Obstacle) -> None:
    assert worth_waiting(Exhausted((met,)), NOW, 60) is None


def test_it_does_not_wait_where_somebody_may_serve_by_the_next_request() -> None:
    assert worth_waiting(Exhausted((limited("work", 5), limited("home", 5, Why.COOLING))), NOW, 60) is None


@pytest.mark.parametrize("by", By)
def test_it_waits_rather_than_cost_something_or_fail(by: By) -> None:
    ends = worth_waiting(Choice(account("work"), by, (limited("work", 5),)), NOW, 60)
    assert ends == (NOW + 5 if by in (By.EARLY, By.OVERFLOW) else None)

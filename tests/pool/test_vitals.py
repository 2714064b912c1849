"""An account's health and its bucket fall with trouble, come back with time, and stay within their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logins import NOW
from understudy.pool.vitals import FRESH, Vitals

HOUR = 3600


def test_an_account_that_has_done_nothing_is_at_its_best() -> None:
    assert FRESH.present(NOW) == Vitals(100, 50, NOW)


@pytest.mark.parametrize(
    ("seconds", "health", "bucket"),
    [(0, 40, 10), (60, 40 + 1 / 30, 16), (HOUR, 42, 50), (100 * HOUR, 100, 50)],
)
def test_two_points_an_hour_and_six_tokens_a_minute_come_back(seconds: float, health: float, bucket: float) -> None:
    vitals = Vitals(40, 10, NOW).present(NOW + seconds)
    assert vitals.health == pytest.approx(health) and vitals.bucket == pytest.approx(bucket)


def test_trouble_takes_from_what_has_come_back_meanwhile() -> None:
    assert Vitals(40, 10, NOW).after(NOW + HOUR, health=-10, tokens=-10) == Vitals(32, 40, NOW + HOUR)


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    vitals = Vitals(40, 10, NOW).present(NOW - HOUR)
    assert (vitals.health, vitals.bucket) == (40, 10)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-500, 500), st.floats(-500, 500))))
def test_whatever_happens_they_stay_within_their_bounds(history: list[tuple[float, float, float]]) -> None:
    vitals, now = FRESH, NOW
    for passed, health, tokens in history:
        now += passed
        vitals = vitals.after(now, health=health, tokens=tokens)
        assert 0 <= vitals.health <= 100 and 0 <= vitals.bucket <= 50

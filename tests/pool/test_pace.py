"""How fast a window fills, from what was noted of it."""

import pytest

from understudy.pool.pace import EVERY, LONGEST, History, Point, noted, per_hour
from understudy.wire.quota import Snapshot, Source, Window, from_usage_limit

NOW = 1_800_000_000.0
MINUTE = 60.0


def points(*pairs: tuple[float, float]) -> tuple[Point, ...]:
    """Minutes ago, percent used."""
    return tuple(Point(NOW - ago * MINUTE, used) for ago, used in pairs)


def seen(used: float, at: float) -> Snapshot:
    return Snapshot("plus", (Window("5h", "codex", used, 300, None),), None, at, Source.HEADERS)


def test_the_pace_is_what_was_used_in_the_last_hour() -> None:
    assert per_hour(points((60, 10), (30, 20), (0, 40)), NOW) == pytest.approx(30)


def test_what_is_older_than_an_hour_does_not_count() -> None:
    assert per_hour(points((300, 0), (60, 50), (0, 60)), NOW) == pytest.approx(10)


def test_a_reset_takes_nothing_away() -> None:
    assert per_hour(points((60, 90), (40, 98), (20, 0), (0, 12)), NOW) == pytest.approx(20)


def test_where_the_use_began_within_the_hour_the_pace_is_that_since() -> None:
    assert per_hour(points((30, 10), (0, 20)), NOW) == pytest.approx(20)


def test_a_few_minutes_are_not_taken_for_an_hour() -> None:
    assert per_hour(points((1, 10), (0, 12)), NOW) == pytest.approx(8)


def test_an_account_that_rests_has_no_pace() -> None:
    assert per_hour(points((300, 10), (200, 90)), NOW) == 0.0


def test_of_what_nothing_is_known_there_is_no_pace_either() -> None:
    assert per_hour((), NOW) is None


def test_a_clock_that_was_set_back_does_not_make_points_of_the_future_count() -> None:
    assert per_hour((Point(NOW - 600, 10), Point(NOW + 99, 90)), NOW) == 0.0


def test_a_point_is_noted_for_each_window_and_five_minutes() -> None:
    history: History = {}
    for step in range(10):
        history = noted(history, seen(step, NOW + step * 60))
    assert history == {("codex", "5h"): (Point(NOW, 0), Point(NOW + 300, 5))}


def test_where_nothing_is_due_the_history_is_the_same_value() -> None:
    history = noted({}, seen(1, NOW))
    assert noted(history, seen(2, NOW + EVERY - 1)) is history
    assert noted(history, seen(2, NOW - EVERY)) is history


def test_what_is_older_than_two_hours_goes() -> None:
    history = noted(noted({}, seen(1, NOW)), seen(2, NOW + LONGEST))
    assert history == {("codex", "5h"): (Point(NOW + LONGEST, 2),)}


def test_a_refusal_without_a_window_is_not_noted() -> None:
    limit = from_usage_limit({"type": "usage_limit_reached"}, NOW)
    assert limit is not None
    assert noted({}, limit) == {}

"""Little left is told once for each threshold, and not again before it has been more."""

import pytest

from understudy.pool.thresholds import crossings
from understudy.wire.quota import Snapshot, Source, Window, from_usage_limit, merge

NOW = 1_800_000_000.0


def seen(
    left: float, name: str = "5h", limit: str = "codex", at: float = NOW, resets_in: float | None = 3600
) -> Snapshot:
    resets_at = None if resets_in is None else at + resets_in
    return Snapshot("plus", (Window(name, limit, 100.0 - left, 300, resets_at),), None, at, Source.HEADERS)


def codes(before: Snapshot | None, after: Snapshot) -> list[str]:
    return [crossing.code for crossing in crossings(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (26, 25, "quota_5h_remaining_below_25pct"),
        (25, 20, "quota_5h_remaining_below_20pct"),
        (20, 9.5, "quota_5h_remaining_below_10pct"),
        (10, 5, "quota_5h_remaining_below_5pct"),
        (5, 2.5, "quota_5h_remaining_below_2.5pct"),
        (2.5, 0, "quota_limit_exhausted_5h"),
    ],
)
def test_each_threshold_is_told_as_the_window_falls_to_it(before: float, after: float, code: str) -> None:
    assert codes(seen(before), seen(after)) == [code]


def test_of_several_that_are_crossed_at_once_the_lowest_is_told() -> None:
    assert codes(seen(90), seen(4)) == ["quota_5h_remaining_below_5pct"]


@pytest.mark.parametrize(("before", "after"), [(25, 24), (24, 21), (60, 26), (9, 12), (0, 0), (0, 3)])
def test_between_two_thresholds_and_upwards_nothing_is_told(before: float, after: float) -> None:
    assert codes(seen(before), seen(after)) == []


def test_at_first_sight_only_what_is_about_to_end_is_told() -> None:
    assert codes(None, seen(11)) == []
    assert codes(None, seen(10)) == ["quota_5h_remaining_below_10pct"]
    assert codes(seen(50, "weekly"), seen(3)) == ["quota_5h_remaining_below_5pct"]


def test_after_a_reset_all_thresholds_may_be_told_anew() -> None:
    assert codes(seen(3), seen(100)) == []
    assert codes(seen(100), seen(3)) == ["quota_5h_remaining_below_5pct"]


def test_a_reset_that_nobody_saw_counts_too() -> None:
    assert codes(seen(3, resets_in=60), seen(3, at=NOW + 120)) == ["quota_5h_remaining_below_5pct"]


def test_what_was_seen_of_a_window_before_its_reset_is_no_news_after_it() -> None:
    old = seen(3, "weekly", resets_in=60)
    after = merge(old, seen(50, "5h", "codex_other", at=NOW + 120))
    assert {w.name for w in after.windows} == {"weekly", "5h"}
    assert codes(old, after) == []


def test_each_window_has_its_own_thresholds() -> None:
    before = merge(seen(30, "5h"), seen(30, "5h", "codex_other"))
    after = merge(seen(30, "5h"), seen(0, "5h", "codex_other"))
    assert codes(before, after) == ["quota_limit_exhausted_codex_other_5h"]
    assert codes(seen(30, "weekly"), seen(0, "weekly")) == ["quota_limit_exhausted_weekly"]


def test_a_refusal_that_does_not_say_which_window_it_means_is_not_told_here() -> None:
    limit = from_usage_limit({"type": "usage_limit_reached", "resets_in_seconds": 60}, NOW)
    assert limit is not None
    assert codes(None, limit) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (seen(10), "work: 10 % of its 5h limit left, resets "),
        (seen(8.74), "work: 8.74 % of its 5h limit left, resets "),
        (seen(0, "weekly"), "work: its weekly limit is used up, resets "),
        (seen(2, "5h", "codex_other"), "work: 2 % of its 5h limit of codex_other left, resets "),
    ],
)
def test_the_words_say_how_much_is_left_and_when_it_resets(after: Snapshot, words: str) -> None:
    [crossing] = crossings(None, after)
    said = crossing.words("work", NOW)
    assert said.startswith(words) and said[len(words) :].count(":") == 1


def test_a_reset_that_is_not_known_is_left_out() -> None:
    [crossing] = crossings(None, seen(0, resets_in=None))
    assert crossing.words("work", NOW) == "work: its 5h limit is used up"

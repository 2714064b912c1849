"""A tally is told in a line, and what was done since an earlier one is their difference."""

import pytest

from understudy.pool.tally import Tally


@pytest.mark.parametrize(
    ("tally", "line"),
    [
        (Tally(), "0 requests"),
        (Tally(1, 0, 0, {"work": 1}), "1 request, answered by work (1)"),
        (Tally(12, 0, 2, {"home": 2, "work": 10}), "12 requests, answered by work (10), home (2), 2 replays"),
        (Tally(2, 2, 1), "2 requests, 1 replay, 2 failed"),
        (Tally(2, 0, 0, {"b": 1, "a": 1}), "2 requests, answered by a (1), b (1)"),
        (
            Tally(1, accounts={"a": 1}, passed=2),
            "1 request, answered by a (1), 2 let through under the program's own key",
        ),
        (Tally(passed=1), "1 let through under the program's own key"),
    ],
    ids=str,
)
def test_it_says_only_what_there_is(tally: Tally, line: str) -> None:
    assert str(tally) == line


def test_what_has_been_done_since_leaves_out_who_has_done_nothing() -> None:
    earlier = Tally(5, 1, 2, {"work": 3, "home": 1})
    now = Tally(9, 1, 3, {"work": 3, "home": 4, "third": 1})
    assert now - earlier == Tally(4, 0, 1, {"home": 3, "third": 1})
    assert now - now == Tally()
    assert Tally(passed=3) - Tally(passed=1) == Tally(passed=2)

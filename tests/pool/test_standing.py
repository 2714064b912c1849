"""How much is left to an account, as far as anybody can tell: figures of a window that was reset since are void."""

import pytest

from support.logins import NOW, account
from understudy.pool.standing import Standing
from understudy.wire.quota import MAIN_LIMIT, Credits, Snapshot, Source, Window

HOUR = 3600.0


def standing(*windows: Window, credits: Credits | None = None) -> Standing:
    return Standing(account(), Snapshot("plus", windows, credits, NOW, Source.HEADERS))


def window(used: float, resets_at: float | None, name: str = "5h", limit_id: str = MAIN_LIMIT) -> Window:
    return Window(name, limit_id, used, 300, resets_at)


def test_an_account_that_nothing_is_known_of_is_full() -> None:
    assert Standing(account()).left(NOW) == standing().left(NOW) == 100


def test_of_several_windows_the_fullest_counts() -> None:
    assert standing(window(40, NOW + HOUR), window(70, NOW + 99 * HOUR, "weekly")).left(NOW) == 30


def test_a_window_that_has_been_reset_is_full_again_and_leaves_the_others_as_they_are() -> None:
    both = standing(window(90, NOW + HOUR), window(70, NOW + 99 * HOUR, "weekly"))
    assert [both.left(NOW + HOUR + seconds) for seconds in (-1, 0)] == [10, 30]
    assert [seen.name for seen in both.windows(NOW + HOUR)] == ["weekly"]
    assert both.left(NOW + 99 * HOUR) == 100


def test_a_figure_that_does_not_say_when_it_ends_counts_for_two_hours() -> None:
    vague = standing(window(90, None))
    assert [vague.left(NOW + 2 * HOUR + seconds) for seconds in (-1, 0)] == [10, 100]


def test_what_counts_against_another_limit_does_not_count() -> None:
    assert standing(window(90, NOW + HOUR, limit_id="spark")).left(NOW) == 100


@pytest.mark.parametrize("credits", [Credits(True, False, "5"), Credits(False, True, "")])
def test_credits_carry_on_past_the_limit(credits: Credits) -> None:
    bought = standing(window(100, NOW + HOUR), credits=credits)
    assert bought.left(NOW) == 100
    assert len(bought.windows(NOW)) == 1


def test_credits_that_are_used_up_do_not() -> None:
    assert standing(window(90, NOW + HOUR), credits=Credits(False, False, "0")).left(NOW) == 10

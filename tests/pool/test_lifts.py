"""A block ends early by an answer, by figures that have fallen, or by the user, and by nothing older than itself."""

from dataclasses import replace

import pytest

from support.logins import NOW, account
from understudy.pool import lifts
from understudy.pool.account import Account, Block, Ground
from understudy.wire.quota import LIMIT_WINDOW, MAIN_LIMIT, Credits, Snapshot, Source, Window


def block(ground: Ground = Ground.LIMIT, model: str = "", limit_id: str = "") -> Block:
    return Block(NOW + 9000, "any", authoritative=True, ground=ground, model=model, limit_id=limit_id, since=NOW)


def blocked(*blocks: Block) -> Account:
    return replace(account(), blocks=blocks)


def figures(*used: float, limit_id: str = MAIN_LIMIT, credits: Credits | None = None) -> Snapshot:
    """The use of the five hours, and of the week."""
    windows = (Window(name, limit_id, u, None, NOW + 600) for name, u in zip(("5h", "weekly"), used, strict=False))
    return Snapshot("plus", tuple(windows), credits, NOW + 1, Source.USAGE)


class TestBySuccess:
    @pytest.mark.parametrize("ground", Ground)
    def test_an_answer_proves_that_nothing_keeps_the_account_from_giving_one(self, ground: Ground) -> None:
        assert lifts.by_success(blocked(block(ground), block(ground, "big")), "big", NOW).blocks == ()

    def test_it_proves_nothing_for_another_model(self) -> None:
        other = block(Ground.ENTITLEMENT, "small")
        assert lifts.by_success(blocked(block(), other), "big", NOW).blocks == (other,)

    def test_a_block_that_began_while_the_answer_was_on_its_way_knows_more(self) -> None:
        assert lifts.by_success(blocked(block()), "big", NOW - 1) == blocked(block())

    def test_where_nothing_is_blocked_the_account_is_the_same(self) -> None:
        free = account()
        assert lifts.by_success(free, "big", NOW) is free


class TestByFigures:
    @pytest.mark.parametrize(
        ("before", "now", "is_over"),
        [
            pytest.param(figures(100, 60), figures(0, 61), True, id="the full window was reset"),
            pytest.param(figures(100, 100), figures(0, 100), False, id="one of two was reset"),
            pytest.param(figures(100, 60), figures(100, 60), False, id="still full"),
            pytest.param(figures(40, 60), figures(40, 60), False, id="half empty as before: it is another limit"),
            pytest.param(figures(40, 60), figures(41, 60), False, id="fuller"),
            pytest.param(figures(40, 60), figures(), False, id="nothing is seen"),
            pytest.param(None, figures(40, 60), True, id="nothing was known"),
            pytest.param(figures(100, 60), figures(99, limit_id="spark"), False, id="those of another limit"),
            pytest.param(figures(), figures(40), True, id="no window of the same name was known"),
            pytest.param(figures(40), figures(100, credits=Credits(True, False, "5")), True, id="credits carry on"),
        ],
    )
    def test_a_limit_is_over_whose_windows_have_fallen(
        self, before: Snapshot | None, now: Snapshot, is_over: bool
    ) -> None:
        lifted = lifts.by_figures(blocked(block()), before, now, NOW)
        assert lifted.blocks == (() if is_over else (block(),))

    def test_what_a_429_made_us_believe_is_no_figure_to_compare_with(self) -> None:
        """It met a limit that no window shows, so the windows are half empty before and after it."""
        assumed = Window(LIMIT_WINDOW, MAIN_LIMIT, 100.0, None, NOW + 9000)
        before = replace(figures(40, 60), windows=(assumed, *figures(40, 60).windows))
        assert lifts.by_figures(blocked(block()), before, figures(40, 60), NOW).blocks == (block(),)

    def test_figures_that_were_asked_for_before_the_limit_was_met_say_nothing_of_it(self) -> None:
        assert lifts.by_figures(blocked(block()), figures(100), figures(0), NOW - 1) == blocked(block())

    def test_a_full_window_whose_reset_is_past_keeps_no_block(self) -> None:
        for reset, is_over in ((NOW + 1, True), (NOW + 2, False)):  # the figures are of NOW + 1
            weekly = Window("weekly", MAIN_LIMIT, 100.0, None, reset)
            now = replace(figures(60), windows=(*figures(60).windows, weekly))
            assert (lifts.by_figures(blocked(block()), figures(100), now, NOW).blocks == ()) is is_over

    @pytest.mark.parametrize("ground", [ground for ground in Ground if ground is not Ground.LIMIT])
    def test_they_say_nothing_of_other_trouble(self, ground: Ground) -> None:
        assert lifts.by_figures(blocked(block(ground)), figures(100), figures(0), NOW).blocks == (block(ground),)

    def test_each_limit_is_judged_by_its_own(self) -> None:
        spark = block(model="small", limit_id="spark")
        assert lifts.by_figures(blocked(block(), spark), figures(100), figures(0), NOW).blocks == (spark,)
        fallen = figures(0, limit_id="spark")
        lifted = lifts.by_figures(blocked(block(), spark), figures(100, limit_id="spark"), fallen, NOW)
        assert lifted.blocks == (block(),)


def test_the_user_lifts_everything() -> None:
    assert lifts.by_user(blocked(*map(block, Ground), block(model="big"))).blocks == ()

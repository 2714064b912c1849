"""Who is usable when, if the work goes on as it did."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from understudy.pool.account import Block, Ground, Health, Lane
from understudy.pool.forecast import Leg, Outlook, Ready, Risk, Runner, Tank, forecast
from understudy.wire.quota import Credits, Snapshot, Source, Window

NOW = 1_800_000_000.0
HOUR = 3600.0
FIVE_HOURS = 5 * HOUR


def five(used: float, resets_in: float | None = 4 * HOUR) -> Window:
    return Window("5h", "codex", used, 300, None if resets_in is None else NOW + resets_in)


def week(used: float, resets_in: float = 100 * HOUR) -> Window:
    return Window("weekly", "codex", used, 10080, NOW + resets_in)


def runner(label: str, *windows: Window, paces: Mapping[str, float] | None = None) -> Runner:
    snapshot = Snapshot("plus", windows, None, NOW, Source.HEADERS) if windows else None
    return Runner(label, snapshot=snapshot, paces=paces or {})


def only(one: Runner) -> Outlook:
    [outlook] = forecast([one], NOW).outlooks
    return outlook


def blocked(one: Runner, hours: float, ground: Ground = Ground.LIMIT, model: str = "") -> Runner:
    return replace(one, blocks=(Block(NOW + hours * HOUR, "usage limit", True, ground=ground, model=model),))


def test_an_account_lasts_until_the_first_of_its_windows_is_used_up() -> None:
    found = only(runner("work", five(40), week(90), paces={"5h": 30, "weekly": 2}))
    assert (found.ready, found.usable_from, found.reason) == (Ready.READY, NOW, "")
    assert (found.lasts_until, found.ends_by, found.back_at) == (NOW + 2 * HOUR, "5h", NOW + 4 * HOUR)


def test_a_window_that_resets_first_ends_nothing() -> None:
    found = only(runner("work", five(40, resets_in=HOUR), paces={"5h": 19}))
    assert (found.lasts_until, found.ends_by, found.back_at) == (None, "", None)


def test_a_window_that_resets_first_may_end_it_the_next_time() -> None:
    found = only(runner("work", five(40, resets_in=HOUR), paces={"5h": 50}))
    assert (found.lasts_until, found.back_at) == (NOW + 3 * HOUR, NOW + HOUR + FIVE_HOURS)


def test_where_no_reset_is_named_it_comes_a_whole_window_after_it_was_seen() -> None:
    assert only(runner("work", five(50, resets_in=None), paces={"5h": 50})).back_at == NOW + FIVE_HOURS


def test_what_the_user_keeps_is_not_there_to_last() -> None:
    found = only(replace(runner("work", five(40), paces={"5h": 30}), reserve_percent=30))
    assert found.lasts_until == NOW + HOUR
    spent = only(replace(runner("work", five(70), paces={"5h": 30}), reserve_percent=30))
    assert (spent.ready, spent.usable_from) == (Ready.DELAYED, NOW + 4 * HOUR)
    assert spent.reason == "5h limit used up but the last 30 %"


def test_a_full_window_keeps_from_serving_until_its_reset_and_the_last_of_two_counts() -> None:
    found = only(runner("work", five(100), week(100)))
    assert (found.ready, found.usable_from, found.reason) == (
        Ready.DELAYED,
        NOW + 100 * HOUR,
        "weekly limit used up",
    )


def test_a_full_window_that_has_been_reset_since_keeps_from_nothing() -> None:
    assert only(runner("work", five(100, resets_in=-1))).ready is Ready.READY


def test_a_full_window_of_which_nothing_says_when_it_ends_is_waited_for_without_an_end() -> None:
    found = only(runner("work", Window("primary", "codex", 100, None, None)))
    assert (found.ready, found.usable_from) == (Ready.UNAVAILABLE, None)
    assert found.reason == "primary limit used up, and nothing says until when"


def test_credits_carry_an_account_past_its_windows() -> None:
    one = runner("work", five(100), paces={"5h": 30})
    assert one.snapshot is not None
    rich = replace(one, snapshot=replace(one.snapshot, credits=Credits(True, False, "5")))
    assert (only(rich).ready, only(rich).lasts_until) == (Ready.READY, None)


def test_credits_do_not_buy_what_the_user_keeps() -> None:
    one = replace(runner("work", five(75), paces={"5h": 30}), reserve_percent=10)
    assert one.snapshot is not None
    rich = replace(one, snapshot=replace(one.snapshot, credits=Credits(True, False, "5")))
    assert (only(rich).ready, only(rich).lasts_until) == (Ready.READY, NOW + HOUR / 2)


def test_who_keeps_all_of_an_account_gives_none_of_it_whatever_is_known() -> None:
    for one in (runner("work"), runner("work", five(0)), runner("work", five(0, resets_in=-1))):
        found = only(replace(one, reserve_percent=100))
        assert (found.ready, found.usable_from, found.reason) == (Ready.UNAVAILABLE, None, "all of it is reserved")


def test_another_limit_than_the_main_one_ends_nothing() -> None:
    other = Window("5h", "codex_other", 100, 300, NOW + HOUR)
    assert only(runner("work", other, paces={"5h": 30})).ready is Ready.READY


def test_a_block_is_waited_for() -> None:
    found = only(blocked(runner("work", five(10)), 2))
    assert (found.ready, found.usable_from, found.reason) == (Ready.DELAYED, NOW + 2 * HOUR, "usage limit")


@pytest.mark.parametrize("ground", [Ground.COOLING, Ground.BREAKER])
def test_a_failure_of_late_makes_a_risk_and_no_delay(ground: Ground) -> None:
    found = only(blocked(runner("work", five(10)), 0.1, ground))
    assert (found.ready, found.risk) == (Ready.READY, Risk.MEDIUM)


def test_a_block_of_one_model_delays_nothing() -> None:
    assert only(blocked(runner("work", five(10)), 2, model="gpt-5")).ready is Ready.READY


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (Runner("work", enabled=False), "disabled"),
        (Runner("work", health=Health.NEEDS_LOGIN, health_reason="login revoked"), "needs login (login revoked)"),
        (Runner("work", lane=Lane.PLATFORM), "costs money, so it comes last, and only where codex_overflow is on"),
    ],
)
def test_what_only_the_user_can_change_has_no_end(one: Runner, reason: str) -> None:
    found = only(one)
    assert (found.ready, found.usable_from, found.reason) == (Ready.UNAVAILABLE, None, reason)


@pytest.mark.parametrize(
    ("used", "risk"), [(0, Risk.LOW), (89, Risk.LOW), (90, Risk.MEDIUM), (97, Risk.MEDIUM), (98, Risk.HIGH)]
)
def test_the_fuller_the_riskier(used: float, risk: Risk) -> None:
    assert only(runner("work", five(used))).risk is risk


def test_to_end_within_half_an_hour_is_a_risk() -> None:
    assert only(runner("work", five(80), paces={"5h": 50})).risk is Risk.MEDIUM
    assert only(runner("work", five(70), paces={"5h": 50})).risk is Risk.LOW


def test_an_account_that_cannot_serve_now_is_a_high_risk() -> None:
    assert only(Runner("work", enabled=False)).risk is Risk.HIGH


def test_ready_ones_come_first_then_the_soonest() -> None:
    pool = [
        Runner("off", enabled=False),
        blocked(Runner("late"), 3),
        blocked(Runner("soon"), 1),
        runner("full", five(95)),
        runner("free", five(5)),
    ]
    assert [o.runner.label for o in forecast(pool, NOW).outlooks] == ["free", "full", "soon", "late", "off"]


def legs(*pool: Runner) -> list[tuple[str | None, float, float | None]]:
    """Who has the work, in hours from now."""
    return [
        (leg.label, (leg.since - NOW) / HOUR, None if leg.until is None else (leg.until - NOW) / HOUR)
        for leg in forecast(pool, NOW).legs
    ]


def test_the_work_goes_from_one_to_the_next_at_the_pace_of_the_pool() -> None:
    work = runner("work", five(70, resets_in=3 * HOUR), paces={"5h": 20})
    home = runner("home", five(0, resets_in=10 * HOUR), paces={"5h": 10})
    assert legs(work, home)[:2] == [("work", 0, 1), ("home", 1, pytest.approx(1 + 100 / 30))]


def test_the_work_stays_where_it_is_and_then_goes_by_the_order() -> None:
    first = runner("first", five(50))
    second = replace(runner("second", five(50), paces={"5h": 50}), last_used_at=NOW - 5)
    assert [label for label, _, _ in legs(first, second)[:2]] == ["second", "first"]


def test_where_all_are_used_up_there_is_a_gap_until_the_first_is_back() -> None:
    work = runner("work", five(50, resets_in=3 * HOUR), paces={"5h": 50})
    home = runner("home", five(50, resets_in=4 * HOUR))
    assert legs(work, home)[:4] == [("work", 0, 1), ("home", 1, 2), (None, 2, 3), ("work", 3, 5)]


def test_an_account_is_not_back_before_the_last_of_its_windows() -> None:
    work = runner("work", five(90, resets_in=HOUR), week(99, resets_in=9 * HOUR), paces={"5h": 20, "weekly": 2})
    assert legs(work)[:2] == [("work", 0, 0.5), (None, 0.5, 9)]


def test_an_account_without_figures_has_the_work_as_far_as_one_can_see() -> None:
    work = runner("work", five(50), paces={"5h": 50})
    assert legs(work, Runner("new")) == [("work", 0, 1), ("new", 1, None)]


def test_where_nobody_can_serve_nobody_has_it() -> None:
    assert legs(Runner("off", enabled=False)) == [(None, 0, None)]
    assert legs() == [(None, 0, None)]


def test_it_begins_with_a_gap_where_all_are_blocked() -> None:
    assert legs(blocked(Runner("work"), 2)) == [(None, 0, 2), ("work", 2, None)]


def test_a_paid_lane_takes_no_part() -> None:
    assert legs(Runner("key", lane=Lane.PLATFORM)) == [(None, 0, None)]


def test_the_legs_are_few() -> None:
    pool = [runner(name, five(0, resets_in=HOUR), paces={"5h": 500}) for name in ("a", "b", "c")]
    found = forecast(pool, NOW).legs
    assert len(found) == 6
    assert all(isinstance(leg, Leg) and leg.until is not None and leg.until > leg.since for leg in found)


def test_a_window_drained_over_resets_has_lost_what_was_taken_since_the_last() -> None:
    tank = Tank("5h", 60, 100, NOW + HOUR, FIVE_HOURS)
    assert tank.drained(10, NOW, NOW + HOUR / 2).left == pytest.approx(55)
    assert tank.drained(10, NOW, NOW + 2 * HOUR).left == pytest.approx(90)
    later = tank.drained(10, NOW, NOW + 8 * HOUR)
    assert later.left == pytest.approx(80)
    assert later.resets_at == NOW + 11 * HOUR
    assert replace(tank, length=None).drained(10, NOW, NOW + 2 * HOUR).left == pytest.approx(90)

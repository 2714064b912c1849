"""What keeps an account from serving, and in which order it counts."""

from dataclasses import replace

import pytest

from support.logins import NOW, account
from understudy.pool.account import Account, Block, Ground, Health
from understudy.pool.health import tried
from understudy.pool.obstacles import (
    TRY_AFTER,
    Cause,
    Obstacle,
    Why,
    early_try,
    standing_obstacle,
)
from understudy.pool.standing import Standing
from understudy.wire.quota import MAIN_LIMIT, Credits, Snapshot, Source, Window
from understudy.wire.text import clock_time

HOUR = 3600.0
ADA = account()


def block(ground: Ground, seconds: float = HOUR, *, since: float = NOW, model: str = "") -> Block:
    limit = ground is Ground.LIMIT
    return Block(NOW + seconds, ground.value, authoritative=limit, ground=ground, since=since, model=model)


def blocked(*blocks: Block) -> Account:
    return replace(ADA, blocks=blocks)


def met(of: Account, snapshot: Snapshot | None = None, *, model: str = "big", now: float = NOW) -> Obstacle | None:
    return standing_obstacle(Standing(of, snapshot), model, now)


def why(of: Account, snapshot: Snapshot | None = None, *, model: str = "big", now: float = NOW) -> Why | None:
    found = met(of, snapshot, model=model, now=now)
    return None if found is None else found.why


def used(*windows: tuple[float, float | None], credits: Credits | None = None) -> Snapshot:
    """Windows by what is used of them, in percent, and when they reset, in seconds from now."""
    seen = (
        Window(f"w{n}", MAIN_LIMIT, percent, 300, None if resets is None else NOW + resets)
        for n, (percent, resets) in enumerate(windows)
    )
    return Snapshot("plus", tuple(seen), credits, NOW, Source.HEADERS)


class TestWhatStandsInTheWay:
    def test_nothing_does_of_a_fresh_login(self) -> None:
        assert met(ADA) is None

    def test_what_only_the_user_can_change_comes_first(self) -> None:
        dead = replace(blocked(block(Ground.LIMIT)), health=Health.NEEDS_LOGIN, health_reason="ended")
        assert met(dead) == Obstacle("ada", Why.NEEDS_LOGIN, "needs login (ended)")
        assert met(replace(dead, enabled=False)) == Obstacle("ada", Why.DISABLED, "disabled")

    @pytest.mark.parametrize(
        ("ground", "expected", "cause"),
        [
            (Ground.LIMIT, Why.LIMIT, Cause.LIMIT),
            (Ground.ENTITLEMENT, Why.UNENTITLED, Cause.UNENTITLED),
            (Ground.LOGIN, Why.LOGIN, Cause.TROUBLE),
            (Ground.COOLING, Why.COOLING, Cause.TROUBLE),
            (Ground.BREAKER, Why.BREAKER, Cause.TROUBLE),
        ],
    )
    def test_each_ground_is_an_obstacle_until_the_block_ends(self, ground: Ground, expected: Why, cause: Cause) -> None:
        found = met(blocked(block(ground, HOUR)), now=NOW + HOUR - 1)
        assert found is not None and (found.why, found.cause, found.until) == (expected, cause, NOW + HOUR)
        assert met(blocked(block(ground, HOUR)), now=NOW + HOUR) is None

    @pytest.mark.parametrize("ground", Ground)
    def test_a_clock_that_was_set_back_makes_no_short_block_long(self, ground: Ground) -> None:
        limit = ground is Ground.LIMIT
        for ahead, holds in ((60, True), (61, limit), (24 * HOUR, limit)):
            assert (met(blocked(block(ground, 25 * HOUR, since=NOW + ahead))) is not None) is holds

    def test_the_hardest_counts_and_of_several_like_it_the_longest(self) -> None:
        soft = (block(Ground.COOLING, 9 * HOUR), block(Ground.BREAKER, 8 * HOUR))
        assert why(blocked(*soft)) is Why.BREAKER
        limits = (block(Ground.LIMIT, HOUR), block(Ground.LIMIT, 2 * HOUR, model="big"))
        found = met(blocked(*soft, *limits))
        assert found is not None and (found.why, found.until) == (Why.LIMIT, NOW + 2 * HOUR)
        assert why(blocked(*soft, *limits, block(Ground.ENTITLEMENT, 1, model="big"))) is Why.UNENTITLED
        assert why(blocked(*soft, *limits, block(Ground.LOGIN, 1))) is Why.LOGIN

    def test_a_model_s_block_is_in_no_other_model_s_way(self) -> None:
        assert why(blocked(block(Ground.LIMIT, model="big")), model="big") is Why.LIMIT
        assert why(blocked(block(Ground.LIMIT, model="big")), model="small") is None

    def test_a_reset_is_told_only_of_a_limit_and_only_where_the_backend_named_it(self) -> None:
        limit, login = met(blocked(block(Ground.LIMIT))), met(blocked(block(Ground.LOGIN)))
        guess = met(blocked(replace(block(Ground.LIMIT), authoritative=False)))
        assert limit and login and guess
        assert [o.resets_at for o in (limit, login, guess)] == [NOW + HOUR, None, None]
        assert limit.words(NOW) == f"limit until {clock_time(NOW + HOUR, NOW)}"

    def test_every_reason_has_a_cause(self) -> None:
        assert {Obstacle("ada", each, "").cause for each in Why} == set(Cause)


class TestAnEarlyTry:
    def early(self, *blocks: Block, now: float = NOW, model: str = "big", snapshot: Snapshot | None = None) -> bool:
        of = replace(blocked(*blocks), reserve_percent=10)
        found = met(of, snapshot, now=now, model=model)
        return found is not None and found.early

    def test_a_limit_may_be_tried_past_its_half(self) -> None:
        limit = block(Ground.LIMIT, HOUR)
        assert [self.early(limit, now=NOW + seconds) for seconds in (HOUR / 2 - 1, HOUR / 2)] == [False, True]

    def test_of_several_limits_each_has_to_be_past_its_half(self) -> None:
        long, short = block(Ground.LIMIT, HOUR, since=NOW - 2 * HOUR), block(Ground.LIMIT, HOUR / 2, model="big")
        assert self.early(long)
        assert not self.early(long, short)
        assert self.early(long, short, model="small")

    @pytest.mark.parametrize("ground", [ground for ground in Ground if ground is not Ground.LIMIT])
    def test_nothing_but_a_limit_may(self, ground: Ground) -> None:
        assert not self.early(block(ground, since=NOW - 99 * HOUR))

    @pytest.mark.parametrize("ground", [Ground.LOGIN, Ground.ENTITLEMENT])
    def test_nor_a_limit_beside_what_is_harder(self, ground: Ground) -> None:
        assert not self.early(block(Ground.LIMIT, since=NOW - 99 * HOUR), block(ground))

    def test_it_does_not_give_away_what_the_user_has_reserved(self) -> None:
        limit = block(Ground.LIMIT, since=NOW - 99 * HOUR)
        assert self.early(limit, snapshot=used((89, HOUR)))
        assert not self.early(limit, snapshot=used((90, HOUR)))

    def test_one_goes_out_in_a_quarter_of_an_hour_whichever_model_it_is_for(self) -> None:
        limits = (block(Ground.LIMIT, 9 * HOUR, since=NOW - 9 * HOUR), block(Ground.LIMIT, 9 * HOUR, model="small"))
        once = early_try(blocked(*limits), NOW)
        assert once is not None
        for seconds, may in ((0, False), (TRY_AFTER - 1, False), (TRY_AFTER, True)):
            assert (early_try(once, NOW + seconds) is not None) is may
            assert self.early(*once.blocks, now=NOW + seconds) is may

    def test_one_of_a_clock_that_was_set_back_since_is_forgotten(self) -> None:
        assert early_try(tried(blocked(block(Ground.LIMIT)), NOW + HOUR / 2), NOW) is not None


class TestTheReserve:
    def kept(self, snapshot: Snapshot | None, *blocks: Block, now: float = NOW) -> Obstacle | None:
        return met(replace(blocked(*blocks), reserve_percent=10), snapshot, now=now)

    def test_the_last_percent_of_a_window_are_the_user_s(self) -> None:
        assert self.kept(None) is None
        assert self.kept(used((89.9, HOUR))) is None
        reason = "the last 10 % of its w0 limit are reserved"
        assert self.kept(used((90, HOUR))) == Obstacle("ada", Why.RESERVE, reason, NOW + HOUR, authoritative=True)

    def test_they_are_given_free_when_the_last_of_such_windows_is_reset(self) -> None:
        found = self.kept(used((99, HOUR), (91, 9 * HOUR), (10, 99 * HOUR)))
        assert found is not None and found.until == NOW + 9 * HOUR
        assert self.kept(used((99, HOUR)), now=NOW + HOUR) is None

    def test_when_that_is_may_not_be_known(self) -> None:
        found = self.kept(used((99, HOUR), (91, None)))
        assert found is not None and (found.until, found.authoritative) == (None, False)

    def test_credits_do_not_buy_them(self) -> None:
        found = self.kept(used((95, HOUR), credits=Credits(True, False, "5")))
        assert found is not None and found.why is Why.RESERVE

    @pytest.mark.parametrize("ground", [Ground.COOLING, Ground.BREAKER])
    def test_they_are_not_given_away_where_nobody_else_is_left(self, ground: Ground) -> None:
        found = self.kept(used((95, HOUR)), block(ground))
        assert found is not None and (found.why, found.early) == (Why.RESERVE, False)

    def test_who_keeps_all_of_an_account_gives_none_of_it_whatever_is_known(self) -> None:
        expected = Obstacle("ada", Why.RESERVE, "all of it is reserved")
        for snapshot in (None, used((0, HOUR)), used((0, 0))):
            assert met(replace(ADA, reserve_percent=100), snapshot) == expected

    def test_an_account_without_a_reserve_is_used_to_the_end(self) -> None:
        assert met(ADA, used((100, HOUR))) is None

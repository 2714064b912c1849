"""Which of the accounts that can serve takes a new session, strategy by strategy."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from support.logins import NOW, account
from understudy.pool.standing import Standing
from understudy.pool.strategies import CLAIM, MARGIN, SWITCH_EVERY, By, Course, Strategy, pick, score
from understudy.pool.vitals import Vitals
from understudy.wire.quota import MAIN_LIMIT, Snapshot, Source, Window

HOUR = 3600


def standing(
    name: str, *, left: float = 100, health: float = 100, bucket: float = 50, idle: float | None = None, claims: int = 0
) -> Standing:
    """`idle`: hours; None: never used."""
    window = Window("5h", MAIN_LIMIT, 100 - left, 300, NOW + HOUR)
    used_at = None if idle is None else NOW - idle * HOUR
    snapshot = Snapshot("plus", (window,), None, NOW, Source.HEADERS)
    return Standing(replace(account(name), last_used_at=used_at), snapshot, Vitals(health, bucket, NOW), claims)


def picked(
    strategy: Strategy, *free: Standing, last: str = "", at: float = 0.0, soft_quota: float = 5
) -> tuple[str, By]:
    course = Course(f"acct_{last}", at) if last else Course()
    found, by = pick(strategy, free, course, soft_quota, NOW)
    return found.account.label, by


ADA, BOB, CY = standing("ada"), standing("bob"), standing("cy")


class TestSticky:
    def test_the_first_in_order_is_taken(self) -> None:
        assert picked(Strategy.STICKY, BOB, ADA) == ("bob", By.ORDER)

    def test_and_kept_as_long_as_it_can_serve(self) -> None:
        assert picked(Strategy.STICKY, ADA, BOB, last="bob") == ("bob", By.ACTIVE)
        assert picked(Strategy.STICKY, ADA, CY, last="bob") == ("ada", By.ORDER)


class TestRoundRobin:
    def test_each_takes_its_turn(self) -> None:
        turns, last = [], ""
        for _ in range(4):
            last, by = picked(Strategy.ROUND_ROBIN, CY, ADA, BOB, last=last)
            turns.append(last)
            assert by is By.NEXT
        assert turns == ["ada", "bob", "cy", "ada"]

    def test_the_turn_goes_on_where_the_last_one_cannot_serve(self) -> None:
        assert picked(Strategy.ROUND_ROBIN, ADA, CY, last="bob") == ("cy", By.NEXT)


class TestDrain:
    def test_the_first_in_order_is_used_up_whatever_was_used_before(self) -> None:
        assert picked(Strategy.DRAIN, ADA, BOB, last="bob") == ("ada", By.DRAIN)
        assert picked(Strategy.DRAIN, standing("ada", left=1), BOB) == ("ada", By.DRAIN)


class TestHybrid:
    def test_the_best_score_is_taken_and_the_first_in_order_of_equals(self) -> None:
        assert picked(Strategy.HYBRID, standing("ada", health=50), BOB, CY) == ("bob", By.SCORE)

    def test_the_one_in_use_stays_unless_another_is_better_by_a_margin(self) -> None:
        def tired(points: float) -> Standing:
            return standing("ada", health=100 - points / 2)

        assert picked(Strategy.HYBRID, tired(MARGIN - 1), BOB, last="ada") == ("ada", By.ACTIVE)
        assert picked(Strategy.HYBRID, tired(MARGIN), BOB, last="ada") == ("bob", By.SCORE)

    def test_it_does_not_switch_twice_a_minute(self) -> None:
        worn = standing("ada", health=0)
        assert picked(Strategy.HYBRID, worn, BOB, last="ada", at=NOW - SWITCH_EVERY + 1) == ("ada", By.ACTIVE)
        assert picked(Strategy.HYBRID, worn, BOB, last="ada", at=NOW - SWITCH_EVERY) == ("bob", By.SCORE)

    def test_one_that_cannot_serve_is_left_at_once(self) -> None:
        assert picked(Strategy.HYBRID, BOB, last="ada", at=NOW) == ("bob", By.SCORE)

    @pytest.mark.parametrize(
        ("other", "points"),
        [
            pytest.param(standing("bob", health=90), -20, id="two for a point of health"),
            pytest.param(standing("bob", bucket=40), -50, id="five for a token"),
            pytest.param(standing("bob", idle=0), -48, id="two for an hour of rest, up to a day"),
            pytest.param(standing("bob", idle=99), 0, id="no more than a day"),
            pytest.param(standing("bob", left=50), 0, id="half of the quota is enough"),
            pytest.param(standing("bob", left=20), -30, id="one for a percent below"),
            pytest.param(standing("bob", claims=2), -2 * CLAIM, id="each claim of another process"),
        ],
    )
    def test_the_score_weighs(self, other: Standing, points: float) -> None:
        assert score(other, NOW) - score(ADA, NOW) == pytest.approx(points)


@pytest.mark.parametrize("strategy", [strategy for strategy in Strategy if strategy is not Strategy.DRAIN])
class TestTheSoftQuota:
    def test_who_has_little_left_is_left_alone_while_another_has_more(self, strategy: Strategy) -> None:
        assert picked(strategy, standing("ada", left=5), BOB, last="ada")[0] == "bob"
        assert picked(strategy, standing("ada", left=6), standing("bob", left=5), last="bob")[0] == "ada"

    def test_it_never_stops_the_only_one(self, strategy: Strategy) -> None:
        assert picked(strategy, standing("ada", left=1))[0] == "ada"
        assert picked(strategy, standing("ada", left=1), standing("bob", left=2))[0] in ("ada", "bob")


class TestTheCourse:
    def test_it_remembers_when_it_last_changed(self) -> None:
        course = Course().after("acct_ada", NOW)
        assert course == Course("acct_ada", NOW)
        assert course.after("acct_ada", NOW + 9) is course
        assert course.after("acct_bob", NOW + 9) == Course("acct_bob", NOW + 9)


def test_every_reason_has_words_and_is_of_one_sort() -> None:
    assert len({by.words for by in By}) == len(By)
    assert not [by for by in By if by.is_of_strategy and by.is_last_resort]


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("free", [(ADA,), (ADA, BOB), (CY, BOB, ADA)], ids=len)
def test_somebody_is_always_chosen_and_the_same_one_each_time(strategy: Strategy, free: Sequence[Standing]) -> None:
    first = pick(strategy, free, Course("acct_bob", NOW), 5, NOW)
    assert first[0] in free and first[1].is_of_strategy
    assert pick(strategy, free, Course("acct_bob", NOW), 5, NOW) == first

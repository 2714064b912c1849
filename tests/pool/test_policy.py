"""What an attempt's outcome asks for, rule by rule."""

from random import Random

import pytest

from understudy.pool.account import Block
from understudy.pool.choose import Cause
from understudy.pool.policy import (
    Deliver,
    Hop,
    Move,
    Stay,
    Tried,
    block_for,
    draws_on_budget,
    next_move,
    obstacle_of,
    spent,
)
from understudy.wire.outcome import Kind, Outcome

NOW = 1_000_000.0


def outcome(kind: Kind, **more: float | bool) -> Outcome:
    return Outcome(kind, None, kind.name.lower(), **more)  # type: ignore[arg-type]


def move_after(*kinds: Kind, retry_after: float | None = None) -> Move:
    """The move after attempts on one account that ended so, one after the other."""
    tried = [Tried("work", kind) for kind in kinds]
    return next_move(Outcome(kinds[-1], None, "", retry_after=retry_after), tried, Random(1))


def test_a_usage_limit_hops_at_once() -> None:
    assert move_after(Kind.USAGE_LIMIT) == Hop()


def test_a_short_limit_waits_for_its_own_reset_once_then_hops() -> None:
    assert move_after(Kind.SHORT_LIMIT, retry_after=3.0) == Stay(3.0)
    assert move_after(Kind.SHORT_LIMIT, Kind.SHORT_LIMIT, retry_after=3.0) == Hop()


def test_a_burst_is_paced_once_then_hops() -> None:
    first = move_after(Kind.BURST)
    assert isinstance(first, Stay) and 0.25 <= first.delay <= 2.0
    assert move_after(Kind.BURST, Kind.BURST) == Hop()


@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.TRANSPORT])
def test_a_fault_is_retried_once_after_a_moment_then_hops(kind: Kind) -> None:
    first = move_after(kind)
    assert isinstance(first, Stay) and 0.25 <= first.delay <= 1.0
    assert move_after(kind, kind) == Hop()


def test_two_different_faults_on_one_account_are_one_second_chance() -> None:
    assert move_after(Kind.SERVER_ERROR, Kind.TRANSPORT) == Hop()


def test_an_unauthorized_token_is_renewed_once_then_hops() -> None:
    assert move_after(Kind.UNAUTHORIZED) == Stay(renew=True)
    assert move_after(Kind.UNAUTHORIZED, Kind.UNAUTHORIZED) == Hop()


def test_a_renewed_token_leaves_the_second_chance_for_faults_untouched() -> None:
    assert isinstance(move_after(Kind.UNAUTHORIZED, Kind.SERVER_ERROR), Stay)


@pytest.mark.parametrize("kind", [Kind.REVOKED, Kind.REFUSED, Kind.REDIRECT])
def test_what_no_other_account_cures_is_the_last_word(kind: Kind) -> None:
    assert move_after(kind) == Deliver()


def test_every_outcome_that_can_be_met_has_a_rule() -> None:
    for kind in Kind:
        assert move_after(kind, retry_after=1.0) in (Hop(), Deliver()) or isinstance(move_after(kind), Stay)


def test_the_other_account_has_a_second_chance_of_its_own() -> None:
    tried = [Tried("work", Kind.TRANSPORT), Tried("work", Kind.TRANSPORT), Tried("home", Kind.TRANSPORT)]
    assert isinstance(next_move(outcome(Kind.TRANSPORT), tried, Random(1)), Stay)


@pytest.mark.parametrize(
    ("tried", "waited", "move", "expected"),
    [
        pytest.param([Tried("a", Kind.BURST)], 1.0, Hop(), False, id="early"),
        pytest.param([Tried(a, Kind.USAGE_LIMIT) for a in "abcd"], 1.0, Hop(), True, id="a fifth account"),
        pytest.param([Tried(a, Kind.BURST) for a in "abcd"], 1.0, Stay(1.0), False, id="the fourth account again"),
        pytest.param([Tried(a, Kind.BURST) for a in "aabbcc"], 1.0, Hop(), True, id="a seventh call"),
        pytest.param([Tried("a", Kind.TRANSPORT)], 90.5, Hop(), True, id="past the deadline"),
        pytest.param([Tried("a", Kind.SHORT_LIMIT)], 88.0, Stay(3.0), True, id="a wait past the deadline"),
    ],
)
def test_a_request_has_six_calls_on_four_accounts_in_ninety_seconds(
    tried: list[Tried], waited: float, move: Move, expected: bool
) -> None:
    assert spent(tried, waited, move) is expected


def test_only_a_failing_backend_draws_on_the_budget() -> None:
    assert {kind for kind in Kind if draws_on_budget(outcome(kind))} == {
        Kind.SERVER_ERROR,
        Kind.TRANSPORT,
    }


def test_a_usage_limit_blocks_until_its_reset() -> None:
    limit = outcome(Kind.USAGE_LIMIT, resets_at=NOW + 3600, authoritative=True)
    assert block_for(limit, Hop(), NOW) == Block(NOW + 3600, "usage_limit", True)


def test_a_burst_blocks_nobody() -> None:
    assert block_for(outcome(Kind.BURST), Hop(), NOW) is None


def test_an_account_whose_renewed_token_is_refused_rests_a_minute() -> None:
    assert block_for(outcome(Kind.UNAUTHORIZED), Stay(renew=True), NOW) is None
    resting = block_for(outcome(Kind.UNAUTHORIZED), Hop(), NOW)
    assert resting is not None and resting.until == NOW + 60 and not resting.limit


def test_a_reset_of_our_own_making_is_not_passed_on() -> None:
    assert obstacle_of("work", outcome(Kind.USAGE_LIMIT, resets_at=NOW + 300)).resets_at is None
    told = obstacle_of("work", outcome(Kind.USAGE_LIMIT, resets_at=NOW + 300, authoritative=True))
    assert (told.cause, told.resets_at) == (Cause.LIMIT, NOW + 300)

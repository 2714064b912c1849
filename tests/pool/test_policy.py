"""What an attempt's outcome asks for, kind by kind, as it is seen by a request that meets nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from understudy.pool.obstacles import Cause, Why
from understudy.pool.policy import (
    ROWS,
    Deliver,
    Hop,
    Move,
    Stay,
    Tried,
    code_of,
    draws_on_budget,
    next_move,
    obstacle_of,
    spent,
)
from understudy.wire.outcome import Kind, Outcome

NOW = 1_000_000.0

WALKS = {
    Kind.USAGE_LIMIT: "a b c d ?",
    Kind.SHORT_LIMIT: "a a b b c c ?",
    Kind.BURST: "a a b b .",
    Kind.UNAUTHORIZED: "a a b b .",
    Kind.REVOKED: "a .",
    Kind.WORKSPACE_GONE: "a b .",
    Kind.NOT_ENTITLED: "a b c d .",
    Kind.CHALLENGE: "a .",
    Kind.STALE_REASONING: "a a .",
    Kind.OVERLOADED: "a a b b .",
    Kind.SERVER_ERROR: "a a b b c c ?",
    Kind.TRANSPORT: "a a b b c c ?",
    Kind.EMPTY: "a a b b .",
    Kind.REDIRECT: "a .",
    Kind.REFUSED: "a .",
}
"""The accounts that a request asks one after the other, where each attempt ends so. Then the host gets what the last of
them said (.), or the budget is spent and it hears of all of them (?)."""

DELAYS = {
    Kind.SHORT_LIMIT: (3.0, 3.6),
    Kind.BURST: (0.25, 2.0),
    Kind.UNAUTHORIZED: (0.0, 0.0),
    Kind.STALE_REASONING: (0.0, 0.0),
    Kind.OVERLOADED: (0.25, 1.0),
    Kind.SERVER_ERROR: (0.25, 1.0),
    Kind.TRANSPORT: (0.25, 1.0),
    Kind.EMPTY: (0.25, 1.0),
}
"""Seconds before the same account is asked again; a short limit is said to end in 3 s."""


def outcome(kind: Kind, *, resets_at: float | None = None, authoritative: bool = False) -> Outcome:
    retry_after = 3.0 if kind is Kind.SHORT_LIMIT else None
    return Outcome(kind, None, kind.code, resets_at=resets_at, authoritative=authoritative, retry_after=retry_after)


def move_after(*attempts: tuple[str, Kind], seed: int = 1, may_retry: bool = True) -> Move:
    tried = [Tried(account, kind) for account, kind in attempts]
    return next_move(outcome(tried[-1].kind), tried, Random(seed), may_retry=may_retry)


def walk(kind: Kind) -> Iterator[str]:
    tried: list[Tried] = []
    accounts = iter("abcdefgh")
    account = next(accounts)
    while True:
        tried.append(Tried(account, kind))
        yield account
        move = next_move(outcome(kind), tried, Random(1))
        if isinstance(move, Deliver):
            yield "."
            return
        if spent(tried, 1.0, move):
            yield "?"
            return
        account = account if isinstance(move, Stay) else next(accounts)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_a_request_that_ends_so_everywhere_asks_these_accounts(kind: Kind) -> None:
    assert " ".join(walk(kind)) == WALKS[kind]


def test_every_kind_has_a_row() -> None:
    assert set(ROWS) == set(Kind)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in DELAYS], ids=lambda kind: kind.code)
def test_the_same_account_is_asked_again_after_so_long(kind: Kind) -> None:
    least, most = DELAYS[kind]
    for seed in range(50):
        move = move_after(("a", kind), seed=seed)
        assert isinstance(move, Stay) and least <= move.delay <= most


def test_a_short_limit_that_is_all_but_over_is_waited_for_a_tenth_of_a_second() -> None:
    almost = Outcome(Kind.SHORT_LIMIT, 429, "short limit", retry_after=0.001)
    assert next_move(almost, [Tried("a", Kind.SHORT_LIMIT)], Random(1)) == Stay(0.1)


def test_what_changes_with_the_second_attempt_is_said() -> None:
    assert move_after(("a", Kind.UNAUTHORIZED)) == Stay(renew=True)
    assert move_after(("a", Kind.STALE_REASONING)) == Stay(strip=True)


def test_two_different_faults_on_one_account_are_one_second_chance() -> None:
    assert move_after(("a", Kind.SERVER_ERROR), ("a", Kind.TRANSPORT)) == Hop()
    assert move_after(("a", Kind.BURST), ("a", Kind.SHORT_LIMIT)) == Hop()


@pytest.mark.parametrize("changed", [Kind.UNAUTHORIZED, Kind.STALE_REASONING], ids=lambda kind: kind.code)
def test_a_request_that_was_changed_has_its_second_chance_for_faults_yet(changed: Kind) -> None:
    assert isinstance(move_after(("a", changed), ("a", Kind.SERVER_ERROR)), Stay)
    assert isinstance(move_after(("a", Kind.SERVER_ERROR), ("a", changed)), Stay)


def test_the_next_account_has_a_second_chance_of_its_own() -> None:
    first = (("a", Kind.TRANSPORT), ("a", Kind.TRANSPORT))
    assert isinstance(move_after(*first, ("b", Kind.TRANSPORT)), Stay)


def test_other_accounts_are_counted_for_each_kind() -> None:
    assert move_after(("a", Kind.USAGE_LIMIT), ("b", Kind.BURST), ("b", Kind.BURST)) == Hop()


def test_a_failing_backend_is_asked_again_within_the_budget_and_no_other_outcome_draws_on_it() -> None:
    failing = {kind for kind in Kind if draws_on_budget(outcome(kind))}
    assert failing == {Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.TRANSPORT, Kind.EMPTY}
    for kind in Kind:
        without = move_after(("a", kind), may_retry=False)
        assert without == (Deliver() if kind in failing else move_after(("a", kind)))


def test_the_same_seed_makes_the_same_move() -> None:
    for kind in Kind:
        assert move_after(("a", kind), seed=7) == move_after(("a", kind), seed=7)


@pytest.mark.parametrize(
    ("tried", "waited", "move", "expected"),
    [
        pytest.param([Tried("a", Kind.BURST)], 1.0, Hop(), False, id="early"),
        pytest.param([Tried(a, Kind.USAGE_LIMIT) for a in "abc"], 1.0, Hop(), False, id="a fourth account"),
        pytest.param([Tried(a, Kind.USAGE_LIMIT) for a in "abcd"], 1.0, Hop(), True, id="a fifth account"),
        pytest.param([Tried(a, Kind.BURST) for a in "abcd"], 1.0, Stay(1.0), False, id="the fourth account again"),
        pytest.param([Tried(a, Kind.BURST) for a in "aabbc"], 1.0, Stay(1.0), False, id="a sixth call"),
        pytest.param([Tried(a, Kind.BURST) for a in "aabbcc"], 1.0, Hop(), True, id="a seventh call"),
        pytest.param([Tried("a", Kind.TRANSPORT)], 90.0, Hop(), False, id="the last moment"),
        pytest.param([Tried("a", Kind.TRANSPORT)], 90.5, Hop(), True, id="past the deadline"),
        pytest.param([Tried("a", Kind.SHORT_LIMIT)], 88.0, Stay(3.0), True, id="a wait past the deadline"),
    ],
)
def test_a_request_has_six_calls_on_four_accounts_in_ninety_seconds(
    tried: list[Tried], waited: float, move: Move, expected: bool
) -> None:
    assert spent(tried, waited, move) is expected


@pytest.mark.parametrize(
    ("kind", "move", "code"),
    [
        (Kind.USAGE_LIMIT, Hop(), "retry_other_account_after_usage_limit"),
        (Kind.UNAUTHORIZED, Stay(renew=True), "retry_same_account_after_unauthorized"),
        (Kind.REVOKED, Deliver(), "no_retry_after_revoked"),
    ],
)
def test_each_decision_has_a_code(kind: Kind, move: Move, code: str) -> None:
    assert code_of(outcome(kind), move) == code


def test_no_two_decisions_share_a_code() -> None:
    moves: tuple[Move, ...] = (Stay(), Hop(), Deliver())
    assert len({code_of(outcome(kind), move) for kind in Kind for move in moves}) == len(Kind) * len(moves)


MET = {
    Kind.USAGE_LIMIT: (Why.LIMIT, Cause.LIMIT),
    Kind.NOT_ENTITLED: (Why.UNENTITLED, Cause.UNENTITLED),
    Kind.WORKSPACE_GONE: (Why.NEEDS_LOGIN, Cause.UNUSABLE),
}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_what_a_request_has_met_is_an_obstacle_that_it_does_not_try_again(kind: Kind) -> None:
    met = obstacle_of("work", outcome(kind))
    assert (met.why, met.cause) == MET.get(kind, (Why.TRIED, Cause.TROUBLE))
    assert (met.label, met.reason, met.early) == ("work", kind.code, False)


def test_a_reset_of_our_own_making_is_not_passed_on() -> None:
    assert obstacle_of("work", outcome(Kind.USAGE_LIMIT, resets_at=NOW + 300)).resets_at is None
    told = obstacle_of("work", outcome(Kind.USAGE_LIMIT, resets_at=NOW + 300, authoritative=True))
    assert (told.cause, told.resets_at) == (Cause.LIMIT, NOW + 300)


def test_a_burst_that_asks_for_a_long_pause_is_not_met_by_a_short_one() -> None:
    asked = replace(outcome(Kind.BURST), retry_after=30.0)
    assert next_move(asked, [Tried("a", Kind.BURST)], Random(1)) == Hop()
    soon = replace(outcome(Kind.BURST), retry_after=1.0)
    assert isinstance(next_move(soon, [Tried("a", Kind.BURST)], Random(1)), Stay)

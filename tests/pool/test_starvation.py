"""Nobody waits for ever: whoever can serve gets new sessions, and whoever could not is asked again."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logins import NOW, account
from understudy.pool import health
from understudy.pool.account import Account, Block, Ground
from understudy.pool.breaker import OPEN, Breaker
from understudy.pool.choose import Choice, Rules, choose
from understudy.pool.obstacles import early_try
from understudy.pool.policy import ROWS, Deliver, Stay, Tried, next_move, obstacle_of, spent
from understudy.pool.record import changed, record
from understudy.pool.session import Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import By, Course, Strategy
from understudy.wire.outcome import Kind, Outcome

HOUR = 3600


class Proxy:
    """Plays requests that all meet the same, one at a time."""

    def __init__(self, *accounts: Account, rules: Rules) -> None:
        self.pool = {account.id: account for account in accounts}
        self.rules = rules
        self.breaker = Breaker()

    def asked(self, kind: Kind, now: float) -> Iterator[tuple[str, By]]:
        """The accounts that a new request at `now` asks, and why, where each attempt ends so."""
        tried: list[Tried] = []
        session = Session("big")
        while True:
            choice = choose([*map(Standing, self.pool.values())], session, now, self.rules, Course())
            if not isinstance(choice, Choice):
                return
            if choice.by is By.EARLY:
                marked = early_try(choice.account, now)
                assert marked is not None
                self.pool[marked.id] = marked
            stays = True
            while stays:
                yield choice.account.id, choice.by
                tried.append(Tried(choice.account.id, kind))
                stays = self.goes_on(choice.account.id, Outcome(kind, None, kind.code), tried, now)
            if self.is_over:
                return
            met = {t.account_id: obstacle_of(t.account_id, Outcome(kind, None, "")) for t in tried}
            session = Session("big", met=met)

    def goes_on(self, account_id: str, outcome: Outcome, tried: list[Tried], now: float) -> bool:
        """Whether the same account is asked again. The pool learns from the outcome."""
        if outcome.resets_at is None and outcome.kind is Kind.USAGE_LIMIT:
            outcome = replace(outcome, resets_at=now + 5 * HOUR)
        move = next_move(outcome, tried, Random(1))
        changes = record(outcome, "big", move, now)
        if ROWS[outcome.kind].fails and self.breaker.failed(account_id, now):
            opened = Block(now + OPEN, "failing", authoritative=False, ground=Ground.BREAKER, since=now)
            self.pool[account_id] = health.block(self.pool[account_id], opened)
        self.pool[account_id] = changed(self.pool[account_id], changes, now)
        self.is_over = isinstance(move, Deliver) or spent(tried, 0.0, move)
        return isinstance(move, Stay) and not self.is_over


@given(st.integers(1, 8), st.sets(st.integers(0, 7)), st.integers(0, 9), st.randoms(use_true_random=False))
def test_in_turn_everybody_who_can_serve_has_a_session_before_anybody_has_two(
    count: int, limited: set[int], last: int, random: Random
) -> None:
    block = Block(NOW + HOUR, "usage limit", authoritative=True, since=NOW)
    accounts = [replace(account(str(n)), blocks=(block,) if n in limited else ()) for n in range(count)]
    random.shuffle(accounts)
    course, rules = Course(f"acct_{last}"), Rules(Strategy.ROUND_ROBIN)
    free = {each.id for each in accounts if not each.blocks}
    served = []
    for _ in free:
        choice = choose([*map(Standing, accounts)], Session("big"), NOW, rules, course)
        assert isinstance(choice, Choice)
        served.append(choice.account.id)
        course = course.after(choice.account.id, NOW)
    assert sorted(served) == sorted(free)


@pytest.mark.parametrize("strategy", Strategy)
def test_a_session_returns_to_its_account_when_its_limit_ends(strategy: Strategy) -> None:
    block = Block(NOW + HOUR, "usage limit", authoritative=True, since=NOW)
    standings = [Standing(account("ada")), Standing(replace(account("bob"), blocks=(block,)))]
    session, course = Session("big", bound="acct_bob"), Course("acct_ada", NOW)
    for seconds, expected in ((HOUR - 1, "ada"), (HOUR, "bob")):
        choice = choose(standings, session, NOW + seconds, Rules(strategy), course)
        assert isinstance(choice, Choice) and choice.account.label == expected


@pytest.mark.parametrize("strategy", Strategy)
def test_where_all_are_limited_each_is_tried_early_and_none_more_than_four_times_an_hour(strategy: Strategy) -> None:
    proxy = Proxy(account("ada"), account("bob"), account("cy"), rules=Rules(strategy))
    tries: dict[str, list[float]] = {}
    assert [*proxy.asked(Kind.USAGE_LIMIT, NOW)], "each of them meets its limit"
    for minute in range(1, 5 * 60):
        now = NOW + 60 * minute
        for account_id, by in proxy.asked(Kind.USAGE_LIMIT, now):
            assert by is By.EARLY
            tries.setdefault(account_id, []).append(now)
    assert tries.keys() == proxy.pool.keys()
    for times in tries.values():
        assert times[0] == NOW + 2.5 * HOUR
        assert all(after - before >= 15 * 60 for before, after in pairwise(times))


LONGEST_PAUSE: dict[Kind, float] = {
    Kind.USAGE_LIMIT: 2.5 * HOUR,
    Kind.UNAUTHORIZED: 60,
    Kind.REVOKED: float("inf"),
    Kind.WORKSPACE_GONE: float("inf"),
    Kind.NOT_ENTITLED: 1800,
}
"""Seconds for which a lone account is left alone that always gives the same trouble; every other kind: not at all."""


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_a_lone_account_that_keeps_failing_is_asked_again(kind: Kind) -> None:
    proxy = Proxy(account("ada"), rules=Rules())
    times = [NOW + second for second in range(0, 6 * HOUR, 30)]
    asked = [now for now in times if [*proxy.asked(kind, now)]]
    pauses = [after - before for before, after in pairwise([*asked, NOW + 6 * HOUR])]
    assert max(pauses) == min(LONGEST_PAUSE.get(kind, 30), 6 * HOUR)

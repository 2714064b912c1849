"""What happens to an account is a change of its value, and a shorter block never shortens a longer one."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logins import NOW, account, tokens
from understudy.pool.account import MOST_BLOCKS, Block, Ground, Health
from understudy.pool.health import State, block, needs_login, renewed, state, tried, used

LONG = Block(NOW + 100, "usage limit", authoritative=False, since=NOW)


@pytest.mark.parametrize(
    ("new", "wins"),
    [
        pytest.param(Block(NOW + 50, "other", authoritative=True, since=NOW), False, id="shorter"),
        pytest.param(Block(NOW + 150, "other", authoritative=False, since=NOW), True, id="longer"),
        pytest.param(Block(NOW + 100, "named", authoritative=True, since=NOW), True, id="as long, and named"),
        pytest.param(Block(NOW + 100, "other", authoritative=False, since=NOW + 9), False, id="as long"),
    ],
)
def test_of_two_blocks_of_a_kind_the_longer_one_stays(new: Block, wins: bool) -> None:
    assert block(block(account(), LONG), new).blocks == (new if wins else LONG,)


@pytest.mark.parametrize(
    "other",
    [replace(LONG, ground=Ground.COOLING, until=NOW + 6), replace(LONG, model="big", until=NOW + 200)],
    ids=["of another ground", "of a model"],
)
def test_blocks_of_different_kinds_stand_beside_each_other(other: Block) -> None:
    assert block(block(account(), LONG), other).blocks == (LONG, other)


def test_a_block_of_a_clock_that_was_set_back_makes_way_for_a_new_one() -> None:
    old = Block(NOW + 3604, "any", authoritative=False, ground=Ground.COOLING, since=NOW + 3600)
    new = Block(NOW + 4, "any", authoritative=False, ground=Ground.COOLING, since=NOW)
    assert block(replace(account(), blocks=(old,)), new).blocks == (new,)


def test_what_had_ended_when_a_block_began_goes() -> None:
    over = Block(NOW - 1, "over", authoritative=False, ground=Ground.LOGIN)
    assert block(replace(account(), blocks=(over,)), LONG).blocks == (LONG,)


_BLOCKS = st.lists(
    st.builds(
        Block,
        until=st.integers(1, 100).map(lambda seconds: NOW + seconds),
        reason=st.just("any"),
        authoritative=st.booleans(),
        ground=st.sampled_from(Ground),
        model=st.sampled_from(["", "big", "small"]),
        since=st.just(NOW),
    ),
    max_size=8,
)


@given(_BLOCKS, st.randoms(use_true_random=False))
def test_blocks_never_shrink_and_come_to_the_same_in_any_order(blocks: list[Block], random: Random) -> None:
    def after(blocks: Sequence[Block]) -> dict[tuple[Ground, str], tuple[float, bool]]:
        blocked = account()
        for each in blocks:
            blocked = block(blocked, each)
        found = {(each.ground, each.model): (each.until, each.authoritative) for each in blocked.blocks}
        assert len(found) == len(blocked.blocks)
        return found

    shuffled = random.sample(blocks, len(blocks))
    assert after(blocks) == after(shuffled)
    for each in blocks:
        assert after(blocks)[each.ground, each.model] >= (each.until, each.authoritative)


def test_blocks_of_so_many_models_are_kept_and_every_one_that_holds_for_all() -> None:
    full = block(account(), LONG)
    for n in range(2 * MOST_BLOCKS):
        full = block(full, replace(LONG, ground=Ground.ENTITLEMENT, model=f"model {n}", until=NOW + 1000 + n))
    assert len(full.blocks) == MOST_BLOCKS
    assert full.blocks[0] == LONG
    assert full.blocks[-1].model == f"model {2 * MOST_BLOCKS - 1}"


def test_the_block_of_an_account_is_the_longest_of_those_that_hold_for_all_of_it() -> None:
    cooling = replace(LONG, ground=Ground.COOLING, until=NOW + 900)
    of_a_model = replace(LONG, model="big", until=NOW + 800)
    login = replace(LONG, ground=Ground.LOGIN, until=NOW + 700)
    assert replace(account(), blocks=(cooling, of_a_model)).block is None
    assert replace(account(), blocks=(LONG, cooling, login, of_a_model)).block == login


def test_a_try_marks_the_limits_that_are_not_over_and_nothing_else() -> None:
    over, login = replace(LONG, model="old", until=NOW), replace(LONG, ground=Ground.LOGIN)
    marked = tried(replace(account(), blocks=(LONG, over, login)), NOW)
    assert marked.blocks == (replace(LONG, tried_at=NOW), over, login)


def test_a_try_is_remembered_by_the_blocks_that_come_after_it() -> None:
    once = tried(replace(account(), blocks=(replace(LONG, until=NOW + 1),)), NOW)
    again = block(once, replace(LONG, model="big", since=NOW + 2))
    assert [each.tried_at for each in again.blocks] == [NOW]


def test_new_tokens_mean_that_the_login_works_and_lift_no_block() -> None:
    dead = block(needs_login(account(), "ended", NOW), LONG)
    alive = renewed(dead, tokens(mark="new"), NOW)
    assert (alive.health, alive.health_reason, alive.tokens) == (Health.OK, "", tokens(mark="new"))
    assert alive.blocks == (LONG,)


def test_a_use_is_noted_once_a_minute() -> None:
    first = used(account(), NOW)
    assert first.last_used_at == NOW
    assert used(first, NOW + 59) is first
    assert used(first, NOW + 60).last_used_at == NOW + 60


def test_a_use_is_noted_after_the_clock_was_set_back() -> None:
    assert used(replace(account(), last_used_at=NOW + 9999), NOW).last_used_at == NOW


@pytest.mark.parametrize(
    ("enabled", "health", "blocked_until", "expected"),
    [
        (True, Health.OK, None, State.OK),
        (True, Health.OK, NOW, State.OK),
        (True, Health.OK, NOW + 1, State.BLOCKED),
        (True, Health.NEEDS_LOGIN, NOW + 1, State.NEEDS_LOGIN),
        (False, Health.NEEDS_LOGIN, NOW + 1, State.DISABLED),
    ],
)
def test_what_only_the_user_can_change_is_said_first(
    enabled: bool, health: Health, blocked_until: float | None, expected: State
) -> None:
    assert state(enabled=enabled, health=health, blocked_until=blocked_until, now=NOW) is expected

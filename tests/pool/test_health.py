"""What happens to an account is a change of its value, and a shorter block never shortens a longer one."""

from dataclasses import replace

import pytest

from support.logins import NOW, account, tokens
from understudy.pool.account import Block, Health
from understudy.pool.health import State, block, needs_login, renewed, state, used

LONG = Block(NOW + 100, "usage limit", authoritative=False)


@pytest.mark.parametrize(
    ("new", "wins"),
    [
        pytest.param(Block(NOW + 50, "burst", authoritative=True), False, id="shorter"),
        pytest.param(Block(NOW + 150, "burst", authoritative=False), True, id="longer"),
        pytest.param(Block(NOW + 100, "reset named", authoritative=True), True, id="as long, and named by the backend"),
        pytest.param(Block(NOW + 100, "other", authoritative=False), False, id="as long"),
    ],
)
def test_the_longer_block_stays(new: Block, wins: bool) -> None:
    blocked = block(block(account(), LONG), new)
    assert blocked.block == (new if wins else LONG)


def test_blocks_come_to_the_same_in_any_order() -> None:
    short = Block(NOW + 50, "burst", authoritative=True)
    assert block(block(account(), LONG), short) == block(block(account(), short), LONG)


def test_new_tokens_mean_that_the_login_works_and_lift_no_block() -> None:
    dead = block(needs_login(account(), "ended", NOW), LONG)
    alive = renewed(dead, tokens(mark="new"), NOW)
    assert (alive.health, alive.health_reason, alive.tokens) == (Health.OK, "", tokens(mark="new"))
    assert alive.block == LONG


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

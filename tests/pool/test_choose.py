"""Which account serves the next attempt, and what is said where none can."""

from dataclasses import replace

import pytest

from understudy.pool.account import Account, Block, Health, Tokens
from understudy.pool.choose import Cause, Exhausted, Obstacle, choose, find
from understudy.pool.pool import Pin
from understudy.wire.secret import Secret

NOW = 1_000_000.0
TOKENS = Tokens(Secret("access"), Secret("refresh"), Secret("id"), NOW + 3600)


def account(label: str) -> Account:
    return Account(f"acct_{label}", label, f"ws-{label}", f"user-{label}", TOKENS)


WORK, HOME, SPARE = account("work"), account("home"), account("spare")
POOL = (WORK, HOME, SPARE)


def limited(base: Account, until: float, *, authoritative: bool = True) -> Account:
    return replace(base, block=Block(until, "usage limit", authoritative))


def test_a_new_session_takes_the_first_account_in_pool_order() -> None:
    assert choose(POOL, NOW) is WORK


def test_a_session_stays_on_its_account() -> None:
    assert choose(POOL, NOW, bound=SPARE.id) is SPARE


def test_a_session_whose_account_is_limited_takes_the_first_that_is_free() -> None:
    assert choose((WORK, HOME, limited(SPARE, NOW + 60)), NOW, bound=SPARE.id) is WORK


def test_a_block_that_has_run_out_blocks_nobody() -> None:
    assert choose((limited(WORK, NOW), HOME), NOW) == limited(WORK, NOW)


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(replace(WORK, enabled=False), id="disabled"),
        pytest.param(replace(WORK, health=Health.NEEDS_LOGIN, health_reason="token revoked"), id="needs login"),
        pytest.param(limited(WORK, NOW + 1), id="limited"),
        pytest.param(replace(WORK, block=Block(NOW + 1, "unauthorized", False, limit=False)), id="resting"),
    ],
)
def test_an_account_that_cannot_serve_is_passed_over(unusable: Account) -> None:
    assert choose((unusable, HOME), NOW, bound=unusable.id) is HOME


def test_what_this_request_has_already_met_is_passed_over() -> None:
    met = {WORK.id: Obstacle("work", Cause.TROUBLE, "server error")}
    assert choose(POOL, NOW, bound=WORK.id, passed_over=met) is HOME


@pytest.mark.parametrize("name", ["home", "acct_home", "ws-home"])
def test_a_pinned_account_is_the_only_one(name: str) -> None:
    assert choose(POOL, NOW, bound=WORK.id, pin=Pin(name)) is HOME


def test_a_pin_that_names_nobody_serves_nobody() -> None:
    exhausted = choose(POOL, NOW, pin=Pin("nobody"))
    assert isinstance(exhausted, Exhausted)
    assert [o.label for o in exhausted.obstacles] == ["nobody"]
    assert not exhausted.by_limits


def test_an_empty_pool_has_no_obstacles_to_name() -> None:
    assert choose((), NOW) == Exhausted(())


def test_where_all_are_limited_the_soonest_reset_is_told() -> None:
    exhausted = choose((limited(WORK, NOW + 300), limited(HOME, NOW + 60)), NOW)
    assert isinstance(exhausted, Exhausted)
    assert exhausted.by_limits
    assert exhausted.resets_at == NOW + 60


def test_a_reset_that_the_backend_did_not_name_is_never_told() -> None:
    exhausted = choose((limited(WORK, NOW + 60, authoritative=False), limited(HOME, NOW + 300)), NOW)
    assert isinstance(exhausted, Exhausted)
    assert exhausted.resets_at == NOW + 300


def test_a_dead_login_beside_a_limited_one_does_not_hide_the_limit() -> None:
    exhausted = choose((limited(WORK, NOW + 60), replace(HOME, health=Health.NEEDS_LOGIN)), NOW)
    assert isinstance(exhausted, Exhausted)
    assert exhausted.by_limits


def test_trouble_on_one_account_means_that_trying_again_may_help() -> None:
    met = {HOME.id: Obstacle("home", Cause.TROUBLE, "server error")}
    exhausted = choose((limited(WORK, NOW + 60), HOME), NOW, passed_over=met)
    assert isinstance(exhausted, Exhausted)
    assert not exhausted.by_limits


def test_a_label_wins_over_an_id_that_reads_the_same() -> None:
    impostor = replace(HOME, account_id="work")
    assert find((impostor, WORK), "work") is WORK
    assert find(POOL, "nobody") is None

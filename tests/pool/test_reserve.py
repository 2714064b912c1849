"""The user keeps a part of an account, and nothing else of it changes."""

from dataclasses import replace

import pytest

from support.logins import account
from understudy.pool import edits
from understudy.pool.account import Lane
from understudy.pool.pool import Pin, Pool

POOL = Pool((account("ada"), account("bob")), Pin("acct_bob"))


@pytest.mark.parametrize("percent", [0.0, 12.5, 100.0])
def test_the_reserve_is_any_part_of_a_limit(percent: float) -> None:
    before = edits.reserve(POOL, "ada", 7.0)
    expected = replace(POOL, accounts=(replace(account("ada"), reserve_percent=percent), account("bob")))
    assert edits.reserve(before, "acct_ada", percent) == expected


@pytest.mark.parametrize("percent", [-0.5, 100.5, float("nan"), float("inf")])
def test_what_is_no_part_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="not a part of a limit"):
        edits.reserve(POOL, "ada", percent)


def test_what_has_no_limits_of_a_plan_has_no_reserve() -> None:
    paid = replace(account("paid"), lane=Lane.PLATFORM)
    with pytest.raises(ValueError, match="paid is an API key"):
        edits.reserve(Pool((paid,)), "paid", 10.0)

"""Which conversations may move to which account."""

from dataclasses import replace

import pytest

from support.logins import account
from understudy.pool.account import Account, Lane
from understudy.pool.session import Isolation, may_move

PERSONAL, OTHER = account("ada"), replace(account("bob"), plan="pro")
TEAM = replace(account("cy"), plan="team")
SEAT = replace(account("dan"), plan="team", account_id=TEAM.account_id)
KEY = replace(account("key"), lane=Lane.PLATFORM, plan="")


@pytest.mark.parametrize(
    ("owner", "to", "within_workspace"),
    [
        pytest.param(PERSONAL, OTHER, True, id="between personal accounts"),
        pytest.param(TEAM, SEAT, True, id="between seats of a workspace"),
        pytest.param(PERSONAL, TEAM, False, id="into a workspace"),
        pytest.param(TEAM, PERSONAL, False, id="out of it"),
        pytest.param(TEAM, replace(TEAM, id="x", account_id="ws-else"), False, id="into another one"),
        pytest.param(PERSONAL, KEY, False, id="to a key"),
        pytest.param(None, PERSONAL, False, id="from an account that is gone"),
    ],
)
def test_a_conversation_may_move(owner: Account | None, to: Account, within_workspace: bool) -> None:
    assert may_move(owner, to, Isolation.OFF)
    assert may_move(owner, to, Isolation.WORKSPACE) is within_workspace
    assert not may_move(owner, to, Isolation.ACCOUNT)


@pytest.mark.parametrize("isolation", Isolation)
def test_it_may_always_stay(isolation: Isolation) -> None:
    assert may_move(TEAM, TEAM, isolation)

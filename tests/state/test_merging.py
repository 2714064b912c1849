"""Processes that change the pool together: each sees what the others did, and undoes none of it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import account
from support.writers import PROGRAM, members, number_of, rotate
from understudy.pool.account import Account, Block
from understudy.pool.health import block, used
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore


@pytest.fixture
def store(home: Path) -> AccountStore:
    made = AccountStore(home)
    made.update(over_accounts(lambda _: members(1)))
    return made


BLOCKS = (
    PROGRAM
    + """
from understudy.pool.account import Block
from understudy.pool.health import block
from understudy.pool.pool import over_accounts

store = AccountStore(Path(sys.argv[1]))
for until in map(float, sys.argv[2:]):
    new = Block(until, "usage limit", authoritative=True)
    store.update(over_accounts(lambda accounts: (block(accounts[0], new), *accounts[1:])))
"""
)


def test_of_two_processes_blocks_the_longer_one_counts_whoever_comes_first(store: AccountStore) -> None:
    ends = [[str(end) for end in range(first, 400, 20)] for first in (10, 20)]
    command = [sys.executable, "-c", BLOCKS, str(store.home)]
    for process in [subprocess.Popen([*command, *some]) for some in (ends[0], reversed(ends[1]))]:
        assert process.wait(timeout=60) == 0
    found = AccountStore(store.home).read().accounts[0].block
    assert found is not None and found.until == 390.0


def test_a_block_that_is_learned_from_an_old_view_does_not_shorten_a_later_one(store: AccountStore) -> None:
    def blocked(until: float) -> Account:
        new = Block(until, "usage limit", authoritative=True)
        changed = store.update(over_accounts(lambda accounts: (block(accounts[0], new), *accounts[1:])))
        return changed.accounts[0]

    assert [blocked(until).block for until in (50.0, 90.0, 60.0)][-1] == Block(90.0, "usage limit", authoritative=True)


def test_the_time_of_the_last_use_is_written_once_a_minute(home: Path) -> None:
    store = AccountStore(home)
    store.update(over_accounts(lambda _: (replace(account("ada"), last_used_at=None),)))

    def use(now: float) -> None:
        store.update(over_accounts(lambda accounts: tuple(used(a, now) for a in accounts)))

    for now in range(1000, 1200, 7):
        use(float(now))
    assert store.read().revision == 1 + 4
    assert store.read().accounts[0].last_used_at == 1189.0


def test_a_writer_that_has_not_looked_for_long_undoes_nothing(store: AccountStore) -> None:
    other = AccountStore(store.home)
    other.read()
    store.update(rotate)
    assert number_of(other.update(rotate)) == 3

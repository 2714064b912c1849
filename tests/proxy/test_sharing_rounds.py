"""What processes tell each other is a help: whatever goes wrong with it, the proxy starts, goes on and ends."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from support.logins import account
from understudy.pool.account import Block, Ground
from understudy.pool.choose import Rules
from understudy.pool.pool import over_accounts
from understudy.pool.strategies import Course
from understudy.proxy.archive import Archive
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.claim import Leave
from understudy.proxy.dispatch import Dispatcher
from understudy.proxy.jobs import Jobs
from understudy.proxy.memory import Memory
from understudy.proxy.options import read_offline
from understudy.proxy.presence import Presence
from understudy.proxy.roster import Roster
from understudy.proxy.sharing import Sharing
from understudy.proxy.turn import Turns
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.state.running import Running
from understudy.state.runtime import Runtime
from understudy.state.telling import Telling, decode, encode
from understudy.state.tokens import TokenKeeper


class Unheard(Presence):
    """That of a process which is no mitmproxy."""

    def runtime(self) -> Runtime:
        return Runtime(os.getpid(), "mitmdump", "0", "11", 0.0, "", ())


class Process:
    """What one proxy shares with others. `store` and `quota`: what it has of them."""

    def __init__(self, home: Path, quota: QuotaCache | None = None) -> None:
        store = AccountStore(home)
        self.roster = Roster(store, quota or QuotaCache(home))
        self.memory = Memory(self.roster)
        settings = read_offline([f"confdir={home}"])
        jobs = Jobs(Archive(home, settings))
        keeper = TokenKeeper(store)
        self.dispatcher = Dispatcher(settings, self.roster, keeper, self.memory, jobs, Catalogue(), Random(1))
        self.sharing = Sharing(home, self.dispatcher, Turns(lambda _: Leave()), Unheard(home))


class Unreadable(QuotaCache):
    """Fails in a way that nobody expects, as often as it is read."""

    reads = 0

    def read(self, *_: object) -> Any:
        self.reads += 1
        self.path.write_bytes(b"%d" % self.reads)  # So that it is news the next time.
        raise RuntimeError


def fill(home: Path) -> None:
    AccountStore(home).update(over_accounts(lambda _: (account("ada"), account("bob"))))
    (home / "quota.json").write_bytes(b"{}")


async def until(holds: Callable[[], bool]) -> None:
    """Lets others work until it holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_proxy_starts_although_it_cannot_hear_what_is_known(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(home)
    process = Process(home, Unreadable(home))
    with caplog.at_level(logging.ERROR):
        process.sharing.begin()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["understudy"]


async def test_what_goes_wrong_in_one_round_is_said_once_and_the_next_one_comes(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("understudy.proxy.sharing.EVERY", 0.01)
    fill(home)
    broken = Unreadable(home)
    process = Process(home, broken)
    process.sharing.begin()
    keeping = asyncio.create_task(process.sharing.keep())
    await until(lambda: broken.reads > 3)
    keeping.cancel()
    assert len([record for record in caplog.records if "sharing" in record.message]) == 1


async def test_what_one_probes_no_other_one_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.proxy.sharing.EVERY", 0.01)
    fill(home)
    process, other = Process(home), Running(home)
    other.tell(encode(Telling(Rules(), Course(), claims={"acct_ada": 1}, probing=("acct_ada",))))
    keeping = asyncio.create_task(process.sharing.keep())
    ada, bob = process.roster.accounts()
    await until(lambda: process.memory.standing(ada).probing)
    assert not process.memory.standing(bob).probing
    other.end()
    await until(lambda: not process.memory.standing(ada).probing)
    keeping.cancel()
    process.sharing.end()


async def test_an_account_that_another_one_probes_is_not_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.proxy.sharing.EVERY", 0.01)
    failing = Block(4e9, "failing", authoritative=False, ground=Ground.BREAKER, since=0.0)
    fill(home)
    process, other = Process(home), Running(home)
    for each in process.roster.accounts():
        process.roster.change(each.id, lambda found: replace(found, blocks=(failing,)))
    assert process.dispatcher.upcoming().startswith("ada (tried again")
    other.tell(encode(Telling(Rules(), Course(), probing=("acct_ada",))))
    keeping = asyncio.create_task(process.sharing.keep())
    await until(lambda: process.dispatcher.upcoming().startswith("bob (tried again"))
    keeping.cancel()
    other.end()
    process.sharing.end()


async def test_what_is_counted_apart_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.proxy.sharing.EVERY", 0.01)
    fill(home)
    process = Process(home)
    process.memory.counts_apart("acct_ada", "spark", True)
    process.memory.counts_apart("acct_bob", "spark", True)
    process.memory.counts_apart("acct_bob", "spark", False)
    keeping = asyncio.create_task(process.sharing.keep())
    await until(lambda: Running(home).all() != ())
    [record] = Running(home).all()
    told = decode(record.told)
    assert told is not None and told.apart == {"acct_ada": frozenset({"spark"})}
    keeping.cancel()
    process.sharing.end()

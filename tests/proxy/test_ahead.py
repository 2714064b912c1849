"""Tokens are refreshed before anybody needs them: one at a time, quietly, and by one proxy only."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.login_server import LoginServer, serving
from support.logins import account
from understudy.pool.account import Account, Health
from understudy.pool.pool import over_accounts
from understudy.proxy.ahead import LEASE, Ahead, Timing
from understudy.proxy.roster import Roster
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.state.tokens import TokenKeeper

QUICK = Timing(first=0.0, interval=0.02, stagger=0.0)


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with serving() as running:
        yield running


class House:
    """A pool on disk, and the parts of a proxy that look after its tokens."""

    def __init__(self, home: Path, server: LoginServer) -> None:
        self.store = AccountStore(home)
        self._server = server

    def enrol(self, **lives: float) -> None:
        """Accounts by name, with the seconds that their access tokens are still good for."""
        accounts = tuple(account(name, expires_at=time.time() + life) for name, life in lives.items())
        self._server.valid |= {each.tokens.refresh.reveal(): each.label for each in accounts}
        self.store.update(over_accounts(lambda _: accounts))

    def ahead(self, timing: Timing = QUICK, *, later: float = 0.0) -> Ahead:
        """What one proxy runs; its clock is `later` seconds ahead."""
        store = AccountStore(self.store.home)
        self.roster = Roster(store, QuotaCache(store.home))

        def clock() -> float:
            return time.time() + later

        return Ahead(self.roster, store, TokenKeeper(store, self._server.url, clock=clock), timing, clock)

    def account(self, name: str) -> Account:
        """As it is on disk."""
        return next(each for each in AccountStore(self.store.home).read().accounts if each.label == name)

    def renewed(self) -> list[str]:
        """Who has had new tokens, in the order of their coming."""
        found = [each for each in AccountStore(self.store.home).read().accounts if each.refreshes.renewed_at]
        return [each.label for each in sorted(found, key=lambda each: each.refreshes.renewed_at or 0.0)]


@pytest.fixture
def house(home: Path, server: LoginServer) -> House:
    return House(home, server)


@asynccontextmanager
async def running(ahead: Ahead) -> AsyncIterator[None]:
    task = asyncio.create_task(ahead.keep_fresh())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_whoever_has_little_life_left_is_refreshed_and_the_first_to_end_comes_first(house: House) -> None:
    house.enrol(later=310, soon=200, over=-5, sooner=100)
    await house.ahead().look()
    assert house.renewed() == ["over", "sooner", "soon"]


async def test_never_two_at_a_time_and_a_while_between_two(house: House, server: LoginServer) -> None:
    house.enrol(a=10, b=20, c=30)
    server.delay = 0.05
    await house.ahead(Timing(stagger=0.2)).look()
    times = [house.account(name).refreshes.renewed_at or 0.0 for name in "abc"]
    assert times[1] - times[0] >= 0.25 and times[2] - times[1] >= 0.25


async def test_two_proxies_refresh_each_account_once_and_one_at_a_time(house: House, server: LoginServer) -> None:
    house.enrol(a=10, b=20, c=30)
    server.delay = 0.05
    await asyncio.gather(house.ahead().look(), house.ahead().look())
    assert (server.rotations, server.reuses) == (3, 0)


async def test_a_proxy_leaves_it_to_the_one_that_is_at_it(house: House, server: LoginServer) -> None:
    house.enrol(a=10)
    assert house.store.lease(LEASE, time.time()) is not None
    await house.ahead().look()
    assert server.requests == []
    await house.ahead(later=21).look()
    assert house.renewed() == ["a"]


async def test_the_disabled_and_the_dead_are_left_alone(house: House, server: LoginServer) -> None:
    house.enrol(disabled=10, dead=10)
    house.store.update(
        over_accounts(lambda all: (replace(all[0], enabled=False), replace(all[1], health=Health.NEEDS_LOGIN)))
    )
    await house.ahead().look()
    assert server.requests == []


async def test_an_account_that_another_proxy_refreshed_meanwhile_is_not_refreshed_again(
    house: House, server: LoginServer
) -> None:
    house.enrol(a=10, b=20)
    server.delay = 0.2
    look = asyncio.create_task(house.ahead().look())
    while not server.requests:
        await asyncio.sleep(0.01)
    await TokenKeeper(house.store, server.url).ahead("acct_b", time.time(), 300)
    await look
    assert (server.rotations, server.reuses) == (2, 0)


async def test_it_looks_again_and_again_until_it_is_cancelled(house: House, server: LoginServer) -> None:
    house.enrol(a=1000)
    async with running(house.ahead()):
        house.enrol(b=10)
        async with asyncio.timeout(10):
            while house.renewed() != ["b"]:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):  # It is given back in a thread.
        while house.store.lease(LEASE, time.time()) is None:
            await asyncio.sleep(0.01)


async def test_trouble_is_logged_once_for_each_reason_and_stops_nobody_else(
    house: House, server: LoginServer, caplog: pytest.LogCaptureFixture
) -> None:
    house.enrol(a=10, b=20)
    server.answers = [(503, b"")]
    ahead = house.ahead()
    await ahead.look()
    assert house.renewed() == ["b"]
    assert [record.getMessage() for record in caplog.records] == [
        "understudy: a could not be refreshed ahead of time: the login server answered 503"
    ]
    await ahead.look()
    assert len(server.requests) == 2, "a has to wait"


async def test_the_same_trouble_again_is_not_logged_again(
    house: House, server: LoginServer, caplog: pytest.LogCaptureFixture
) -> None:
    house.enrol(a=10)
    later = [0.0]
    store = AccountStore(house.store.home)

    def clock() -> float:
        return time.time() + later[0]

    roster, keeper = Roster(store, QuotaCache(store.home)), TokenKeeper(store, server.url, clock=clock)
    ahead = Ahead(roster, store, keeper, QUICK, clock)
    server.answers = [(503, b""), (503, b""), (500, b"")]
    for _ in range(4):
        await ahead.look()
        later[0] += 400
    reasons = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert reasons == ["the login server answered 503", "the login server answered 500"]
    assert house.renewed() == ["a"]


async def test_a_login_that_is_found_dead_is_logged_and_in_the_status_soon(
    house: House, server: LoginServer, caplog: pytest.LogCaptureFixture
) -> None:
    house.enrol(gone=10, good=1000)
    server.valid.clear()
    ahead = house.ahead()
    writer = asyncio.create_task(house.roster.keep_writing())
    await ahead.look()
    async with asyncio.timeout(10):
        while not (entries := QuotaCache(house.store.home).read()):
            await asyncio.sleep(0.01)
    writer.cancel()
    assert (entries[0].label, entries[0].health) == ("gone", Health.NEEDS_LOGIN)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "gone is used no more" in caplog.text


async def test_a_pool_that_cannot_be_read_ends_nothing(house: House, server: LoginServer) -> None:
    house.enrol(a=1000)
    good = house.store.path.read_bytes()
    house.store.path.write_bytes(b"torn")
    async with running(house.ahead()):
        async with asyncio.timeout(10):
            while house.store.path.exists():
                await asyncio.sleep(0.01)
        house.store.path.write_bytes(good)
        house.enrol(b=10)
        async with asyncio.timeout(10):
            while house.renewed() != ["b"]:
                await asyncio.sleep(0.01)


async def test_where_nothing_is_due_nothing_is_written(house: House) -> None:
    house.enrol(a=1000)
    ahead = house.ahead()
    before = sorted(path.name for path in house.store.home.rglob("*"))
    await ahead.look()
    assert sorted(path.name for path in house.store.home.rglob("*")) == before


async def test_tokens_that_could_not_be_saved_are_saved_before_anything_else(house: House, server: LoginServer) -> None:
    house.enrol(soon=200)
    ahead = house.ahead()
    server.delay = 0.2
    looking = asyncio.create_task(ahead.look())
    while not server.requests:
        await asyncio.sleep(0.01)
    lock = house.store.home / ".accounts.json.lock"
    lock.unlink()
    lock.mkdir()
    await looking
    lock.rmdir()
    # A process that has found the record of the refresh, and no answer to it.
    dead = replace(house.account("soon"), health=Health.NEEDS_LOGIN, health_reason="lost")
    house.store.update(over_accounts(lambda _: (dead,)))
    async with running(ahead), asyncio.timeout(10):
        while house.account("soon").health is not Health.OK:
            await asyncio.sleep(0.02)
    assert house.account("soon").tokens.refresh.reveal() in server.valid

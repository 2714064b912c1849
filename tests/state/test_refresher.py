"""A refresh token is used once: whoever dies and whatever fails, the record on disk tells what may have happened."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from support.login_server import LoginServer, serving
from support.logins import account, tokens
from understudy.oauth import client
from understudy.oauth.renewal import LOST, NeedsLogin, RefreshFailed
from understudy.pool.account import Account, Health
from understudy.pool.pool import over_accounts
from understudy.pool.refreshes import Refreshes
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.refresher import LoginServer as Server
from understudy.state.tokens import TokenKeeper

ID = "acct_ada"
Change = Callable[[Account], Account]


class Clock:
    """A clock that is moved on by hand."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with serving() as running:
        yield running


@pytest.fixture
def store(home: Path, server: LoginServer) -> AccountStore:
    """A pool of one account whose access token has expired, and another that is good."""
    expired, good = account("ada", expires_at=time.time() - 5), account("bob", expires_at=time.time() + 3600)
    server.valid |= {expired.tokens.refresh.reveal(): "ada", good.tokens.refresh.reveal(): "bob"}
    made = AccountStore(home)
    made.update(over_accounts(lambda _: (expired, good)))
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(store: AccountStore, server: LoginServer, clock: Clock) -> TokenKeeper:
    return TokenKeeper(store, server.url, clock=clock)


def stored(store: AccountStore, account_id: str = ID) -> Account:
    """The account as it is on disk."""
    return next(a for a in AccountStore(store.home).read().accounts if a.id == account_id)


def edit(store: AccountStore, change: Change) -> Account:
    """Changes the account on disk, as another process may."""
    store.update(over_accounts(lambda accounts: (change(accounts[0]), *accounts[1:])))
    return stored(store)


def ending(expires_at: float) -> Change:
    return lambda account: replace(account, tokens=replace(account.tokens, expires_at=expires_at))


def with_record(record: Refreshes) -> Change:
    return lambda account: replace(account, refreshes=record)


async def until_asked(server: LoginServer) -> None:
    """Waits for the refresh to reach the login server."""
    async with asyncio.timeout(10):
        while not server.requests:
            await asyncio.sleep(0.01)


def bar(store: AccountStore) -> Path:
    """Makes the pool impossible to write until what this gives is removed."""
    lock = store.home / ".accounts.json.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    return lock


async def unsaved(keeper: TokenKeeper, store: AccountStore, server: LoginServer) -> Account:
    """New tokens have come for bob, whose old ones live, and could not be written. Gives bob as he is on disk."""
    used = stored(store, "acct_bob")
    server.delay = 0.2
    caller = asyncio.create_task(keeper.renew("acct_bob", used.tokens.access, time.time()))
    await until_asked(server)
    lock = bar(store)
    with pytest.raises(StateError):
        await caller
    lock.rmdir()
    assert stored(store, "acct_bob").tokens == used.tokens
    return used


# Trouble that says nothing of the login


@pytest.mark.parametrize(
    ("status", "body", "pause"),
    [
        pytest.param(500, b"", 30, id="server error"),
        pytest.param(429, b'{"error": {"code": "rate_limited"}}', 30, id="too many requests"),
        pytest.param(403, b"<html>Just a moment...</html>", 30, id="challenge page"),
        pytest.param(302, b"", 30, id="redirect"),
        pytest.param(200, b"not json", 60, id="garbage, which may have been tokens"),
        pytest.param(200, b"{}", 60, id="no tokens"),
    ],
)
async def test_trouble_at_the_login_server_is_no_verdict_on_the_login(
    keeper: TokenKeeper,
    store: AccountStore,
    server: LoginServer,
    clock: Clock,
    status: int,
    body: bytes,
    pause: float,
) -> None:
    server.answers = [(status, body)]
    with pytest.raises(RefreshFailed):
        await keeper.fresh(ID, time.time())
    assert stored(store).health is Health.OK
    clock.now += pause - 1
    with pytest.raises(RefreshFailed, match="tried again in 1 s"):
        await keeper.fresh(ID, time.time())
    assert len(server.requests) == 1, "asked again too soon"
    clock.now += 1.1
    assert (await keeper.fresh(ID, time.time())).tokens.refresh.reveal() in server.valid


async def test_every_process_keeps_the_pause_after_trouble(store: AccountStore, server: LoginServer) -> None:
    server.answers = [(503, b"")]
    for _ in range(2):
        with pytest.raises(RefreshFailed, match="answered 503"):
            await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert len(server.requests) == 1


async def test_a_login_server_that_asks_for_a_longer_pause_is_given_it(
    keeper: TokenKeeper, server: LoginServer, clock: Clock
) -> None:
    server.answers, server.retry_after = [(429, b"{}")], "90"
    for later in (0, 89):
        clock.now += later
        with pytest.raises(RefreshFailed, match="answered 429"):
            await keeper.fresh(ID, time.time())
    assert len(server.requests) == 1


async def test_a_login_server_that_cannot_be_reached_is_tried_again_after_a_pause(
    keeper: TokenKeeper, store: AccountStore, clock: Clock
) -> None:
    right, keeper.server = keeper.server, Server("http://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(RefreshFailed, match="cannot be reached"):
            await keeper.fresh(ID, time.time())
    keeper.server = right
    clock.now += 31
    assert (await keeper.fresh(ID, time.time())).tokens == stored(store).tokens


async def test_an_account_makes_no_more_than_five_refreshes_a_minute(keeper: TokenKeeper, server: LoginServer) -> None:
    server.life = -5.0
    for _ in range(5):
        await keeper.fresh(ID, time.time())
    with pytest.raises(RefreshFailed, match="5 refreshes within a minute"):
        await keeper.fresh(ID, time.time())
    assert (server.rotations, server.reuses) == (5, 0)


# An answer that did not come


async def test_a_refresh_without_an_answer_is_not_sent_again_before_a_minute_has_passed(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, clock: Clock
) -> None:
    server.hang_up = True
    for _ in range(3):
        with pytest.raises(RefreshFailed, match="did not answer"):
            await keeper.fresh(ID, time.time())
    assert len(server.requests) == 1
    server.hang_up = False
    clock.now += 61
    for _ in range(3):
        with pytest.raises(NeedsLogin, match=LOST):
            await keeper.fresh(ID, time.time())
    assert (stored(store).health, stored(store).health_reason) == (Health.NEEDS_LOGIN, LOST)
    assert len(server.requests) == 2


async def test_an_answer_that_was_lost_is_not_forgotten_when_the_next_try_meets_trouble(
    keeper: TokenKeeper, server: LoginServer, clock: Clock
) -> None:
    server.hang_up = True
    with pytest.raises(RefreshFailed):
        await keeper.fresh(ID, time.time())
    server.hang_up, server.answers = False, [(503, b"")]
    clock.now += 61
    with pytest.raises(RefreshFailed):
        await keeper.fresh(ID, time.time())
    clock.now += 301
    with pytest.raises(NeedsLogin, match=LOST):
        await keeper.fresh(ID, time.time())


@pytest.mark.parametrize(("ago", "asked"), [(55.0, 0), (61.0, 1)])
async def test_a_refresh_whose_process_died_is_probed_after_a_minute(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, ago: float, asked: int
) -> None:
    edit(store, with_record(Refreshes(sent_at=time.time() - ago)))
    server.valid.clear()
    with pytest.raises((NeedsLogin, RefreshFailed), match=LOST if asked else "not known yet"):
        await keeper.fresh(ID, time.time())
    assert len(server.requests) == asked


async def test_a_refresh_whose_process_died_before_it_was_sent_is_made_up_for(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    edit(store, with_record(Refreshes(sent_at=time.time() - 61)))
    fresh = await keeper.fresh(ID, time.time())
    assert fresh == stored(store)
    assert fresh.refreshes.sent_at is None
    assert (server.rotations, server.reuses) == (1, 0)


async def test_a_login_that_ended_for_another_reason_says_so_after_a_lost_answer_too(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    edit(store, with_record(Refreshes(sent_at=time.time() - 61)))
    server.answers = [(403, b'{"error": {"code": "account_deactivated"}}')]
    with pytest.raises(NeedsLogin, match="deactivated"):
        await keeper.fresh(ID, time.time())


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(lambda now: Refreshes(sent_at=now - 5), id="another process has sent one"),
        pytest.param(lambda now: Refreshes(retry_at=now + 20, reason="the login server answered 503"), id="trouble"),
    ],
)
async def test_a_token_that_lives_is_used_while_no_refresh_may_be_sent(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, record: Callable[[float], Refreshes]
) -> None:
    edit(store, ending(float(int(time.time() + 30))))
    alive = edit(store, with_record(record(time.time())))
    assert store.lease(ID, time.time()) is not None, "its holder is waiting for the answer"
    assert await keeper.fresh(ID, time.time()) == alive
    assert server.requests == []


# On disk before and after


async def test_that_a_refresh_is_sent_is_on_disk_before_it_is(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, clock: Clock
) -> None:
    server.delay = 0.2
    caller = asyncio.create_task(keeper.fresh(ID, time.time()))
    await until_asked(server)
    assert stored(store).refreshes.sent_at == clock.now
    assert (await caller).refreshes.sent_at is None


async def test_a_pool_that_cannot_be_written_is_no_reason_to_ask_the_login_server(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    lock = bar(store)
    with pytest.raises(StateError):
        await keeper.fresh(ID, time.time())
    assert server.requests == []
    lock.rmdir()
    assert (await keeper.fresh(ID, time.time())).tokens.refresh.reveal() in server.valid


async def test_a_token_that_lives_is_used_while_the_pool_cannot_be_written(
    keeper: TokenKeeper, store: AccountStore
) -> None:
    alive = edit(store, ending(float(int(time.time() + 30))))
    bar(store)
    assert await keeper.fresh(ID, time.time()) == alive


async def test_tokens_that_could_not_be_saved_come_before_a_token_that_still_lives(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    used = await unsaved(keeper, store, server)
    assert not keeper.is_fresh(used, time.time())
    assert (await keeper.fresh("acct_bob", time.time())).tokens.refresh.reveal() in server.valid
    assert len(server.requests) == 1


async def test_tokens_that_could_not_be_saved_are_saved_at_the_end(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    await unsaved(keeper, store, server)
    await keeper.drain()
    assert stored(store, "acct_bob").tokens.refresh.reveal() in server.valid


async def test_a_login_that_others_took_for_lost_lives_again_with_the_tokens_that_could_not_be_saved(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, clock: Clock
) -> None:
    used = await unsaved(keeper, store, server)
    clock.now += 61
    with pytest.raises(NeedsLogin, match=LOST):
        await TokenKeeper(store, server.url, clock=clock).renew("acct_bob", used.tokens.access, clock.now)
    await keeper.fresh("acct_bob", clock.now)
    saved = stored(store, "acct_bob")
    assert (saved.health, saved.tokens.refresh.reveal() in server.valid) == (Health.OK, True)


async def test_tokens_that_cannot_be_saved_to_the_very_end_are_an_error_in_the_log(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, caplog: pytest.LogCaptureFixture
) -> None:
    await unsaved(keeper, store, server)
    bar(store)
    await keeper.drain()
    assert "the answer to the refresh of bob cannot be written" in caplog.text


async def test_a_holder_that_lost_its_lease_is_not_doubled_and_in_nobodys_way(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    server.delay = 0.3
    caller = asyncio.create_task(keeper.fresh(ID, time.time()))
    await until_asked(server)
    (store.home / "leases" / f"{ID}.json").unlink()
    with pytest.raises(RefreshFailed, match="not known yet"):
        await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert (await caller).tokens == stored(store).tokens
    assert len(server.requests) == 1


async def test_a_holder_that_stood_still_before_it_sent_anything_sends_nothing_any_more(
    keeper: TokenKeeper,
    store: AccountStore,
    server: LoginServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport = client._transport

    def suspended(route: client.Route) -> httpx.AsyncHTTPTransport:
        """Meanwhile another process has found the record and probed."""
        monkeypatch.undo()
        clock.now += 61
        (store.home / "leases" / f"{ID}.json").unlink()
        asyncio.run(TokenKeeper(store, server.url, clock=clock).fresh(ID, clock.now))
        return transport(route)

    monkeypatch.setattr(client, "_transport", suspended)
    assert (await keeper.fresh(ID, time.time())).tokens == stored(store).tokens
    assert (len(server.requests), server.reuses) == (1, 0)


async def test_a_login_that_comes_during_a_refresh_is_kept(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer
) -> None:
    server.delay = 0.2
    caller = asyncio.create_task(keeper.fresh(ID, time.time()))
    await until_asked(server)
    login = tokens("ada", expires_at=time.time() + 3600, mark="newer")
    edit(store, lambda account: replace(account, tokens=login, refreshes=Refreshes()))
    assert (await caller).tokens == login
    assert stored(store).tokens == login


# A final no


async def test_a_dead_login_is_logged_once_and_loudly_when_it_was_the_last(
    keeper: TokenKeeper, store: AccountStore, server: LoginServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.valid.clear()
    for account_id in (ID, ID, "acct_bob"):
        with pytest.raises(NeedsLogin):
            await keeper.renew(account_id, stored(store, account_id).tokens.access, time.time())
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["WARNING", "WARNING", "ERROR"]
    assert "ada is used no more: its refresh token was used by another program" in said[0][1]
    assert "bob is used no more" in said[1][1] and "no usable account is left" in said[2][1]
    assert all("`understudy login`" in text for _, text in said)

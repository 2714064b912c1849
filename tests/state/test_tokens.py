"""Access tokens are kept fresh, and no login is lost over it, whoever asks at the same time and whatever goes wrong."""

import asyncio
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.login_server import LoginServer, serving
from support.logins import CANARY, account, tokens
from understudy.oauth.renewal import NeedsLogin, RefreshFailed
from understudy.pool.account import Account, Health
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.lease import LIFETIME
from understudy.state.tokens import TokenKeeper
from understudy.wire.secret import Secret

ID = "acct_ada"


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with serving() as running:
        yield running


@pytest.fixture
def store(home: Path, server: LoginServer) -> AccountStore:
    """A pool of one account whose access token has expired, and another that is good."""
    expired, good = account("ada", expires_at=time.time() - 5), account("bob", expires_at=time.time() + 3600)
    server.valid[expired.tokens.refresh.reveal()] = "ada"
    made = AccountStore(home)
    made.update(over_accounts(lambda _: (expired, good)))
    return made


def stored(store: AccountStore, account_id: str = ID) -> Account:
    """The account as it is on disk."""
    return next(a for a in AccountStore(store.home).read().accounts if a.id == account_id)


async def test_a_token_with_life_in_it_is_handed_out_without_asking_anybody(
    store: AccountStore, server: LoginServer
) -> None:
    fresh = await TokenKeeper(store, server.url).fresh("acct_bob", time.time())
    assert fresh == stored(store, "acct_bob")
    assert server.requests == []


@pytest.mark.parametrize(("left", "refreshes"), [(59.0, 1), (61.0, 0)])
async def test_a_token_is_refreshed_when_less_than_a_minute_of_life_is_left(
    store: AccountStore, server: LoginServer, left: float, refreshes: int
) -> None:
    expires_at = stored(store).tokens.expires_at
    await TokenKeeper(store, server.url).fresh(ID, expires_at - left)
    assert len(server.requests) == refreshes


async def test_tokens_are_renewed_ahead_of_time_only_when_little_life_is_left(
    store: AccountStore, server: LoginServer
) -> None:
    keeper = TokenKeeper(store, server.url)
    used = stored(store, "acct_bob").tokens
    server.valid[used.refresh.reveal()] = "bob"
    await keeper.ahead("acct_bob", used.expires_at - 301, 300)
    assert server.requests == []
    await keeper.ahead("acct_bob", used.expires_at - 299, 300)
    assert stored(store, "acct_bob").tokens.refresh.reveal() in server.valid


async def test_the_request_is_the_one_that_codex_sends(store: AccountStore, server: LoginServer) -> None:
    spent = stored(store).tokens.refresh.reveal()
    await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert server.requests == [
        {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "grant_type": "refresh_token", "refresh_token": spent}
    ]


async def test_what_is_handed_out_is_on_disk_already(store: AccountStore, server: LoginServer) -> None:
    fresh = await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert fresh == stored(store)
    assert fresh.tokens.refresh.reveal() in server.valid


async def test_twenty_tasks_that_need_a_token_at_once_make_one_refresh(
    store: AccountStore, server: LoginServer
) -> None:
    server.delay = 0.1
    keeper = TokenKeeper(store, server.url)
    given = await asyncio.gather(*(keeper.fresh(ID, time.time()) for _ in range(20)))
    assert len(server.requests) == 1
    assert {each.tokens.access for each in given} == {stored(store).tokens.access}


async def test_two_keepers_in_one_process_make_one_refresh(store: AccountStore, server: LoginServer) -> None:
    server.delay = 0.1
    await asyncio.gather(*(TokenKeeper(store, server.url).fresh(ID, time.time()) for _ in range(2)))
    assert (len(server.requests), server.reuses) == (1, 0)


PROCESS = """
import asyncio, sys, time
from pathlib import Path
from understudy.state.accounts import AccountStore
from understudy.pool.pool import over_accounts
from understudy.state.tokens import TokenKeeper

async def work():
    keeper = TokenKeeper(AccountStore(Path(sys.argv[1])), sys.argv[2])
    await asyncio.gather(*(keeper.fresh("acct_ada", time.time()) for _ in range(5)))

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(work())
"""


def test_four_processes_that_need_a_token_at_once_make_one_refresh(store: AccountStore, server: LoginServer) -> None:
    server.delay = 0.2
    command = [sys.executable, "-c", PROCESS, str(store.home), server.url]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=30) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ended
    assert (len(server.requests), server.reuses) == (1, 0)
    assert stored(store).tokens.refresh.reveal() in server.valid


async def test_a_caller_that_hangs_up_does_not_lose_the_rotated_token(store: AccountStore, server: LoginServer) -> None:
    server.delay = 0.3
    keeper = TokenKeeper(store, server.url)
    caller = asyncio.create_task(keeper.fresh(ID, time.time()))
    while not server.requests:
        await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await keeper.drain()
    assert stored(store).tokens.refresh.reveal() in server.valid
    assert (await keeper.fresh(ID, time.time())).tokens == stored(store).tokens
    assert len(server.requests) == 1


async def test_a_refresh_that_begins_while_the_process_ends_is_waited_for_too(
    store: AccountStore, server: LoginServer
) -> None:
    keeper, bob = TokenKeeper(store, server.url), stored(store, "acct_bob")
    server.valid[bob.tokens.refresh.reveal()] = "bob"
    server.delay = 0.4
    first = asyncio.create_task(keeper.fresh(ID, time.time()))
    await asyncio.sleep(0.2)
    ending = asyncio.create_task(keeper.drain())
    await asyncio.sleep(0)
    second = asyncio.create_task(keeper.renew("acct_bob", bob.tokens.access, time.time()))
    await ending
    assert stored(store, "acct_bob").tokens != bob.tokens
    await asyncio.gather(first, second)


@pytest.mark.parametrize(
    "code", ["refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated", "invalid_grant"]
)
async def test_a_permanent_no_marks_the_account_and_is_never_asked_for_again(
    store: AccountStore, server: LoginServer, code: str
) -> None:
    server.answers = [(400, f'{{"error": {{"code": "{code}", "message": "rt_{CANARY}"}}}}'.encode())]
    keeper = TokenKeeper(store, server.url)
    with pytest.raises(NeedsLogin) as refused:
        await keeper.fresh(ID, time.time())
    assert refused.value.label == "ada"
    assert stored(store).health is Health.NEEDS_LOGIN
    assert stored(store).health_reason == refused.value.reason
    with pytest.raises(NeedsLogin):
        await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert len(server.requests) == 1


async def test_a_token_serves_out_its_last_minute_where_no_other_is_to_be_had(
    store: AccountStore, server: LoginServer
) -> None:
    server.answers = [(503, b"")]
    soon = tokens("ada", expires_at=time.time() + 30)
    store.update(over_accounts(lambda accounts: (replace(accounts[0], tokens=soon), *accounts[1:])))
    assert (await TokenKeeper(store, server.url).fresh(ID, time.time())).tokens == soon
    assert len(server.requests) == 1


async def test_a_refused_token_is_renewed_though_it_looks_alive(store: AccountStore, server: LoginServer) -> None:
    used = stored(store, "acct_bob").tokens
    server.valid[used.refresh.reveal()] = "bob"
    renewed = await TokenKeeper(store, server.url).renew("acct_bob", used.access, time.time())
    assert renewed.tokens.access != used.access
    assert len(server.requests) == 1


async def test_a_refused_token_that_another_process_has_replaced_costs_no_refresh(
    store: AccountStore, server: LoginServer
) -> None:
    keeper = TokenKeeper(store, server.url)
    await keeper.fresh("acct_bob", time.time())
    newer = tokens("bob", expires_at=time.time() + 3600, mark="newer")
    AccountStore(store.home).update(over_accounts(lambda accounts: (accounts[0], replace(accounts[1], tokens=newer))))
    assert (await keeper.renew("acct_bob", Secret("the one before"), time.time())).tokens == newer
    assert server.requests == []


async def test_a_disabled_account_is_never_refreshed(store: AccountStore, server: LoginServer) -> None:
    store.update(over_accounts(lambda accounts: (replace(accounts[0], enabled=False), *accounts[1:])))
    with pytest.raises(RefreshFailed, match="disabled"):
        await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert server.requests == []


async def test_a_refresh_does_not_bring_back_an_account_that_was_removed_meanwhile(
    store: AccountStore, server: LoginServer
) -> None:
    server.delay = 0.2
    caller = asyncio.create_task(TokenKeeper(store, server.url).fresh(ID, time.time()))
    while not server.requests:
        await asyncio.sleep(0.01)
    store.update(over_accounts(lambda accounts: accounts[1:]))
    with pytest.raises(RefreshFailed, match="removed"):
        await caller
    assert [a.id for a in AccountStore(store.home).read().accounts] == ["acct_bob"]


async def test_a_refresh_keeps_what_the_user_changed_meanwhile(store: AccountStore, server: LoginServer) -> None:
    server.delay = 0.2
    caller = asyncio.create_task(TokenKeeper(store, server.url).fresh(ID, time.time()))
    while not server.requests:
        await asyncio.sleep(0.01)
    store.update(over_accounts(lambda accounts: (replace(accounts[0], enabled=False, label="mine"), *accounts[1:])))
    await caller
    now = stored(store)
    assert (now.enabled, now.label) == (False, "mine")
    assert now.tokens.refresh.reveal() in server.valid


async def test_tokens_of_another_account_are_not_taken(store: AccountStore, server: LoginServer) -> None:
    server.valid[stored(store).tokens.refresh.reveal()] = "mallory"
    with pytest.raises(RefreshFailed, match="another account"):
        await TokenKeeper(store, server.url).fresh(ID, time.time())
    assert stored(store).health is Health.OK
    assert stored(store).tokens == account("ada", expires_at=stored(store).tokens.expires_at).tokens


async def test_tokens_that_could_not_be_saved_are_saved_by_the_next_call(
    store: AccountStore, server: LoginServer
) -> None:
    server.delay = 0.2
    keeper = TokenKeeper(store, server.url)
    caller = asyncio.create_task(keeper.fresh(ID, time.time()))
    while not server.requests:
        await asyncio.sleep(0.01)
    good = store.path.read_bytes()
    store.path.write_bytes(b"torn")
    with pytest.raises(StateError):
        await caller
    store.path.write_bytes(good)
    store.path.chmod(0o600)
    assert (await keeper.fresh(ID, time.time())).tokens.refresh.reveal() in server.valid
    assert len(server.requests) == 1


async def test_a_lease_whose_holder_died_ends_by_itself(store: AccountStore, server: LoginServer) -> None:
    assert store.lease(ID, time.time() - LIFETIME + 0.5) is not None
    assert (await TokenKeeper(store, server.url).fresh(ID, time.time())).tokens.refresh.reveal() in server.valid


async def test_an_issuer_in_the_clear_is_sent_nothing(store: AccountStore) -> None:
    with pytest.raises(RefreshFailed, match="https"):
        await TokenKeeper(store, "http://auth.example").fresh(ID, time.time())


async def test_no_error_shows_a_token(
    store: AccountStore, server: LoginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [(200, b'{"access_token": "bad token"}'), (400, b'{"error": "invalid_grant"}')]
    clock = [time.time()]
    keeper = TokenKeeper(store, server.url, clock=lambda: clock[0])
    said = repr(store.read()) + repr(keeper) + repr(stored(store))
    for expected in (RefreshFailed, NeedsLogin):
        with pytest.raises(expected) as caught:
            await keeper.fresh(ID, time.time())
        said += "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        clock[0] += 61
    assert CANARY not in said
    assert "eyJ" not in said

"""An API key is kept as tokens are, in the file or in the keychain, and no refresh is ever sent for it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.keychain import PrivateKeychain
from support.login_server import LoginServer, serving
from support.logins import CANARY, account
from understudy.oauth.api_key import enrol_key, key_login, read_key
from understudy.oauth.renewal import RefreshFailed
from understudy.pool.account import Account, Block, Ground, Spending
from understudy.pool.edits import restored
from understudy.pool.health import block
from understudy.pool.pool import Pool, over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.tokens import TokenKeeper


def key() -> Account:
    login = key_login(read_key(f"sk-{CANARY}"))
    return enrol_key((), login, "acct_key", "paid", now=1.0).account


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with serving() as running:
        yield running


@pytest.fixture
def store(home: Path) -> AccountStore:
    made = AccountStore(home)
    made.update(over_accounts(lambda _: (key(),)))
    return made


async def test_a_key_is_handed_out_as_it_is(store: AccountStore, server: LoginServer) -> None:
    keeper = TokenKeeper(store, server.url)
    assert await keeper.fresh("acct_key", time.time()) == key()
    await keeper.ahead("acct_key", time.time(), 300.0)
    assert server.requests == []
    assert store.read().revision == 1, "nothing was noted either"


async def test_a_key_that_is_refused_is_not_renewed_and_not_given_up_for_it(
    store: AccountStore, server: LoginServer
) -> None:
    with pytest.raises(RefreshFailed, match="an API key is never renewed"):
        await TokenKeeper(store, server.url).renew("acct_key", key().tokens.access, time.time())
    assert server.requests == []
    assert store.read().accounts == (key(),)


def test_more_models_than_blocks_are_kept_for_push_the_oldest_out(store: AccountStore) -> None:
    blocked = key()
    for number in range(70):
        blocked = block(blocked, Block(9.0, "not in its plan", False, ground=Ground.ENTITLEMENT, model=f"m-{number}"))
    store.update(over_accounts(lambda _: (blocked,)))
    assert [found.model for found in store.read().accounts[0].blocks] == [f"m-{number}" for number in range(6, 70)]


def test_in_the_keychain_a_key_is_like_any_token(home: Path, keychain: PrivateKeychain) -> None:
    store = AccountStore(home, keyring=True)
    store.update(over_accounts(lambda _: (account("ada"), key())))
    assert AccountStore(home).read().accounts == (account("ada"), key())
    assert [p.name for p in home.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()] == []
    assert len(keychain.entries()) == 2


def test_a_pool_that_is_brought_back_does_not_forget_what_was_spent(store: AccountStore) -> None:
    spent = Pool((replace(key(), spending=Spending(20_833, 50)),))
    assert restored(Pool((key(),)), spent).accounts[0].spending == Spending(20_833, 50)

"""A proxy with `codex_keyring` keeps tokens in the keychain, and the commands follow it there."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.backstage import Backstage
from support.hosts import curl
from support.keychain import PrivateKeychain
from support.proxy import clean_environment
from support.theatre import Theatre, eventually, opened_theatre, roles
from understudy.pool.account import Account
from understudy.pool.edits import enable
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

ANSWER = {"do": "answer"}


@pytest.fixture
def theatre(
    tmp_path: Path, confdir_template: Path, authority_file: Path, keychain: PrivateKeychain
) -> Iterator[Theatre]:
    """A proxy with the option on."""
    stage = Backstage(tmp_path, confdir_template, authority_file)
    with opened_theatre(Sandbox(roles()), stage.home, stage.confdir, authority_file, codex_keyring="true") as theatre:
        yield theatre


def in_no_file(home: Path, account: Account) -> bool:
    refresh = account.tokens.refresh.reveal().encode()
    return not any(refresh in path.read_bytes() for path in home.glob("accounts.json*"))


def test_tokens_move_into_the_keychain_and_are_refreshed_there(theatre: Theatre, keychain: PrivateKeychain) -> None:
    theatre.cast(work=ANSWER)
    assert theatre.ask().status == 200
    first = theatre.account("work")
    eventually(lambda: in_no_file(theatre.proxy.home, first))
    theatre.store.update(
        over_accounts(lambda accounts: tuple(replace(a, tokens=replace(a.tokens, expires_at=0.0)) for a in accounts))
    )
    assert theatre.ask().status == 200
    renewed = theatre.account("work")
    assert renewed.tokens.refresh.reveal() == theatre.sandbox.tokens(theatre.login("work")).refresh
    assert renewed.tokens.refresh != first.tokens.refresh
    assert in_no_file(theatre.proxy.home, renewed)
    assert len(keychain.entries()) == 1


def test_tokens_move_as_soon_as_a_proxy_runs_and_stay_where_one_has_no_option(
    tmp_path: Path, confdir_template: Path, authority_file: Path, keychain: PrivateKeychain
) -> None:
    stage = Backstage(tmp_path, confdir_template, authority_file)
    with Sandbox({"accounts": {"work": {}}}) as sandbox:
        stage.enrol(sandbox)
        [account] = AccountStore(stage.home).read().accounts
        assert not in_no_file(stage.home, account)
        with stage.proxy(sandbox, options={"codex_keyring": "true"}):
            eventually(lambda: in_no_file(stage.home, account))
        with stage.proxy(sandbox) as proxy:
            AccountStore(stage.home).update(lambda pool: enable(pool, account.id, False))
            eventually(lambda: curl(proxy, {"model": "gpt-5.5", "input": "hi"}).status == 503)  # it has read the pool
        assert in_no_file(stage.home, account)
        with stage.proxy(sandbox, options={"codex_keyring": "false"}):
            eventually(lambda: not in_no_file(stage.home, account))
        assert not keychain.entries()


def test_commands_find_tokens_in_the_keychain_and_remove_them_there(
    theatre: Theatre, keychain: PrivateKeychain
) -> None:
    theatre.cast(work=ANSWER, home=ANSWER)
    assert theatre.ask().status == 200
    eventually(lambda: len(keychain.entries()) == 2)
    for words in (["accounts", "list"], ["accounts", "remove", "work", "--yes"]):
        subprocess.run(
            [sys.executable, "-m", "understudy", *words],
            env=clean_environment(UNDERSTUDY_HOME=str(theatre.proxy.home)),
            check=True,
            capture_output=True,
            timeout=30,
        )
    assert [name.rpartition("-")[0] for name in keychain.entries()] == [theatre.account("home").id]

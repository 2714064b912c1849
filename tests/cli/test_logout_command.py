"""`understudy logout` against a sandbox: the account is gone here, and what became of its login there is said."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sandbox.client import ask
from support.command import Command
from understudy.cli.logout import revoke
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.pool import with_accounts
from understudy.pool.refreshes import sending
from understudy.proxy.options import read_offline
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.state.schema import NO_TOKENS

SCENARIO: dict[str, object] = {"accounts": {"work": {}, "home": {}}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
def store(home: Path, sandbox: Sandbox) -> AccountStore:
    """A pool with both of the sandbox's accounts."""
    store = AccountStore(home)
    for number, label in enumerate(("work", "home")):
        login = read_auth_json(sandbox.auth_json(label))
        enrolled = enrol(store.read().accounts, login, f"acct_00000000000{number}", label, now=1.0)
        store.update(partial(with_accounts, accounts=enrolled.accounts))
    return store


def logout(home: Path, name: str, issuer: str) -> tuple[int, str]:
    with Command(home, ["logout", name, "--set", f"codex_issuer={issuer}"]) as command:
        return command.end(), command.output


def labels(store: AccountStore) -> list[str]:
    return [account.label for account in store.read().accounts]


def test_a_logout_ends_the_login_and_removes_the_account(home: Path, sandbox: Sandbox, store: AccountStore) -> None:
    code, output = logout(home, "work", sandbox.issuer)
    assert (code, labels(store)) == (0, ["home"])
    assert "removed work" in output and "ended at ChatGPT" in output
    assert (ask(sandbox, "work").status_code, ask(sandbox, "home").status_code) == (401, 200)
    assert not [secret for secret in sandbox.secrets() if secret in output]


def test_an_account_is_removed_where_the_login_server_cannot_be_reached(
    home: Path, sandbox: Sandbox, store: AccountStore
) -> None:
    code, output = logout(home, "work", "http://127.0.0.1:1")
    assert (code, labels(store)) == (0, ["home"])
    assert "removed work" in output and "may still be good at ChatGPT" in output and "cannot be reached" in output
    assert ask(sandbox, "work").status_code == 200


def test_what_cannot_be_put_into_the_status_keeps_no_login_alive(
    home: Path, sandbox: Sandbox, store: AccountStore
) -> None:
    (home / ".quota.json.lock").mkdir()
    code, output = logout(home, "work", sandbox.issuer)
    assert (code, labels(store)) == (0, ["home"])
    assert "status` does not show this yet" in output and "ended at ChatGPT" in output
    assert ask(sandbox, "work").status_code == 401


async def test_a_login_whose_tokens_are_missing_is_not_said_to_be_ended(sandbox: Sandbox, store: AccountStore) -> None:
    work, _ = store.read().accounts
    failed = await revoke(replace(work, tokens=NO_TOKENS), read_offline([f"codex_issuer={sandbox.issuer}"]))
    assert "not in this keychain" in failed
    assert len(sandbox.journal) == 0, "nothing was asked of the login server"


async def test_a_login_that_is_being_refreshed_is_not_said_to_be_ended(sandbox: Sandbox, store: AccountStore) -> None:
    work, _ = store.read().accounts
    refreshing = replace(work, refreshes=sending(work.refreshes, time.time()))
    failed = await revoke(refreshing, read_offline([f"codex_issuer={sandbox.issuer}"]))
    assert failed == "a refresh of it was under way"
    assert ask(sandbox, "work").status_code == 401


def test_an_account_that_is_not_there_is_named(home: Path, sandbox: Sandbox, store: AccountStore) -> None:
    code, output = logout(home, "wrok", sandbox.issuer)
    assert (code, labels(store)) == (1, ["work", "home"])
    assert "'wrok'" in output and "work, home" in output
    assert len(sandbox.journal) == 0, "nothing was asked of the login server"


def test_the_status_no_longer_shows_the_account(home: Path, sandbox: Sandbox, store: AccountStore) -> None:
    logout(home, "work", sandbox.issuer)
    assert '"home"' in (home / "quota.json").read_text() and '"work"' not in (home / "quota.json").read_text()

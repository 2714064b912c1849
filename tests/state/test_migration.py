"""A pool that an earlier version wrote is read as it is, and written in the present form with the original kept."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, account
from support.writers import version_1
from understudy.pool.account import Account, Block, Ground, Health, Lane, Spending, Tokens
from understudy.pool.pool import Pin, Pool, over_accounts
from understudy.pool.refreshes import Refreshes
from understudy.state.accounts import AccountStore
from understudy.state.errors import StoreCorrupt
from understudy.wire.numbers import END_OF_TIME
from understudy.wire.secret import Secret

FIRST = """
{
  "version": 1,
  "revision": 41,
  "accounts": [
    {
      "id": "acct_0123456789ab",
      "label": "plus-ada",
      "account_id": "ws-ada",
      "user_id": "user-ada",
      "email": "ada@example.com",
      "plan": "plus",
      "fedramp": false,
      "enabled": false,
      "health": "needs_login",
      "health_reason": "the login has expired",
      "block": {"until": 1800000000.5, "reason": "usage limit", "authoritative": true, "limit": true},
      "last_used_at": 1799999999.0,
      "tokens": {
        "access": "fake.access.token",
        "refresh": "rt_fake-refresh-token",
        "id_token": "",
        "expires_at": 1800003600.0
      }
    }
  ]
}
"""
"""As the first version wrote it."""


SECOND = """
{
  "version": 2,
  "revision": 41,
  "affinity_generation": 3,
  "pin": {"account": "acct_0123456789ab", "soft": true},
  "accounts": [
    {
      "id": "acct_0123456789ab",
      "label": "plus-ada",
      "account_id": "ws-ada",
      "user_id": "user-ada",
      "email": "ada@example.com",
      "plan": "plus",
      "fedramp": false,
      "enabled": false,
      "health": "needs_login",
      "health_reason": "the login has expired",
      "health_at": 1799999998.0,
      "block": {"until": 1800000000.5, "reason": "token refused", "authoritative": false, "limit": false},
      "last_used_at": 1799999999.0,
      "added_at": 1700000000.0,
      "tags": ["work"],
      "note": "until May",
      "refreshes": {
        "sent_at": null, "streak": 1, "retry_at": 5.0, "reason": "no answer", "attempts": [1.0], "renewed_at": 0.5
      },
      "tokens": {
        "access": "fake.access.token",
        "refresh": "rt_fake-refresh-token",
        "id_token": "",
        "expires_at": 1800003600.0
      }
    }
  ]
}
"""
"""As the second version wrote it."""


def written(home: Path, text: str) -> AccountStore:
    home.mkdir(mode=0o700)
    (home / "accounts.json").write_text(text)
    return AccountStore(home)


@pytest.fixture
def store(home: Path) -> AccountStore:
    """A store whose file is of the first version."""
    return written(home, FIRST)


def kept(store: AccountStore) -> list[Path]:
    return sorted((store.home / "backups").glob("*"))


def test_all_that_the_first_version_knew_is_there_and_the_rest_is_as_if_never_set(store: AccountStore) -> None:
    pool = store.read()
    (found,) = pool.accounts
    assert (pool.pin, pool.affinity_generation, pool.revision) == (None, 0, 41)
    assert (found.id, found.label, found.plan, found.enabled) == ("acct_0123456789ab", "plus-ada", "plus", False)
    assert (found.health, found.health_reason) == (Health.NEEDS_LOGIN, "the login has expired")
    assert found.block == Block(1800000000.5, "usage limit", authoritative=True, ground=Ground.LIMIT)
    assert found.tokens.refresh.reveal() == "rt_fake-refresh-token"
    assert (found.tags, found.note, found.added_at, found.health_at, found.refreshes) == (
        (),
        "",
        None,
        None,
        Refreshes(),
    )


def test_all_that_the_second_version_knew_is_there_and_its_block_has_a_ground(home: Path) -> None:
    pool = written(home, SECOND).read()
    (found,) = pool.accounts
    assert (pool.pin, pool.affinity_generation, pool.revision) == (Pin("acct_0123456789ab", soft=True), 3, 41)
    assert found == Account(
        id="acct_0123456789ab",
        label="plus-ada",
        account_id="ws-ada",
        user_id="user-ada",
        tokens=Tokens(Secret("fake.access.token"), Secret("rt_fake-refresh-token"), Secret(""), 1800003600.0),
        email="ada@example.com",
        plan="plus",
        enabled=False,
        health=Health.NEEDS_LOGIN,
        health_reason="the login has expired",
        health_at=1799999998.0,
        blocks=(Block(1800000000.5, "token refused", False, ground=Ground.LOGIN, since=0.0),),
        last_used_at=1799999999.0,
        added_at=1700000000.0,
        tags=("work",),
        note="until May",
        refreshes=Refreshes(streak=1, retry_at=5.0, reason="no answer", attempts=(1.0,), renewed_at=0.5),
        reserve_percent=0.0,
        lane=Lane.CODEX,
        spending=Spending(),
    )


@pytest.mark.parametrize("text", [FIRST, SECOND], ids=["first", "second"])
def test_an_account_that_was_not_blocked_is_not_blocked(home: Path, text: str) -> None:
    block = next(line for line in text.splitlines() if '"block"' in line)
    assert written(home, text.replace(block, '"block": null,')).read().accounts[0].blocks == ()


def test_to_read_it_writes_nothing(store: AccountStore) -> None:
    store.read()
    store.update(lambda pool: pool)
    assert store.path.read_text() == FIRST
    assert kept(store) == [] and not store.backup.exists()


@pytest.mark.parametrize("text", [FIRST, SECOND], ids=["first", "second"])
def test_the_first_change_writes_the_present_form_and_keeps_the_original_to_the_byte(home: Path, text: str) -> None:
    store = written(home, text)
    before = store.read()
    store.update(lambda pool: replace(pool, affinity_generation=7))
    assert json.loads(store.path.read_bytes())["version"] == 3
    assert AccountStore(store.home).read() == replace(before, affinity_generation=7, revision=42)
    (copy,) = kept(store)
    assert copy.read_text() == text
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    store.update(lambda pool: replace(pool, affinity_generation=8))
    assert kept(store) == [copy], "what is of the present form is not copied"


def test_an_original_that_cannot_be_kept_is_not_replaced(store: AccountStore) -> None:
    (store.home / "backups").write_text("in the way")
    with pytest.raises(Exception, match="backups"):
        store.update(lambda pool: replace(pool, affinity_generation=1))
    assert store.path.read_text() == FIRST


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(('"enabled": false', '"enabled": "no"'), id="a wrong type"),
        pytest.param(('"limit": true', '"limit": 1'), id="a block that is for nothing"),
        pytest.param((', "limit": true', ""), id="a block that does not say what for"),
        pytest.param(('"block": {', '"block": 7, "more": {'), id="a block that is none"),
        pytest.param(('"label": "plus-ada",', ""), id="a field is missing"),
        pytest.param(('"accounts": [', '"accounts": 5, "more": ['), id="no accounts"),
        pytest.param(('"accounts": [', '"accounts": [7, '), id="an account that is none"),
    ],
)
def test_one_that_is_damaged_is_set_aside(store: AccountStore, damage: tuple[str, str]) -> None:
    data = FIRST.replace(*damage)
    assert data != FIRST
    store.path.write_text(data)
    with pytest.raises(StoreCorrupt) as caught:
        store.read()
    assert caught.value.kept.read_text() == data


def test_a_damaged_one_of_the_second_version_is_set_aside_too(home: Path) -> None:
    block = next(line for line in SECOND.splitlines() if '"block"' in line)
    with pytest.raises(StoreCorrupt) as caught:
        written(home, SECOND.replace(block, "")).read()
    assert "accounts.0.blocks" in str(caught.value)


def test_the_form_of_the_first_version_is_the_one_that_other_tests_make(store: AccountStore) -> None:
    made = json.loads(version_1((account("ada"),)))
    first = json.loads(FIRST)
    assert made.keys() == first.keys()
    assert made["accounts"][0].keys() == first["accounts"][0].keys()


def test_all_fields_of_the_present_form_come_back_as_they_were(home: Path) -> None:
    full = replace(
        account("ada"),
        tags=("work", "eu"),
        note="until May",
        added_at=1.5,
        health=Health.NEEDS_LOGIN,
        health_reason="the login has expired",
        health_at=2.5,
        refreshes=Refreshes(
            sent_at=3.5, streak=2, retry_at=4.5, reason="no answer", attempts=(1.0, 2.0), renewed_at=0.5
        ),
        reserve_percent=12.5,
        blocks=(
            Block(
                9.5, "usage limit", authoritative=True, limit_id="spark", model="gpt-5-spark", since=3.0, tried_at=4.0
            ),
            *(Block(9.0, ground.value, False, ground=ground, model="m", since=1.0) for ground in Ground),
        ),
    )
    paid = replace(
        account("key"),
        lane=Lane.PLATFORM,
        tokens=Tokens(Secret("sk-key"), Secret(""), Secret(""), END_OF_TIME - 1),
        spending=Spending(day=20_833, requests=49),
    )
    pool = Pool((full, account("bob"), paid), Pin("acct_bob", soft=True), affinity_generation=7, revision=0)
    written = AccountStore(home).update(lambda _: pool)
    assert written == replace(pool, revision=1) == AccountStore(home).read()
    assert CANARY not in repr(written)


def test_a_pin_goes_with_its_account(home: Path) -> None:
    store = AccountStore(home)
    store.update(lambda _: Pool((account("ada"), account("bob")), Pin("acct_bob")))
    store.update(over_accounts(lambda accounts: accounts[:1]))
    assert AccountStore(home).read().pin is None


def test_a_pin_on_nobody_is_not_written(home: Path) -> None:
    with pytest.raises(ValueError, match="pins an account that is not there"):
        AccountStore(home).update(lambda _: Pool((account("ada"),), Pin("acct_bob")))

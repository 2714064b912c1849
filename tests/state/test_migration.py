"""A pool that an earlier version wrote is read as it is, and written in the present form with the original kept."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, account
from support.writers import version_1
from understudy.pool.account import Block, Health
from understudy.pool.pool import Pin, Pool, over_accounts
from understudy.pool.refreshes import Refreshes
from understudy.state.accounts import AccountStore
from understudy.state.errors import StoreCorrupt

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


@pytest.fixture
def store(home: Path) -> AccountStore:
    """A store whose file is of the first version."""
    home.mkdir(mode=0o700)
    (home / "accounts.json").write_text(FIRST)
    return AccountStore(home)


def kept(store: AccountStore) -> list[Path]:
    return sorted((store.home / "backups").glob("*"))


def test_all_that_the_first_version_knew_is_there_and_the_rest_is_as_if_never_set(store: AccountStore) -> None:
    pool = store.read()
    (found,) = pool.accounts
    assert (pool.pin, pool.affinity_generation, pool.revision) == (None, 0, 41)
    assert (found.id, found.label, found.plan, found.enabled) == ("acct_0123456789ab", "plus-ada", "plus", False)
    assert (found.health, found.health_reason) == (Health.NEEDS_LOGIN, "the login has expired")
    assert found.block == Block(1800000000.5, "usage limit", authoritative=True, limit=True)
    assert found.tokens.refresh.reveal() == "rt_fake-refresh-token"
    assert (found.tags, found.note, found.added_at, found.health_at, found.refreshes) == (
        (),
        "",
        None,
        None,
        Refreshes(),
    )


def test_to_read_it_writes_nothing(store: AccountStore) -> None:
    store.read()
    store.update(lambda pool: pool)
    assert store.path.read_text() == FIRST
    assert kept(store) == [] and not store.backup.exists()


def test_the_first_change_writes_the_present_form_and_keeps_the_original_to_the_byte(store: AccountStore) -> None:
    before = store.read()
    store.update(lambda pool: replace(pool, affinity_generation=1))
    assert json.loads(store.path.read_bytes())["version"] == 2
    assert AccountStore(store.home).read() == replace(before, affinity_generation=1, revision=42)
    (copy,) = kept(store)
    assert copy.read_text() == FIRST
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    store.update(lambda pool: replace(pool, affinity_generation=2))
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
    )
    pool = Pool((full, account("bob")), Pin("acct_bob", soft=True), affinity_generation=7, revision=0)
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

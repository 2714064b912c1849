"""With the keychain on, no token is in a file; with it off, or in trouble, none is lost."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from support.disks import no_file_larger_than
from support.keychain import PrivateKeychain
from support.killing import Stepping
from support.logins import CANARY, account, tokens
from support.writers import PROGRAM, members, number_of
from understudy.pool.account import Account, Health, Tokens
from understudy.pool.pool import Accounts, Pool, over_accounts
from understudy.state import schema
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError, StoreCorrupt
from understudy.state.kept import find, restore
from understudy.state.vault import Vault

# The library leaves connections open where a keychain is locked.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

ADA, BOB, CY = account("ada"), account("bob"), account("cy")


def putting(*accounts: Account) -> Callable[[Pool], Pool]:
    return over_accounts(lambda _: accounts)


def used_at(at: float) -> Callable[[Pool], Pool]:
    """A change that is none of the tokens."""
    return over_accounts(lambda accounts: tuple(replace(a, last_used_at=at) for a in accounts))


def accounts(home: Path) -> Accounts:
    """What another process reads."""
    return AccountStore(home).read().accounts


def in_files(home: Path) -> list[str]:
    """The files with a token in them."""
    return sorted(p.name for p in home.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes())


def entry_of(home: Path, label: str) -> str:
    """The name of an account's entry, as the file has it."""
    document = json.loads((home / "accounts.json").read_bytes())
    (name,) = (a["tokens"]["keychain"] for a in document["accounts"] if a["label"] == label)
    assert isinstance(name, str)
    return name


@pytest.fixture
def store(home: Path, keychain: PrivateKeychain) -> AccountStore:
    """A pool of two accounts with their tokens in the keychain."""
    made = AccountStore(home, keyring=True)
    made.update(putting(ADA, BOB))
    return made


def test_tokens_are_in_the_keychain_and_in_no_file(store: AccountStore, keychain: PrivateKeychain) -> None:
    assert accounts(store.home) == (ADA, BOB)
    assert in_files(store.home) == []
    assert sorted(keychain.entries()) == sorted([entry_of(store.home, "ada"), entry_of(store.home, "bob")])


def test_backups_hold_no_token_either(store: AccountStore) -> None:
    backup = store.back_up()
    assert backup is not None and store.backup.exists()
    assert in_files(store.home) == []
    store.path.unlink()
    backup.rename(store.path)
    assert accounts(store.home) == (ADA, BOB)


def test_an_earlier_pool_is_brought_back_with_the_tokens_that_there_are(
    store: AccountStore, keychain: PrivateKeychain
) -> None:
    backup = store.back_up()
    assert backup is not None
    store.update(putting(BOB))
    kept = find(store.home, backup.name)
    assert kept is not None and kept.pool is not None
    restore(store, store.read_copy(kept.path))
    ada, bob = accounts(store.home)
    assert (ada.label, ada.health, bob) == ("ada", Health.NEEDS_LOGIN, BOB), "to remove ada deleted her tokens"
    store.path.write_bytes(b"torn")
    with pytest.raises(StoreCorrupt):
        store.read()
    restore(store, store.read_copy(kept.path))
    assert accounts(store.home)[1] == BOB


def test_an_earlier_pool_is_brought_back_with_tokens_that_only_the_keychain_has(store: AccountStore) -> None:
    backup = store.back_up()
    assert backup is not None
    store.path.unlink()
    store.backup.unlink()
    fresh = AccountStore(store.home)
    restore(fresh, fresh.read_copy(backup))
    assert accounts(store.home) == (ADA, BOB)


def test_turned_on_the_next_write_moves_the_tokens(home: Path, keychain: PrivateKeychain) -> None:
    store = AccountStore(home, keyring=False)
    store.update(putting(ADA, BOB))
    store.keyring = True
    assert store.read().accounts == (ADA, BOB)
    assert in_files(home) == ["accounts.json", "accounts.json.bak"], "to read moves nothing"
    store.update(used_at(1.0))
    assert in_files(home) == []
    assert [a.tokens for a in accounts(home)] == [ADA.tokens, BOB.tokens]


def test_turned_off_the_next_write_moves_them_back(store: AccountStore, keychain: PrivateKeychain) -> None:
    store.keyring = False
    store.update(used_at(1.0))
    assert keychain.entries() == {}
    assert [a.tokens for a in accounts(store.home)] == [ADA.tokens, BOB.tokens]


def test_whoever_has_no_wish_leaves_tokens_where_they_are(
    home: Path, store: AccountStore, keychain: PrivateKeychain
) -> None:
    AccountStore(home).update(putting(ADA, BOB, CY))
    assert in_files(home) == [] and len(keychain.entries()) == 3
    store.keyring = False
    store.update(used_at(1.0))
    AccountStore(home).update(putting(ADA, BOB, CY))
    assert keychain.entries() == {}


def test_new_tokens_are_seen_by_other_processes(store: AccountStore, keychain: PrivateKeychain) -> None:
    other = AccountStore(store.home)
    other.read()
    new = replace(ADA, tokens=tokens("ada", mark="rotated"))
    store.update(putting(new, BOB))
    assert other.changed()
    assert other.read().accounts == (new, BOB)
    assert len(keychain.entries()) == 2, "the spent tokens are not kept"


def test_an_account_that_is_removed_leaves_nothing_behind(store: AccountStore, keychain: PrivateKeychain) -> None:
    store.update(putting(BOB))
    assert list(keychain.entries()) == [entry_of(store.home, "bob")]


def test_a_change_that_cannot_be_read_back_makes_no_entry(store: AccountStore, keychain: PrivateKeychain) -> None:
    before = keychain.entries()
    with pytest.raises(ValueError):
        store.update(putting(ADA, BOB, replace(CY, label="two words")))
    assert keychain.entries() == before


def test_threads_that_read_one_store_do_not_trip_over_each_other(store: AccountStore) -> None:
    data = store.path.read_bytes()
    vault = Vault(True)

    class Forgetful(dict[str, Tokens]):
        """Another thread reads a pool without accounts, right after an entry was noted."""

        def __setitem__(self, name: str, found: Tokens) -> None:
            super().__setitem__(name, found)
            vault.open(schema.encode(Pool()))

    vault._known = Forgetful()
    assert vault.open(data).pool.accounts == (ADA, BOB)


# Trouble


def test_what_the_keychain_does_not_take_stays_in_the_file(
    home: Path, keychain: PrivateKeychain, caplog: pytest.LogCaptureFixture
) -> None:
    store = AccountStore(home, keyring=True)
    keychain.lock()
    store.update(putting(ADA))
    store.update(putting(ADA, BOB))
    assert caplog.text.count("stay in the file") == 1 and CANARY not in caplog.text
    assert accounts(home) == (ADA, BOB)


def test_new_tokens_are_not_lost_when_the_keychain_locks(
    store: AccountStore, keychain: PrivateKeychain, caplog: pytest.LogCaptureFixture
) -> None:
    keychain.lock()
    new = replace(ADA, tokens=tokens("ada", mark="rotated"))
    assert store.update(putting(new, BOB)).accounts == (new, BOB)
    document = json.loads(store.path.read_bytes())
    assert ["keychain" in a["tokens"] for a in document["accounts"]] == [False, True]
    assert CANARY not in caplog.text


def test_known_tokens_are_used_while_the_keychain_hangs(store: AccountStore, keychain: PrivateKeychain) -> None:
    with keychain.stopped():
        assert store.update(used_at(2.0)).accounts == store.read().accounts
    assert [a.last_used_at for a in accounts(store.home)] == [2.0, 2.0]


@pytest.mark.parametrize("verb", ["read", "update"])
@pytest.mark.parametrize("trouble", ["locked", "gone"])
def test_a_keychain_that_cannot_be_read_is_an_error_and_changes_nothing(
    store: AccountStore, keychain: PrivateKeychain, monkeypatch: pytest.MonkeyPatch, verb: str, trouble: str
) -> None:
    before = store.path.read_bytes()
    if trouble == "locked":
        keychain.lock()
    else:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    fresh = AccountStore(store.home, keyring=False)
    with pytest.raises(StateError, match="unlock it"):
        fresh.read() if verb == "read" else fresh.update(putting(BOB))
    assert store.path.read_bytes() == before
    assert not (store.home / "quarantine").exists()


@pytest.mark.parametrize("damage", ["deleted", "changed", "not tokens"])
def test_an_account_whose_entry_is_no_good_needs_a_login_until_it_is_back(
    store: AccountStore, keychain: PrivateKeychain, damage: str
) -> None:
    name = entry_of(store.home, "ada")
    good = keychain.entries()[name]
    if damage == "deleted":
        keychain.delete(name)
    else:
        keychain.change(name, good.replace("rt_", "RT_") if damage == "changed" else "[]")
    ada, bob = accounts(store.home)
    assert ada.health is Health.NEEDS_LOGIN and "not in this keychain" in ada.health_reason
    assert bob == BOB
    AccountStore(store.home, keyring=False).update(used_at(1.0))
    assert entry_of(store.home, "ada") == name, "its entry may be in the keychain of another session"
    store._vault._keychain.put(name, good)
    ada, _ = accounts(store.home)
    assert (ada.health, ada.health_reason, ada.tokens) == (Health.OK, "", ADA.tokens)


def test_a_new_login_takes_the_place_of_missing_tokens(store: AccountStore, keychain: PrivateKeychain) -> None:
    keychain.delete(entry_of(store.home, "ada"))
    new = replace(ADA, tokens=tokens("ada", mark="again"))
    AccountStore(store.home).update(putting(new, BOB))
    assert accounts(store.home) == (new, BOB)
    assert len(keychain.entries()) == 2


def test_a_disk_that_fails_leaves_the_old_tokens_where_they_were(
    store: AccountStore, keychain: PrivateKeychain
) -> None:
    before = store.path.read_bytes()
    with no_file_larger_than(100), pytest.raises(StateError, match="cannot write"):
        store.update(putting(replace(ADA, tokens=tokens("ada", mark="rotated")), BOB))
    assert store.path.read_bytes() == before
    assert accounts(store.home) == (ADA, BOB)


# Several processes

ONE_WRITE = (
    PROGRAM
    + """
from understudy.state.keychain import check_keychain

check_keychain()  # so that no step is one of loading it

def work(home):
    AccountStore(Path(home)).update(rotate)
"""
)
FIVE_TIMES = (
    PROGRAM
    + """
store = AccountStore(Path(sys.argv[1]))
for _ in range(5):
    store.update(rotate)
"""
)


def test_four_processes_that_rotate_tokens_at_once_lose_none(store: AccountStore, keychain: PrivateKeychain) -> None:
    store.update(putting(*members(1)))
    command = [sys.executable, "-c", FIVE_TIMES, str(store.home)]
    with ExitStack() as running:
        processes = [running.enter_context(subprocess.Popen(command)) for _ in range(4)]
        assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert number_of(AccountStore(store.home).read()) == 21
    assert len(keychain.entries()) == 3


def test_a_writer_killed_at_any_step_leaves_tokens_that_belong_together(store: AccountStore) -> None:
    store.update(putting(*members(1)))
    with Stepping(ONE_WRITE) as stepping:
        steps = stepping.steps(str(store.home))
        before = 2
        for step in range(1, steps, steps // 50):
            assert stepping.killed(step, str(store.home))
            number = number_of(AccountStore(store.home).read())
            assert number in (before, before + 1), f"step {step}"
            before = number
    assert before > 2

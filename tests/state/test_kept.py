"""What is kept of earlier pools can be found again and brought back, also where the present pool is unreadable."""

from pathlib import Path

import pytest

from support.logins import account
from understudy.pool.pool import Accounts, Pool, over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.kept import Kept, delete, find, kept_files, restore

ADA, BOB = account("ada"), account("bob")


@pytest.fixture
def store(home: Path) -> AccountStore:
    """A store with a pool of ada and bob."""
    store = AccountStore(home)
    fill(store, (ADA, BOB))
    return store


def fill(store: AccountStore, accounts: Accounts) -> None:
    store.update(over_accounts(lambda _: accounts))


def tear(store: AccountStore) -> None:
    """The pool's file becomes unreadable, and is found to be."""
    store.path.write_bytes(b"torn")
    with pytest.raises(Exception, match="moved to"):
        AccountStore(store.home).read()


def folders(kept: list[Kept]) -> set[str]:
    return {one.path.parent.name for one in kept}


def labels(pool: Pool) -> list[str]:
    return [account.label for account in pool.accounts]


def test_without_anything_there_is_nothing(home: Path) -> None:
    assert kept_files(home) == []
    assert not home.exists()


def test_a_folder_that_cannot_be_looked_into_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot look into"):
        kept_files(tmp_path / ("a" * 300))


def test_a_file_that_cannot_be_deleted_is_an_error_in_words(store: AccountStore) -> None:
    with pytest.raises(StateError, match="cannot delete"):
        delete(Kept(store.home, 0.0, 0, None))


def test_each_file_says_what_is_in_it_or_why_that_cannot_be_read(store: AccountStore) -> None:
    store.back_up()
    tear(store)
    found = kept_files(store.home)
    assert folders(found) == {"quarantine", "backups", store.home.name}
    assert sorted(len(one.pool.accounts) for one in found if one.pool) == [2, 2]
    [torn] = [one for one in found if one.quarantined]
    assert (torn.pool, torn.size, torn.trouble) == (None, 4, "it is not JSON")
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)


def test_only_what_is_kept_can_be_meant(store: AccountStore, tmp_path: Path) -> None:
    copy = store.back_up()
    assert copy is not None
    (tmp_path / "elsewhere.json").write_bytes(copy.read_bytes())
    for name in ("accounts.json", "elsewhere.json", str(tmp_path / "elsewhere.json"), f"../backups/{copy.name}", ""):
        assert find(store.home, name) is None
    for name in (copy.name, str(copy)):
        found = find(store.home, name)
        assert found is not None and found.path == copy


def test_a_link_is_not_followed(store: AccountStore, tmp_path: Path) -> None:
    copy = store.back_up()
    assert copy is not None
    outside = tmp_path / "outside"
    copy.rename(outside)
    copy.symlink_to(outside)
    found = find(store.home, copy.name)
    assert found is not None
    assert found.pool is None and "symbolic link" in found.trouble


def test_the_present_pool_is_copied_before_another_takes_its_place(store: AccountStore) -> None:
    fill(store, (account("bob", mark="newer"),))
    pool, copy = restore(store, Pool((ADA, BOB)))
    assert pool == store.read() == AccountStore(store.home).read()
    assert labels(pool) == ["ada", "bob"]
    assert pool.accounts[1].tokens == account("bob", mark="newer").tokens
    assert copy is not None
    found = find(store.home, copy.name)
    assert found is not None and found.pool is not None and labels(found.pool) == ["bob"]


def test_an_unreadable_pool_gives_way_and_the_tokens_are_those_of_its_backup(store: AccountStore) -> None:
    fill(store, (account("ada", mark="newer"), BOB))
    tear(store)
    pool, copy = restore(store, Pool((ADA,)))
    assert labels(pool) == ["ada"]
    assert pool.accounts[0].tokens == account("ada", mark="newer").tokens
    assert copy is None
    assert AccountStore(store.home).read() == pool


def test_where_the_backup_is_unreadable_too_it_is_kept_and_gives_way(store: AccountStore) -> None:
    store.backup.write_bytes(b"torn as well")
    tear(store)
    pool, _ = restore(store, Pool((ADA,)))
    assert pool.accounts == (ADA,)
    assert sorted(one.size for one in kept_files(store.home) if one.quarantined) == [4, 12]

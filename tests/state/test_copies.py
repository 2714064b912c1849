"""Copies of the pool: five of each kind, private, and none that comes back by itself."""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.writers import PROGRAM, members, rotate
from understudy.pool.pool import Pool, over_accounts
from understudy.state import copies
from understudy.state.accounts import AccountStore
from understudy.state.errors import StoreCorrupt


@pytest.fixture
def store(home: Path) -> AccountStore:
    made = AccountStore(home)
    made.update(over_accounts(lambda _: members(1)))
    return made


# Backups


def test_a_pool_that_was_never_written_has_no_backup(home: Path) -> None:
    assert AccountStore(home).back_up() is None
    assert list(home.rglob("accounts*")) == []


def test_a_backup_is_the_pool_to_the_byte_and_private(store: AccountStore) -> None:
    copy = store.back_up()
    assert copy is not None and copy.parent == store.home / "backups"
    assert copy.read_bytes() == store.path.read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


def test_the_latest_five_backups_are_kept(store: AccountStore) -> None:
    copies = []
    for _ in range(8):
        copies.append(store.back_up())
        store.update(rotate)
    assert sorted((store.home / "backups").iterdir()) == copies[-5:]
    last = copies[-1]
    assert last is not None and json.loads(last.read_bytes())["revision"] == 8


@pytest.mark.parametrize("folder", ["backups", "quarantine"])
def test_a_copy_outlasts_a_clock_that_was_set_back(
    store: AccountStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    for _ in range(5):
        copies.place_for(store.path, folder).write_bytes(b"earlier")
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    if folder == "backups":
        copy = store.back_up()
    else:
        store.path.write_bytes(b"torn")
        with pytest.raises(StoreCorrupt) as caught:
            AccountStore(store.home).read()
        copy = caught.value.kept
    assert copy is not None and copy.exists()
    assert len(list(copy.parent.iterdir())) == 5


def test_an_unreadable_pool_is_backed_up_as_it_is(store: AccountStore) -> None:
    store.path.write_bytes(b"torn")
    copy = store.back_up()
    assert copy is not None and copy.read_bytes() == b"torn"


def test_what_a_killed_process_left_among_the_backups_goes_with_the_next(store: AccountStore) -> None:
    store.back_up()
    left = store.home / "backups" / ".accounts.json.20260101T000000.000000000.0123456789abcdef.tmp"
    left.write_bytes(b"half")
    store.back_up()
    assert not left.exists()


# Quarantine


def test_the_latest_five_unreadable_pools_are_kept(store: AccountStore) -> None:
    for number in range(8):
        store.path.write_text(f"torn {number}")
        with pytest.raises(StoreCorrupt):
            AccountStore(store.home).read()
    kept = [path.read_text() for path in sorted((store.home / "quarantine").iterdir())]
    assert kept == [f"torn {number}" for number in range(3, 8)]


READS = (
    PROGRAM
    + """
from understudy.state.errors import StoreCorrupt
sys.stdin.readline()
try:
    AccountStore(Path(sys.argv[1])).read()
except StoreCorrupt:
    print("corrupt")
"""
)


def test_of_processes_that_find_it_unreadable_together_one_moves_it(store: AccountStore) -> None:
    store.path.write_bytes(b"torn")
    command = [sys.executable, "-c", READS, str(store.home)]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.write("go\n")
        reader.stdin.flush()
    assert [reader.communicate(timeout=30)[0] for reader in readers] == ["corrupt\n"] * 4
    assert [path.read_bytes() for path in (store.home / "quarantine").iterdir()] == [b"torn"]


# The pool that the user emptied


def test_an_emptied_pool_is_not_filled_from_any_copy(store: AccountStore) -> None:
    store.back_up()
    store.update(over_accounts(lambda _: ()))
    assert AccountStore(store.home).read() == Pool(revision=2)
    assert AccountStore(store.home).update(lambda pool: pool).accounts == ()
    store.path.unlink()
    with pytest.raises(StoreCorrupt, match="The last good backup has 0 accounts"):
        AccountStore(store.home).read()

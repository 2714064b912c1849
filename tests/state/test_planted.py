"""A folder that is open is closed; what somebody else put there is refused, left alone, and said in words."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.writers import PROGRAM, members, rotate
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError


@pytest.fixture
def store(home: Path) -> AccountStore:
    made = AccountStore(home)
    made.update(over_accounts(lambda _: members(1)))
    return made


def test_a_folder_that_others_may_enter_is_closed_by_the_next_write(store: AccountStore) -> None:
    store.home.chmod(0o755)
    store.path.chmod(0o644)
    store.update(rotate)
    assert stat.S_IMODE(store.home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.home.iterdir() if path.is_file()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY ROOT CAN TEST THIS: to give files to another user")
@pytest.mark.parametrize("what", ["accounts.json", "."])
def test_what_belongs_to_another_user_is_refused_and_left_alone(store: AccountStore, what: str) -> None:
    before = store.path.read_bytes()
    os.chown(store.home / what, 12345, 12345)
    with pytest.raises(StateError, match="another user"):
        AccountStore(store.home).update(rotate)
    assert store.path.read_bytes() == before
    assert not (store.home / "quarantine").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY ROOT CAN TEST THIS: to become another user")
def test_a_user_without_rights_in_the_folder_is_told_so(store: AccountStore, tmp_path: Path) -> None:
    program = PROGRAM + "import os\nos.setuid(12345)\nAccountStore(Path(sys.argv[1])).update(rotate)\n"
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, str(store.home)], capture_output=True, text=True)
    assert "StateError: cannot use the folder" in done.stderr and "UNDERSTUDY_HOME" in done.stderr


@pytest.mark.parametrize("verb", ["read", "update"])
@pytest.mark.parametrize("plant", ["link", "hard link", "pipe", "folder"])
@pytest.mark.timeout(20)
def test_what_is_no_file_of_its_own_in_the_pools_place_is_refused_and_left_alone(
    store: AccountStore, tmp_path: Path, plant: str, verb: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    store.path.rename(elsewhere)
    data = elsewhere.read_bytes()
    if plant == "link":
        store.path.symlink_to(elsewhere)
    elif plant == "hard link":
        store.path.hardlink_to(elsewhere)
    elif plant == "pipe":
        os.mkfifo(store.path)
    else:
        store.path.mkdir()
    planted = os.lstat(store.path)
    fresh = AccountStore(store.home)
    with pytest.raises(StateError):
        fresh.read() if verb == "read" else fresh.update(rotate)
    assert elsewhere.read_bytes() == data
    assert os.lstat(store.path).st_ino == planted.st_ino
    assert not (store.home / "quarantine").exists()

"""A disk that is full loses nothing, and a write that must not fail has its room before it is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.disks import no_file_larger_than, run_on_a_disk
from support.logins import account
from support.writers import PROGRAM, members, number_of, rotate
from understudy.pool.pool import over_accounts
from understudy.state.accounts import GROWTH, AccountStore
from understudy.state.errors import StateError


@pytest.fixture
def store(home: Path) -> AccountStore:
    made = AccountStore(home)
    made.update(over_accounts(lambda _: members(1)))
    return made


def rooms(store: AccountStore) -> list[Path]:
    return list(store.home.glob("*.room"))


def number(store: AccountStore) -> int:
    """What another process reads."""
    return number_of(AccountStore(store.home).read())


def test_room_for_a_pool_that_grows_is_taken_on_the_disk(store: AccountStore) -> None:
    size = store.path.stat().st_size
    with store.reserved():
        (room,) = rooms(store)
        assert room.stat().st_blocks * 512 >= size + GROWTH
        assert room.stat().st_mode & 0o077 == 0


def test_the_write_that_is_given_the_room_uses_it_up(store: AccountStore) -> None:
    with store.reserved() as room:
        inode = room.path.stat().st_ino
        store.update(rotate, room)
        assert store.path.stat().st_ino == inode
        assert rooms(store) == []
    assert number(store) == 2
    assert store.backup.read_bytes() == store.path.read_bytes()


def test_a_second_write_with_the_same_room_is_a_write_like_any_other(store: AccountStore) -> None:
    with store.reserved() as room:
        store.update(rotate, room)
        written = store.path.stat().st_ino
        store.update(rotate, room)
    assert number(store) == 3
    assert store.path.stat().st_ino != written, "it was written over in place"


def test_a_write_without_the_room_leaves_it_alone(store: AccountStore) -> None:
    with store.reserved() as room:
        store.update(rotate)
        AccountStore(store.home).update(rotate)
        assert rooms(store) == [room.path]
        store.update(rotate, room)
    assert number(store) == 4


def test_room_that_is_not_used_is_given_back(store: AccountStore) -> None:
    with pytest.raises(LookupError), store.reserved():
        raise LookupError
    assert rooms(store) == []


def test_a_change_that_changes_nothing_leaves_the_room_for_the_next(store: AccountStore) -> None:
    with store.reserved() as room:
        store.update(lambda pool: pool, room)
        assert rooms(store) == [room.path]


def test_room_that_somebody_removed_is_no_obstacle(store: AccountStore) -> None:
    with store.reserved() as room:
        room.path.unlink()
        store.update(rotate, room)
    assert number(store) == 2


def test_a_pool_that_has_outgrown_its_room_is_written_all_the_same(store: AccountStore) -> None:
    many = tuple(account(f"member{number}") for number in range(100))
    with store.reserved() as room:
        store.update(over_accounts(lambda _: many), room)
    assert store.path.stat().st_size > 1.5 * GROWTH
    assert AccountStore(store.home).read().accounts == many


RESERVES_AND_WAITS = (
    PROGRAM
    + """
room = AccountStore(Path(sys.argv[1])).reserved()
print("ready", flush=True)
sys.stdin.read()
"""
)


def test_the_room_of_a_living_process_stays_and_that_of_a_killed_one_is_removed(store: AccountStore) -> None:
    command = [sys.executable, "-c", RESERVES_AND_WAITS, str(store.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store.update(rotate)
        assert len(rooms(store)) == 1
        process.kill()
        process.wait()
        store.update(rotate)
        assert rooms(store) == []


def test_a_planted_link_or_pipe_in_a_rooms_place_is_left_alone(store: AccountStore, tmp_path: Path) -> None:
    (store.home / ".accounts.json.0.room").symlink_to(tmp_path / "victim")
    os.mkfifo(store.home / ".accounts.json.1.room")
    store.update(rotate)
    assert number(store) == 2
    assert not (tmp_path / "victim").exists()


# Full disks

FULL = """
from support.writers import members, number_of, rotate
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError

store = AccountStore(home)
store.update(over_accounts(lambda _: members(1)))
before = store.path.read_bytes()

def fill():
    "Writes as much as the disk takes."
    with open(home / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass

def fails(work):
    try:
        work()
    except StateError as error:
        print(error, file=sys.stderr)
        return "No space left on device" in str(error)
    return False
"""


def test_a_full_disk_fails_a_write_and_keeps_the_pool(home: Path) -> None:
    run_on_a_disk(
        FULL
        + """
fill()
assert fails(lambda: store.update(rotate))
assert store.path.read_bytes() == before and number_of(AccountStore(home).read()) == 1
assert not [path for path in home.iterdir() if path.suffix == ".tmp"]
(home / "filler").unlink()
assert number_of(store.update(rotate)) == 2
""",
        home,
        "size=256k",
    )


def test_on_a_full_disk_there_is_no_room_so_that_nothing_is_asked_for_in_vain(home: Path) -> None:
    run_on_a_disk(
        FULL
        + """
fill()
assert fails(store.reserved)
assert not [path for path in home.iterdir() if path.suffix == ".room"]
assert store.path.read_bytes() == before
""",
        home,
        "size=256k",
    )


def test_a_disk_that_fills_up_once_the_room_is_reserved_takes_the_write(home: Path) -> None:
    run_on_a_disk(
        FULL
        + """
with store.reserved() as room:
    fill()
    assert fails(lambda: store.update(rotate)), "it was not full"
    assert number_of(store.update(rotate, room)) == 2
assert number_of(AccountStore(home).read()) == 2
""",
        home,
        "size=256k",
    )


def test_a_disk_without_room_for_another_file_fails_a_write_and_keeps_the_pool(home: Path) -> None:
    run_on_a_disk(
        FULL
        + """
number = 0
try:
    while True:
        (home / f"file{number}").touch(exist_ok=False)
        number += 1
except OSError:
    pass
assert fails(lambda: store.update(rotate))
assert store.path.read_bytes() == before
""",
        home,
        "size=256k,nr_inodes=30",
    )


def test_a_read_only_disk_is_read_and_refused_for_writing(home: Path) -> None:
    run_on_a_disk(
        FULL
        + """
import subprocess
subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
assert number_of(AccountStore(home).read()) == 1
for work in (lambda: store.update(rotate), store.reserved, store.back_up):
    try:
        work()
    except StateError as error:
        assert "Read-only file system" in str(error), error
    else:
        raise AssertionError("it was written")
""",
        home,
        "size=256k",
    )


def test_a_file_that_may_not_grow_so_far_is_not_written(store: AccountStore) -> None:
    before = store.path.read_bytes()
    with no_file_larger_than(100):
        with pytest.raises(StateError, match=r"cannot reserve space .*File too large"):
            store.reserved()
        with pytest.raises(StateError, match=r"cannot write .*File too large"):
            store.update(rotate)
    assert store.path.read_bytes() == before
    assert [path.name for path in store.home.iterdir() if path.suffix in (".tmp", ".room")] == []

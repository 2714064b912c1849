"""Files of ours are private from their first byte, and whole at every moment."""

import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.disks import no_file_larger_than
from support.killing import killings
from understudy.state import files
from understudy.state.errors import StateError
from understudy.state.home import private_folder


@pytest.fixture
def path(home: Path) -> Path:
    """A file's name in a private folder."""
    return private_folder(home) / "accounts.json"


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def content(path: Path) -> bytes:
    read = files.read(path)
    assert read is not None
    return read.data


def write(path: Path, data: bytes) -> None:
    with files.locked(path):
        files.write(path, data)


def test_what_is_written_is_read(path: Path) -> None:
    write(path, b"one")
    write(path, b"two")
    assert content(path) == b"two"


def test_a_file_that_is_not_there_reads_as_none(path: Path) -> None:
    assert files.read(path) is None
    assert files.stamp(path) is None


@pytest.mark.parametrize("umask", [0o000, 0o022], indirect=True, ids=oct)
def test_everything_in_the_folder_is_the_owners_alone_whatever_the_umask(path: Path, umask: None) -> None:
    write(path, b"secret")
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()} == {
        path.name: 0o600,
        f".{path.name}.lock": 0o600,
    }


def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    write(path, b"secret")
    path.chmod(0o644)
    assert content(path) == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_planted_symbolic_link_is_neither_followed_nor_written_through(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "victim"
    other.write_bytes(b"another's")
    path.symlink_to(other)
    with pytest.raises(StateError, match="symbolic link"):
        files.read(path)
    write(path, b"ours")
    assert (other.read_bytes(), path.is_symlink(), content(path)) == (b"another's", False, b"ours")


def test_a_planted_symbolic_link_in_the_locks_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    (path.parent / f".{path.name}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StateError), files.locked(path):
        pass
    assert not (tmp_path / "victim").exists()


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_folder(path: Path) -> None:
    path.mkdir()


def plant_hard_link(path: Path) -> None:
    path.write_bytes(b"x")
    path.with_name("other name").hardlink_to(path)


def plant_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(files.MAX_SIZE + 1)


def plant_file_of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    path.write_bytes(b"x")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    "plant", [plant_fifo, plant_folder, plant_hard_link, plant_huge_file, plant_file_of_another_user]
)
@pytest.mark.timeout(10)
def test_what_cannot_be_ours_is_refused(path: Path, plant: object) -> None:
    assert callable(plant)
    plant(path)
    with pytest.raises(StateError, match=r"accounts\.json"):
        files.read(path)


def test_every_write_changes_the_stamp_even_with_the_same_bytes(path: Path) -> None:
    seen = set()
    for _ in range(20):
        write(path, b"same")
        seen.add(files.stamp(path))
    assert len(seen) >= 19, "an inode and a time may come again by chance, not by rule"


def test_the_stamp_that_is_read_belongs_to_the_bytes_that_are_read(path: Path) -> None:
    with files.locked(path):
        stamp = files.write(path, b"x")
    read = files.read(path)
    assert read is not None
    assert stamp == read.stamp == files.stamp(path)


def test_what_a_killed_writer_left_behind_is_removed_by_the_next(path: Path) -> None:
    left = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    left.write_bytes(b"half")
    write(path, b"whole")
    assert not left.exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    write(path, b"old")
    with no_file_larger_than(1000), pytest.raises(StateError, match="cannot write"):
        write(path, b"x" * 100_000)
    assert content(path) == b"old"
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".tmp"] == []


def calls_of(work: Callable[[], object]) -> list[str]:
    """The calls that decide what a power cut leaves, in their order."""
    found: list[str] = []

    def profile(frame: object, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__module__", "") == "posix":
            found.append(getattr(function, "__name__", ""))

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return [name for name in found if name in ("fsync", "replace", "rename")]


def test_the_data_are_on_the_disk_before_the_name_and_the_name_before_the_write_returns(path: Path) -> None:
    assert calls_of(lambda: files.write(path, b"x")) == ["fsync", "replace", "fsync"]
    assert calls_of(lambda: files.write(path, b"x", durable=False)) == ["replace"]


def test_a_leftover_that_cannot_be_removed_is_no_obstacle(path: Path) -> None:
    path.with_name(f".{path.name}.0.tmp").mkdir()
    write(path, b"whole")
    assert content(path) == b"whole"


def test_a_lock_excludes_other_threads_objects_and_processes(path: Path) -> None:
    probe = (
        "import sys; from pathlib import Path; from understudy.state import files; files.LOCK_TIMEOUT = 0.1\n"
        "try:\n  with files.locked(Path(sys.argv[1])): print('in')\n"
        "except Exception as error: print(type(error).__name__)"
    )
    command = [sys.executable, "-c", probe, str(path)]
    with files.locked(path):
        assert subprocess.check_output(command, timeout=30) == b"StateError\n"
    assert subprocess.check_output(command, timeout=30) == b"in\n"


FOREVER = """
from understudy.state import files

def work(path):
    while True:
        for letter in (b"a", b"b"):
            with files.locked(path):
                files.write(path, letter * 50_000)
"""


def test_a_writer_killed_at_any_moment_leaves_one_of_the_two_valid_states(path: Path) -> None:
    write(path, b"a" * 50_000)
    states = (b"a" * 50_000, b"b" * 50_000)
    rng = random.Random(20)
    for round, _ in enumerate(killings(FOREVER, path, rng)):
        assert content(path) in states, f"round {round}"
        assert len(list(path.parent.glob(".*.tmp"))) <= 1
    write(path, b"end")
    assert {p.name for p in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}

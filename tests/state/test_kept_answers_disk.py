"""The answers that are kept on disk: shared, private, bounded, whole after a kill, and put aside where they are not."""

import logging
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.disks import no_file_larger_than, run_on_a_disk
from support.killing import killings
from support.proxy import clean_environment
from understudy.state.answers.book import Bounds
from understudy.state.answers.disk import NAME, figures, wipe
from understudy.state.answers.store import ON_DISK, Answers, Mode
from understudy.state.errors import StateError
from understudy.wire.stored import Stored

MIB = 1024 * 1024


def answer(name: str, previous: str | None = None, text: str = "hi", *, listed: bool = True) -> Stored:
    item = f'{{"type":"message","id":"msg_{name}","content":"{text}"}}'
    return Stored(f"resp_{name}", 1000.0, previous and f"resp_{previous}", None, (), (item,), "{}", listed)


@contextmanager
def on_disk(home: Path, bounds: Bounds = ON_DISK) -> Iterator[Answers]:
    answers = Answers(home, Mode.DISK, on_disk=bounds)
    try:
        yield answers
    finally:
        answers.close()


def names(home: Path) -> set[str]:
    """The files of the history that lie in the folder."""
    return {path.name for path in home.iterdir() if path.name.startswith(NAME)}


PROGRAM = """
import sys
from pathlib import Path
from understudy.state.answers.store import Answers, Mode
from understudy.wire.stored import Stored

home = Path(sys.argv[1])
def answer(name, previous=None, text="hi"):
    item = f'{{"type":"message","id":"msg_{name}","content":"{text}"}}'
    return Stored(f"resp_{name}", 1000.0, previous and f"resp_{previous}", None, (), (item,), "{}")
"""


def elsewhere(home: Path, program: str) -> "subprocess.Popen[str]":
    """Runs a program in a process of its own; `home` is the folder in it."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, str(home)],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_answers_outlive_their_process(home: Path) -> None:
    with on_disk(home) as answers:
        answers.put(answer("a"))
        answers.put(answer("b", "a"))
        made = answers.begin_conversation("{}", ['{"role":"user","content":"hi"}'])
    with on_disk(home) as answers:
        assert answers.items_of("resp_b") == (*answer("a").output, *answer("b").output)
        assert answers.conversation(made.id) == ('{"role":"user","content":"hi"}',)


def test_what_a_host_did_not_want_stored_never_reaches_the_disk(home: Path) -> None:
    with on_disk(home) as answers:
        answers.put(answer("listed"))
        answers.put(answer("private", text="s3cret", listed=False))
        answers.put(answer("later"))
        assert answers.flush()
        assert answers.get("resp_private") == answer("private", text="s3cret", listed=False)
        assert all(b"s3cret" not in (home / name).read_bytes() for name in names(home))
    with on_disk(home) as answers:
        assert answers.get("resp_private") is None
        assert answers.get("resp_listed") is not None


def test_the_files_are_private_from_the_first_byte(home: Path) -> None:
    before = os.umask(0)
    try:
        with on_disk(home) as answers:
            assert stat.S_IMODE((home / NAME).stat().st_mode) == 0o600
            answers.put(answer("a"))
            assert answers.flush()
            assert names(home) == {NAME, f"{NAME}-wal", f"{NAME}-shm"}
            assert {stat.S_IMODE((home / name).stat().st_mode) for name in names(home)} == {0o600}
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_closed_to_them(home: Path) -> None:
    with on_disk(home):
        pass
    (home / NAME).chmod(0o644)
    with on_disk(home):
        assert stat.S_IMODE((home / NAME).stat().st_mode) == 0o600


def test_two_processes_share_what_they_keep(home: Path) -> None:
    with on_disk(home) as answers:
        made = answers.begin_conversation("{}", [])
        assert answers.flush()
        other = elsewhere(
            home,
            """
answers = Answers(home, Mode.DISK)
for number in range(200):
    answers.put(answer(f"other_{number}", f"other_{number - 1}" if number else None))
print(answers.flush(), flush=True)
made = sys.stdin.readline().strip()
answers.add(made, ['{"role":"user","content":"theirs"}'])
answers.delete("resp_mine_0")
print(answers.flush(), flush=True)
answers.close()
""",
        )
        assert other.stdin is not None and other.stdout is not None
        for number in range(200):
            answers.put(answer(f"mine_{number}", f"mine_{number - 1}" if number else None))
        assert answers.flush()
        assert other.stdout.readline() == "True\n"
        assert len(answers.items_of("resp_other_199") or ()) == 200
        assert len(answers.items_of("resp_mine_199") or ()) == 200
        other.stdin.write(f"{made.id}\n")
        other.stdin.flush()
        assert other.stdout.readline() == "True\n"
        assert answers.conversation(made.id) == ('{"role":"user","content":"theirs"}',)
        assert answers.get("resp_mine_0") is None
        other.communicate(timeout=20)


WORK = (
    PROGRAM
    + """
def work(home):
    import itertools, os
    answers = Answers(home, Mode.DISK)
    for number in itertools.count():
        answers.put(answer(f"{os.getpid()}_{number}", text="x" * 5000))
        if number % 7 == 0:
            answers.delete(f"resp_{os.getpid()}_{number - 3}")
        if number % 20 == 0:
            answers.flush()
"""
)


def test_a_writer_that_is_killed_leaves_a_file_that_can_be_read(home: Path) -> None:
    small, found = Bounds(8 * MIB, 1e9), 0
    for _ in killings(WORK, home, random.Random(7), rounds=15, writers=2, within=0.4):
        with on_disk(home, small) as answers:
            answers.put(answer("after"))
            assert answers.flush()
        with closing(sqlite3.connect(home / NAME)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            whole = "SELECT count(*) FROM answers WHERE id NOT IN (SELECT owner FROM items)"
            assert connection.execute(whole).fetchone() == (0,)
            found = max(found, connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    assert found > 100
    assert not (home / "quarantine").exists()


@pytest.mark.parametrize("mode", [Mode.MEMORY, Mode.DISK])
def test_the_bound_of_size_holds_over_twenty_thousand_answers(home: Path, mode: Mode) -> None:
    bounds = Bounds(4 * MIB, 1e9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = Answers(home, mode, memory=bounds, on_disk=bounds)
    for number in range(20_000):
        answers.put(answer(str(number), text="x" * 2000))
        if number % 500 == 0:
            assert answers.flush()
    assert answers.flush()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 40 * MIB
    assert answers.get("resp_19999") is not None
    assert answers.get("resp_19500") is not None
    assert answers.get("resp_10000") is None
    answers.close()
    if mode is Mode.DISK:
        found = figures(home)
        assert found is not None and 3 * MIB < found.size <= 4 * MIB
        assert sum((home / name).stat().st_size for name in names(home)) < 8 * MIB


def test_wiping_reaches_the_memory_of_another_process(home: Path) -> None:
    for mode in ("MEMORY", "DISK"):
        other = elsewhere(
            home,
            f"""
answers = Answers(home, Mode.{mode})
answers.put(answer("a", text="s3cret"))
answers.put(answer("b"))
print(answers.get("resp_a") is not None, answers.flush(), flush=True)
sys.stdin.readline()
print(answers.get("resp_a"), answers.item("msg_b"), flush=True)
answers.put(answer("c"))
print(answers.get("resp_c") is not None, flush=True)
sys.stdin.readline()
answers.close()
""",
        )
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "True True\n"
        wipe(home)
        assert all(b"s3cret" not in path.read_bytes() for path in home.iterdir() if path.is_file())
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "None None\n"
        assert other.stdout.readline() == "True\n"
        other.communicate("\n", timeout=20)


def test_what_waits_to_be_written_is_not_written_after_wiping(home: Path) -> None:
    with on_disk(home) as answers:
        with closing(sqlite3.connect(home / NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # Nobody else can write.
            answers.put(answer("a", text="s3cret"))
            (home / "answers.wiped").touch(mode=0o600)
            other.execute("COMMIT")
        assert answers.flush()
        assert answers.get("resp_a") is None
    assert b"s3cret" not in (home / NAME).read_bytes()


def test_nothing_waits_for_another_process_that_writes(home: Path) -> None:
    with on_disk(home) as answers, closing(sqlite3.connect(home / NAME, isolation_level=None)) as other:
        answers.put(answer("a"))
        assert answers.flush()
        other.execute("BEGIN IMMEDIATE")
        answers.put(answer("b", "a"))
        assert answers.items_of("resp_b") == (*answer("a").output, *answer("b").output)
        assert not answers.flush(0.01)
        other.execute("COMMIT")
        assert answers.flush()


def test_what_waits_to_be_written_into_a_conversation_on_disk_is_seen_at_once(home: Path) -> None:
    with on_disk(home) as answers, closing(sqlite3.connect(home / NAME, isolation_level=None)) as other:
        made = answers.begin_conversation("{}", ["1"])
        assert answers.flush()
        other.execute("BEGIN IMMEDIATE")
        answers.add(made.id, ["2"])
        assert answers.conversation(made.id) == ("1", "2")
        other.execute("COMMIT")


def test_nothing_of_a_deleted_answer_is_left_in_the_file(home: Path) -> None:
    with on_disk(home) as answers:
        for name in ("a", "b", "c"):
            answers.put(answer(name, text=f"{name}-s3cret" * 50))
        assert answers.flush()
        answers.delete("resp_b")
    data = (home / NAME).read_bytes()
    assert b"a-s3cret" in data
    assert b"b-s3cret" not in data


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def scrambled(path: Path) -> None:
    path.write_bytes(b"no database, but as long as one. " * 1000)


def torn(path: Path) -> None:
    with on_disk(path.parent) as answers:
        answers.put(answer("a"))
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * (4096 - 100)
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [foreign, scrambled, torn])
def test_what_cannot_be_read_is_moved_away_and_a_new_file_begun(
    home: Path, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    home.mkdir(mode=0o700)
    spoil(home / NAME)  # type: ignore[operator]
    before = (home / NAME).read_bytes()
    with on_disk(home) as answers:
        answers.put(answer("b"))
    (kept,) = (home / "quarantine").iterdir()
    assert kept.read_bytes() == before
    (line,) = caplog.messages
    assert str(kept) in line and "cannot be read" in line
    with on_disk(home) as answers:
        assert answers.get("resp_b") == answer("b")


def test_a_file_that_breaks_while_it_is_used_is_moved_away_too(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with on_disk(home) as answers:
        answers.put(answer("a", text="x" * 50_000))
        assert answers.flush()
        with closing(sqlite3.connect(home / NAME)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (home / NAME).open("r+b") as file:
            file.write(b"\xff" * (home / NAME).stat().st_size)
        answers.put(answer("b"))
        assert answers.flush()
        answers.get("resp_a")
        answers.put(answer("c"))
        assert answers.flush()
        assert answers.get("resp_c") == answer("c")
    assert "was moved to" in caplog.text
    assert (home / "quarantine").is_dir()
    with on_disk(home) as answers:
        assert answers.get("resp_c") == answer("c")


def memory_alone(answers: Answers, caplog: pytest.LogCaptureFixture) -> None:
    """It goes on in memory, and said so once."""
    for name in ("x", "y"):
        answers.put(answer(name))
        answers.flush()
        assert answers.get(f"resp_{name}") == answer(name)
    assert len([line for line in caplog.messages if "in memory alone" in line]) == 1


def test_a_file_of_another_version_is_left_alone(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with on_disk(home):
        pass
    with closing(sqlite3.connect(home / NAME)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with on_disk(home) as answers:
        memory_alone(answers, caplog)
    with closing(sqlite3.connect(home / NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    assert not (home / "quarantine").exists()
    with pytest.raises(StateError, match="another version"):
        figures(home)


def test_what_is_no_file_of_ours_is_not_used(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(mode=0o700)
    (home / NAME).symlink_to(tmp_path / "elsewhere")
    with on_disk(home) as answers:
        memory_alone(answers, caplog)
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_takes_no_more_ends_the_writing_and_nothing_else(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with on_disk(home) as answers:
        answers.put(answer("a"))
        assert answers.flush()
        with no_file_larger_than(64 * 1024):
            answers.put(answer("b", text="x" * 200_000))
            assert answers.flush()
            memory_alone(answers, caplog)
        assert answers.get("resp_b") is not None
        assert answers.get("resp_a") is not None
        assert answers.delete("resp_a")
        assert answers.get("resp_a") is None


def test_a_full_disk_ends_the_writing_and_nothing_else(home: Path) -> None:
    run_on_a_disk(
        PROGRAM.replace("home = Path(sys.argv[1])", "")
        + """
answers = Answers(home, Mode.DISK)
answers.put(answer("a"))
assert answers.flush()
answers.put(answer("b", "a", text="x" * 3_000_000))
assert answers.flush()
answers.put(answer("c", "b"))
assert answers.flush()
assert len(answers.items_of("resp_c")) == 3
answers.close()
answers = Answers(home, Mode.DISK)
assert answers.get("resp_a") == answer("a")
answers.close()
""",
        home,
        "size=1m",
    )


def test_a_disk_that_may_not_be_written_to_is_said_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir()
    (home / NAME).mkdir()
    with on_disk(home) as answers:
        memory_alone(answers, caplog)


def test_wiping_removes_what_was_moved_away_and_what_is_broken(home: Path) -> None:
    home.mkdir(mode=0o700)
    scrambled(home / NAME)
    with on_disk(home):
        pass
    scrambled(home / NAME)
    with pytest.raises(StateError, match="understudy history clear"):
        figures(home)
    wipe(home)
    assert figures(home) is None
    assert list((home / "quarantine").iterdir()) == []


def test_what_grew_too_old_while_no_proxy_ran_is_gone(home: Path) -> None:
    with on_disk(home) as answers:
        answers.put(answer("a"))
    with on_disk(home, Bounds(MIB, -1.0)) as answers:
        assert answers.flush()
        assert answers.get("resp_a") is None


def test_of_the_files_that_were_moved_away_the_latest_is_kept(home: Path) -> None:
    for _ in range(3):
        home.mkdir(mode=0o700, exist_ok=True)
        scrambled(home / NAME)
        with on_disk(home):
            pass
    assert len(list((home / "quarantine").iterdir())) == 1


def test_the_figures_are_those_of_the_file(home: Path) -> None:
    assert figures(home) is None
    with on_disk(home) as answers:
        answers.put(answer("a"))
        answers.begin_conversation("{}", [])
    found = figures(home)
    assert found is not None
    assert (found.responses, found.conversations, found.oldest) == (1, 1, 1000.0)


def test_no_thread_keeps_a_process_from_ending(home: Path) -> None:
    other = elsewhere(home, 'Answers(home, Mode.DISK).put(answer("a"))')
    other.communicate(timeout=20)
    assert other.returncode == 0

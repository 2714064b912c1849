"""What running processes tell each other: theirs as long as they live, however they end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from support.disks import run_on_a_disk
from support.killing import Stepping
from support.proxy import clean_environment
from understudy.state import files
from understudy.state.running import LARGEST, Record, Running

PEER = """
import json, os, sys
from pathlib import Path
from understudy.state.running import Running

running = Running(Path(sys.argv[1]))
for line in sys.stdin:
    verb, _, told = line.strip().partition(" ")
    if verb == "tell":
        running.tell(json.loads(told))
    elif verb == "end":
        running.end()
    print(json.dumps([[other.pid, other.told] for other in running.others()]), flush=True)
"""


class Peer:
    """Another process. Leaving the block kills it."""

    def __init__(self, home: Path) -> None:
        command, pipe = [sys.executable, "-c", PEER, str(home)], subprocess.PIPE
        self.process = subprocess.Popen(command, env=clean_environment(), stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> list[list[object]]:
        """What the others tell, as it sees it."""
        assert self.process.stdout is not None
        found: list[list[object]] = json.loads(self.process.stdout.readline())
        return found

    def tell(self, **record: object) -> list[list[object]]:
        self.send("tell " + json.dumps(record))
        return self.answer()

    def others(self) -> list[list[object]]:
        self.send("look")
        return self.answer()

    def end(self) -> None:
        self.send("end")
        self.answer()

    def kill(self) -> None:
        with self.process:
            self.process.kill()


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    made = Running(home)
    yield made
    made.end()


def left_behind(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "running").iterdir())


def test_each_process_knows_what_the_others_tell_and_not_its_own(home: Path, running: Running) -> None:
    with Peer(home) as one, Peer(home) as other:
        one.tell(claims={"work": 2})
        running.tell({"claims": {"home": 1}})
        assert other.tell(port=8080) == sorted(
            [[one.process.pid, {"claims": {"work": 2}}], [os.getpid(), {"claims": {"home": 1}}]],
            key=lambda each: f"{each[0]}-",
        )
        assert {found.pid for found in running.others()} == {one.process.pid, other.process.pid}
        assert {found.pid for found in running.all()} == {one.process.pid, other.process.pid, os.getpid()}


def test_the_last_that_was_told_counts(home: Path, running: Running) -> None:
    with Peer(home) as peer:
        for number in range(1000):
            running.tell({"number": number})
        assert peer.others() == [[os.getpid(), {"number": 999}]]
    assert len(left_behind(home)) == 2


def test_who_has_told_nothing_is_not_there(home: Path, running: Running) -> None:
    assert (running.others(), running.all()) == ((), ())
    assert not home.exists()


def test_a_command_that_looks_tells_nothing_and_leaves_all_as_it_is(home: Path) -> None:
    with Peer(home) as peer:
        peer.tell(a=1)
        before = left_behind(home)
        assert Running(home).all() == (Record(peer.process.pid, {"a": 1}),)
        assert left_behind(home) == before


def test_who_has_ended_has_left_nothing_behind_and_tells_nothing_more(home: Path, running: Running) -> None:
    with Peer(home) as peer:
        peer.tell(a=1)
        peer.end()
        assert left_behind(home) == []
        peer.tell(a=2)
        assert running.others() == ()
        assert left_behind(home) == []


def test_a_killed_process_is_gone_at_once_with_all_that_it_left(home: Path, running: Running) -> None:
    with Peer(home) as peer, Peer(home) as dead:
        peer.tell(a=1)
        dead.tell(a=2)
        (lock,) = (home / "running").glob(f"{dead.process.pid}-*.lock")
        (home / "running" / f".{lock.stem}.json.0123456789abcdef.tmp").write_text("half a rec")
        dead.kill()
        assert running.others() == (Record(peer.process.pid, {"a": 1}),)
        assert all(name.startswith(f"{peer.process.pid}-") for name in left_behind(home))


def test_a_process_that_stands_still_is_alive(home: Path, running: Running) -> None:
    with Peer(home) as peer:
        peer.tell(a=1)
        os.kill(peer.process.pid, signal.SIGSTOP)
        assert running.others() == (Record(peer.process.pid, {"a": 1}),)
        os.kill(peer.process.pid, signal.SIGCONT)
        assert peer.tell(a=2) == []
        assert running.others() == (Record(peer.process.pid, {"a": 2}),)


def test_a_dead_process_whose_number_another_one_has_now_is_dead(home: Path, running: Running) -> None:
    with Peer(home) as dead:
        dead.tell(a=1)
        dead.kill()
    for path in list((home / "running").iterdir()):
        path.rename(path.with_name(path.name.replace(f"{dead.process.pid}-", f"{os.getpid()}-")))
    running.tell({"a": 2})
    assert running.all() == (Record(os.getpid(), {"a": 2}),)
    assert len(left_behind(home)) == 2


def test_two_in_one_process_are_alive_to_each_other_whatever_any_thread_asks(home: Path, running: Running) -> None:
    other = Running(home)
    running.tell({"who": "one"})
    other.tell({"who": "other"})
    told: list[list[object]] = []

    def look() -> None:
        for _ in range(200):
            told.append([record.told["who"] for record in running.others()])
            assert len(running.all()) == 2

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told == [["other"]] * 800
    with Peer(home) as peer:
        assert len(peer.others()) == 2
    other.end()


def test_readers_that_look_all_the_time_lose_no_process_that_starts(home: Path) -> None:
    done = threading.Event()

    def look() -> None:
        reader = Running(home)
        while not done.is_set():
            reader.all()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(200):
            starting = Running(home)
            starting.tell({"number": number})
            assert starting.all() == (Record(os.getpid(), {"number": number}),)
            starting.end()
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert left_behind(home) == []


def test_processes_that_start_at_once_all_find_each_other(home: Path) -> None:
    peers = [Peer(home) for _ in range(4)]
    for peer in peers:
        peer.send('tell {"here": true}')
    for peer in peers:
        peer.answer()
    for peer in peers:
        assert {found[0] for found in peer.others()} == {each.process.pid for each in peers if each is not peer}
        peer.kill()
        peers = [each for each in peers if each is not peer]


TELLING = """
import sys
from pathlib import Path
from understudy.state.running import Running

def work(home):
    running = Running(Path(home))
    running.tell({"a": 1})
    running.others()
    running.tell({"a": 2})
    running.end()
"""


def test_a_process_that_is_killed_at_any_step_is_dead_and_leaves_nothing_once_somebody_has_looked(home: Path) -> None:
    running = Running(home)
    running.tell({"reader": True})
    with Stepping(TELLING) as stepping:
        last = stepping.steps(str(home))
        for step in range(1, last, 7):
            stepping.killed(step, str(home))
            assert running.others() == (), f"killed at step {step}"
            assert len(left_behind(home)) == 2, f"killed at step {step}"
    running.end()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"torn {", id="torn"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a": "' + b"x" * LARGEST + b'"}', id="too large"),
    ],
)
def test_a_record_that_makes_no_sense_is_ignored_and_replaced_by_the_next(
    home: Path, running: Running, data: bytes
) -> None:
    with Peer(home) as peer:
        peer.tell(a=1)
        (record,) = (home / "running").glob("*.json")
        record.write_bytes(data)
        assert running.others() == ()
        peer.tell(a=1)
        assert running.others() == (Record(peer.process.pid, {"a": 1}),)


@pytest.mark.parametrize("kind", ["json", "lock"])
def test_a_link_that_somebody_planted_is_neither_followed_nor_fatal(home: Path, running: Running, kind: str) -> None:
    running.tell({"a": 1})
    victim = home.with_name("victim")
    victim.write_text('{"b": 2}')
    (home / "running" / f"7-0123456789abcdef.{kind}").symlink_to(victim)
    (home / "running" / "notes.json").write_text("{}")
    assert running.others() == ()
    assert victim.read_text() == '{"b": 2}'
    assert (home / "running" / "notes.json").exists()


def test_nobody_else_can_read_what_is_told(home: Path, running: Running) -> None:
    running.tell({"a": 1})
    assert (home / "running").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (home / "running").iterdir()} == {0o600}


def test_a_folder_that_is_removed_under_a_running_process_is_made_anew(home: Path, running: Running) -> None:
    running.tell({"a": 1})
    for path in list((home / "running").iterdir()):
        path.unlink()
    (home / "running").rmdir()
    running.tell({"a": 1})
    with Peer(home) as peer:
        assert peer.others() == [[os.getpid(), {"a": 1}]]


def test_a_lock_that_is_removed_under_a_running_process_makes_it_begin_anew(home: Path, running: Running) -> None:
    running.tell({"a": 1})
    (lock,) = (home / "running").glob("*.lock")
    lock.unlink()
    assert Running(home).all() == ()
    running.tell({"a": 1})
    assert Running(home).all() == (Record(os.getpid(), {"a": 1}),)


@contextmanager
def a_file_in_its_way(path: Path) -> Iterator[None]:
    path.write_text("not a folder")
    yield
    path.unlink()


def test_where_nothing_can_be_written_that_is_said_once_and_tried_again(
    home: Path, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with a_file_in_its_way(home):
        for _ in range(3):
            running.tell({"a": 1})
    assert len(caplog.records) == 1 and "not shared" in caplog.text
    running.tell({"a": 1})
    assert Running(home).all() == (Record(os.getpid(), {"a": 1}),)


def test_a_folder_that_cannot_be_looked_into_is_empty(
    home: Path, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir(mode=0o700)
    with a_file_in_its_way(home / "running"):
        assert (running.others(), running.all()) == ((), ())
    assert len(caplog.records) == 1 and "not shared" in caplog.text


ON_A_DISK = """
import logging.handlers
from understudy.state.running import Running

said = logging.handlers.BufferingHandler(1000)
logging.getLogger().addHandler(said)
running = Running(home)
for _ in range(3):
    running.tell({"filling": "x" * 200_000})
assert running.all() == () and len(said.buffer) == 1, said.buffer
"""


@pytest.mark.parametrize("options", ["ro", "size=64k"])
def test_a_disk_that_is_full_or_may_not_be_written_to_costs_sharing_alone(home: Path, options: str) -> None:
    run_on_a_disk(ON_A_DISK, home, options)


def test_a_record_that_is_too_large_is_not_told_and_the_one_before_stays(
    home: Path, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.tell({"a": 1})
    running.tell({"a": "x" * LARGEST})
    assert [record.told for record in Running(home).all()] == [{"a": 1}]
    assert "more than 262144 bytes" in caplog.text


@pytest.mark.parametrize("record", [{"a": float("nan")}, {"a": object()}])
def test_what_is_no_json_cannot_be_told(running: Running, record: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        running.tell(record)


def test_to_tell_the_same_writes_nothing(home: Path, running: Running) -> None:
    record = {"claims": {f"account {number}": number for number in range(20)}}
    running.tell(record)
    (path,) = (home / "running").glob("*.json")
    before = files.stamp(path)
    began = time.perf_counter()
    for _ in range(1000):
        running.tell(record)
    assert time.perf_counter() - began < 1
    assert files.stamp(path) == before


def test_to_look_at_five_processes_takes_less_than_two_milliseconds(home: Path, running: Running) -> None:
    others = [Running(home) for _ in range(5)]
    for other in others:
        other.tell({"claims": {f"account {number}": number for number in range(20)}})
    took = []
    for _ in range(50):
        began = time.perf_counter()
        assert len(running.others()) == 5
        took.append(time.perf_counter() - began)
    assert min(took) < 0.002
    for other in others:
        other.end()

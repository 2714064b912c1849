"""Processes share which session is whose; the file in between is a cache, and is never an error."""

import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.proxy import clean_environment
from understudy.pool.affinity import CAPACITY, LIFETIME, Affinity
from understudy.state import files
from understudy.state.affinity import AffinityFile
from understudy.wire.usage import Usage

NOW = 1_800_000_000.0
SESSION, TURN = (hashlib.sha256(name).hexdigest() for name in (b"session", b"turn"))


class Process:
    """What one process remembers."""

    def __init__(self, home: Path) -> None:
        self.file = AffinityFile(home)
        self.affinity = Affinity()
        self.turn_states = Affinity()

    def merge(self, now: float = NOW, everything: bool = False) -> None:
        self.file.merge(self.affinity, self.turn_states, now, everything=everything)

    def written(self, now: float = NOW) -> bool:
        """Whether merging writes."""
        before = files.stamp(self.file.path)
        self.merge(now)
        return files.stamp(self.file.path) != before


@pytest.fixture
def process(home: Path) -> Callable[[], Process]:
    return lambda: Process(home)


def test_what_one_process_remembers_another_one_knows(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.bind(SESSION, "work", NOW)
    one.affinity.charge(SESSION, "work", Usage(1000, 100), NOW)
    one.affinity.charge(SESSION, "home", Usage(1200, 0), NOW)
    one.turn_states.bind(TURN, "home", NOW)
    one.merge()
    other.merge()
    assert other.affinity.account(SESSION, NOW) == "work"
    assert other.affinity.ledger(SESSION) == one.affinity.ledger(SESSION)
    assert other.turn_states.owner(TURN) == "home"


def test_what_was_remembered_outlasts_the_processes_however_many_sessions(process: Callable[[], Process]) -> None:
    one = process()
    sessions = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(CAPACITY + 100)]
    for late, session in enumerate(sessions):
        one.affinity.bind(session, "work", NOW + late / 10)
    one.merge(NOW + 100)
    later = process()
    later.merge(NOW + 100)
    assert [later.affinity.owner(session) for session in sessions] == [None] * 100 + ["work"] * CAPACITY


def test_both_ways_at_once(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.bind("a", "work", NOW)
    other.affinity.bind("b", "home", NOW)
    for each in (one, other, one):
        each.merge()
    for each in (one, other):
        assert (each.affinity.owner("a"), each.affinity.owner("b")) == ("work", "home")


def test_nothing_is_written_for_a_binding_that_lasts_a_little_longer(process: Callable[[], Process]) -> None:
    one = process()
    one.affinity.bind(SESSION, "work", NOW)
    assert one.written()
    one.affinity.bind(SESSION, "work", NOW + 59)
    one.affinity.charge(SESSION, "work", Usage(1, 0), NOW + 59)
    assert not one.written(NOW + 59)
    one.affinity.bind(SESSION, "work", NOW + 60)
    assert one.written(NOW + 60)
    one.affinity.bind(SESSION, "home", NOW + 61)
    assert one.written(NOW + 61)


def test_a_process_that_ends_keeps_everything(process: Callable[[], Process]) -> None:
    one = process()
    one.affinity.bind(SESSION, "work", NOW)
    one.merge()
    one.affinity.charge(SESSION, "work", Usage(70, 0), NOW + 1)
    one.merge(NOW + 1, everything=True)
    assert one.file.read().sessions.sessions[SESSION].ledger == one.affinity.ledger(SESSION)


def test_a_process_that_remembers_nothing_makes_no_file(process: Callable[[], Process]) -> None:
    one = process()
    one.affinity.at(7)
    one.merge()
    one.merge(everything=True)
    assert not one.file.path.exists()


def test_a_process_that_does_nothing_hears_and_neither_writes_nor_waits(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.bind(SESSION, "work", NOW)
    one.merge()
    with files.locked(one.file.path):
        other.merge()
    assert other.affinity.owner(SESSION) == "work"
    assert not other.written()


def test_a_switch_unbinds_what_is_on_disk(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.at(1).bind(SESSION, "work", NOW)
    one.merge()
    other.affinity.at(2)
    other.merge()
    assert other.affinity.account(SESSION, NOW) is None
    later = process()
    later.affinity.at(1)
    later.merge()
    assert later.affinity.account(SESSION, NOW) is None


def test_bindings_are_shared_again_where_a_new_pool_counts_its_generations_from_the_start(
    process: Callable[[], Process],
) -> None:
    old, new, other = process(), process(), process()
    old.affinity.at(9).bind(SESSION, "gone", NOW)
    old.merge()
    new.affinity.bind(SESSION, "work", NOW + 1)
    new.merge()
    other.merge()
    assert (new.affinity.owner(SESSION), other.affinity.owner(SESSION)) == ("work", "work")


def test_processes_of_two_generations_do_not_write_in_turns(process: Callable[[], Process]) -> None:
    late, present = process(), process()
    late.affinity.bind("a", "work", NOW)
    late.merge()
    present.affinity.at(1).bind("b", "home", NOW)
    present.merge()
    assert [each.written() for each in (late, present) * 3] == [False] * 6
    assert present.affinity.account("b", NOW) == "home"


def test_a_forgotten_account_is_forgotten_by_all(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.bind(SESSION, "dead", NOW)
    one.merge()
    other.merge()
    other.affinity.forget_account("dead")
    other.merge()
    one.merge()
    assert one.affinity.owner(SESSION) is None


def test_a_use_in_the_future_is_put_right_in_the_file(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.affinity.bind(SESSION, "work", NOW + 86400)
    one.merge(NOW + 86400)
    other.affinity.bind("b", "home", NOW)
    other.merge(NOW)
    assert other.affinity.account(SESSION, NOW) == "work"
    assert one.file.read().sessions.sessions[SESSION].used_at < NOW
    assert other.affinity.account(SESSION, NOW + LIFETIME) is None


def test_only_hashes_ids_and_figures_are_in_it_and_it_is_private(process: Callable[[], Process]) -> None:
    one = process()
    one.affinity.at(3).bind(SESSION, "acct_ada", NOW)
    one.affinity.charge(SESSION, "acct_ada", Usage(100, 10), NOW)
    one.merge()
    assert one.file.path.stat().st_mode & 0o777 == 0o600
    ledger = {"accounts": {"acct_ada": [1, 100, 10]}, "moves": 0, "moved_tokens": 0, "last": [0, "acct_ada", 100]}
    found = json.loads(one.file.path.read_text())
    binding = found["sessions"]["bindings"][SESSION]
    assert binding == {"account": "acct_ada", "used_at": pytest.approx(NOW), "ledger": ledger}
    assert found["sessions"]["generation"] == 3


SOUND = {"generation": 0, "bindings": {"s": {"account": "work", "used_at": NOW}}}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"torn {", id="torn"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param({"version": 2, "sessions": SOUND, "turn_states": SOUND}, id="another version"),
        pytest.param({"version": 1, "sessions": SOUND}, id="half of it"),
        pytest.param({"sessions": {"generation": 0, "bindings": []}}, id="no bindings"),
        pytest.param({"sessions": {"generation": -1, "bindings": {}}}, id="no generation"),
        pytest.param({"binding": {"account": 1, "used_at": NOW}}, id="no account"),
        pytest.param({"binding": {"account": "work", "used_at": True}}, id="no time"),
        pytest.param({"binding": {"account": "work", "used_at": 1e300}}, id="a time that never comes"),
        pytest.param({"binding": {"account": "work", "used_at": NOW, "ledger": 7}}, id="no ledger"),
        pytest.param({"ledger": {"accounts": {"work": [1, 2]}}}, id="figures missing"),
        pytest.param({"ledger": {"accounts": {"work": [1, 2, -3]}}}, id="a negative figure"),
        pytest.param({"ledger": {"moves": 1.5}}, id="half a move"),
        pytest.param({"ledger": {"last": ["work"]}}, id="an odd last answer"),
    ],
)
def test_an_unreadable_file_is_left_aside_with_one_warning_and_replaced(
    process: Callable[[], Process], data: bytes | dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    one = process()
    one.affinity.bind(SESSION, "work", NOW)
    one.merge()
    one.file.path.write_bytes(data if isinstance(data, bytes) else json.dumps(document(data)).encode())
    one.merge()
    one.merge()
    assert one.affinity.owner(SESSION) == "work"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "left aside" in caplog.text
    one.affinity.bind("b", "home", NOW)
    one.merge()
    assert process().file.read().sessions.sessions.keys() == {SESSION, "b"}


def document(broken: dict[str, object]) -> dict[str, object]:
    """A whole file with something broken in it, however deep."""
    if "ledger" in broken:
        ledger = {"accounts": {"work": [1, 2, 3]}, "moves": 0, "moved_tokens": 0, "last": None}
        assert isinstance(broken["ledger"], dict)
        broken = {"binding": {"account": "work", "used_at": NOW, "ledger": ledger | broken["ledger"]}}
    if "binding" in broken:
        broken = {"sessions": {"generation": 0, "bindings": {"s": broken["binding"]}}}
    return broken if "version" in broken else {"version": 1, "sessions": SOUND, "turn_states": SOUND} | broken


def test_where_the_file_cannot_be_written_it_is_said_once_and_bindings_hold_within_the_process(
    home: Path, process: Callable[[], Process], caplog: pytest.LogCaptureFixture
) -> None:
    home.write_text("not a folder")
    one = process()
    one.affinity.bind(SESSION, "work", NOW)
    for _ in range(3):
        one.merge()
    assert one.affinity.account(SESSION, NOW) == "work"
    assert len(caplog.records) == 1 and "not shared" in caplog.text
    home.unlink()
    one.merge()
    assert process().file.read().sessions.sessions.keys() == {SESSION}


def test_a_link_that_somebody_planted_is_not_followed(home: Path, process: Callable[[], Process]) -> None:
    home.mkdir(mode=0o700)
    victim = home.with_name("victim")
    victim.write_text("precious")
    one = process()
    one.file.path.symlink_to(victim)
    one.affinity.bind(SESSION, "work", NOW)
    one.merge()
    assert victim.read_text() == "precious"
    assert process().file.read().sessions.sessions.keys() == {SESSION}


def test_to_look_whether_there_is_news_needs_no_file(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    assert not other.file.changed()
    one.affinity.bind(SESSION, "work", NOW)
    one.merge()
    assert other.file.changed() and not one.file.changed()
    other.merge()
    assert not other.file.changed()


# Binds sessions of its own all the time, and ends when it has heard of those of the other one.
PEER = """
import sys, time
from pathlib import Path
from understudy.pool.affinity import Affinity
from understudy.state.affinity import AffinityFile

file, affinity, turn_states = AffinityFile(Path(sys.argv[1])), Affinity(), Affinity()
own, other, number = sys.argv[2], sys.argv[3], 0
while number < 50 or affinity.owner(f"{other} 49") is None:
    affinity.bind(f"{own} {number}", own, time.time())
    number += 1
    file.merge(affinity, turn_states, time.time())
    time.sleep(0.005)
print(sum(affinity.owner(f"{other} {earlier}") == other for earlier in range(50)))
"""


def test_processes_that_write_at_the_same_time_lose_nothing_of_each_others(home: Path) -> None:
    commands = [[sys.executable, "-c", PEER, str(home), *names] for names in (("a", "b"), ("b", "a"))]
    peers = [
        subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) for command in commands
    ]
    assert [peer.communicate(timeout=60)[0] for peer in peers] == ["50\n", "50\n"]


def test_to_merge_when_nothing_has_changed_costs_next_to_nothing(process: Callable[[], Process]) -> None:
    one = process()
    for number in range(CAPACITY):
        one.affinity.bind(f"session {number}", "work", NOW)
    one.merge()
    began = time.perf_counter()
    for _ in range(100):
        one.merge()
    assert time.perf_counter() - began < 0.1

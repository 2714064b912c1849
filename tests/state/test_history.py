"""The history keeps how full windows were, apart from the status, and is never an error."""

import json
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from understudy.pool.pace import LONGEST, Point
from understudy.pool.pool import Pool
from understudy.state.history import HistoryFile
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source, Window


def seen(used: float, at: float = NOW) -> Snapshot:
    windows = (Window("5h", "codex", used, 300, None), Window("5h", "codex_other", 1.0, 300, None))
    return Snapshot("plus", windows, None, at, Source.HEADERS)


@pytest.fixture
def cache(home: Path) -> QuotaCache:
    return QuotaCache(home)


def record(cache: QuotaCache, used: float, at: float, name: str = "ada") -> None:
    cache.record([(f"acct_{name}", seen(used, at))], (account("ada"), account("bob")))


def five(cache: QuotaCache, name: str = "ada") -> list[tuple[float, float]]:
    return [(point.at - NOW, point.used) for point in cache.history.read()[f"acct_{name}"]["codex", "5h"]]


def test_every_five_minutes_a_point_of_each_window_is_kept(cache: QuotaCache) -> None:
    for minute in range(11):
        record(cache, minute, NOW + minute * 60)
    assert five(cache) == [(0, 0), (300, 5), (600, 10)]
    assert set(cache.history.read()["acct_ada"]) == {("codex", "5h"), ("codex_other", "5h")}


def test_the_points_of_two_processes_are_those_of_one(home: Path) -> None:
    first, second = QuotaCache(home), QuotaCache(home)
    record(first, 1, NOW)
    record(second, 2, NOW + 60)
    record(second, 3, NOW + 360, "bob")
    record(first, 4, NOW + 420)
    assert (five(first), five(first, "bob")) == ([(0, 1), (420, 4)], [(360, 3)])


def test_between_two_points_the_file_is_left_alone(cache: QuotaCache) -> None:
    record(cache, 1, NOW)
    cache.history.path.unlink()
    record(cache, 2, NOW + 60)
    assert not cache.history.path.exists()


def test_the_history_of_an_account_goes_with_it(cache: QuotaCache) -> None:
    record(cache, 1, NOW)
    cache.record([("acct_bob", seen(2, NOW + 600))], (account("bob"),))
    assert set(cache.history.read()) == {"acct_bob"}


def test_an_account_that_is_gone_gets_no_history(cache: QuotaCache) -> None:
    cache.record([("acct_gone", seen(1))], (account("bob"),))
    assert cache.history.read() == {}


def test_two_hours_are_kept(cache: QuotaCache) -> None:
    record(cache, 1, NOW)
    record(cache, 2, NOW + LONGEST - 1)
    record(cache, 3, NOW + LONGEST + 600)
    assert five(cache) == [(LONGEST - 1, 2), (LONGEST + 600, 3)]


def test_the_status_s_own_file_does_not_grow_with_it(cache: QuotaCache) -> None:
    record(cache, 1, NOW)
    size = cache.path.stat().st_size
    for step in range(1, 20):
        record(cache, 1, NOW + step * 300)
    assert cache.path.stat().st_size == size
    assert len(five(cache)) == 20


def test_no_token_and_no_address_is_in_it(cache: QuotaCache) -> None:
    record(cache, 1, NOW)
    text = cache.history.path.read_text()
    assert CANARY not in text and "@" not in text
    assert cache.history.path.stat().st_mode & 0o077 == 0


def test_without_a_file_there_is_no_history(home: Path) -> None:
    assert HistoryFile(home).read() == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"torn {",
        b"[]",
        b"{}",
        b'{"version": 2, "accounts": {}}',
        b'{"version": 1, "accounts": []}',
        b'{"version": 1, "accounts": {"acct_ada": []}}',
        b'{"version": 1, "accounts": {"acct_ada": {"codex": {"5h": [[1]]}}}}',
        b'{"version": 1, "accounts": {"acct_ada": {"codex": {"5h": [[1, "2"]]}}}}',
        b'{"version": 1, "accounts": {"acct_ada": {"codex": {"5h": [[1, -2]]}}}}',
        b'{"version": 1, "accounts": {"acct_ada": {"codex": {"5h": [[1e999, 2]]}}}}',
    ],
)
def test_an_unreadable_history_is_left_aside_with_a_warning_and_begun_anew(
    cache: QuotaCache, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache.sync(Pool((account("ada"),)))
    cache.history.path.write_bytes(data)
    assert cache.history.read() == {}
    assert "left aside" in caplog.text
    record(cache, 1, NOW)
    assert five(cache) == [(0, 1)]


def test_a_history_that_cannot_be_written_costs_nothing_but_itself(
    cache: QuotaCache, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.sync(Pool((account("ada"),)))
    (home / ".history.json.lock").mkdir()
    record(cache, 1, NOW)
    assert "the pace of the accounts is not kept" in caplog.text
    assert (cache.read() or ())[0].snapshot == seen(1)


def test_weeks_of_many_accounts_are_read_whole(cache: QuotaCache) -> None:
    rows = [[int(NOW) + step * 300, 42.5] for step in range(10_000)]
    accounts = {f"acct_{number}": {"codex": {"5h": rows, "weekly": rows}} for number in range(3)}
    cache.sync(Pool())
    cache.history.path.write_text(json.dumps({"version": 1, "accounts": accounts}))
    found = cache.history.read()
    assert len(found) == 3
    assert found["acct_0"]["codex", "weekly"][-1] == Point(NOW + 9999 * 300, 42.5)

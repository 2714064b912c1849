"""The snapshot cache holds what the status shows, and is never an error."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from understudy.pool.account import Account, Block, Health
from understudy.pool.pool import Pool
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Credits, Snapshot, Source, Window


def snapshot(used: float = 10.0, at: float = NOW, plan: str = "plus") -> Snapshot:
    windows = (
        Window("5h", "codex", used, 300, NOW + 3600),
        Window("weekly", "codex", 5.5, 10080, None),
        Window("5h", "codex_other", 1.0, None, NOW + 60.5),
    )
    return Snapshot(plan, windows, Credits(True, False, "12.50"), at, Source.HEADERS)


@pytest.fixture
def cache(home: Path) -> QuotaCache:
    return QuotaCache(home)


def test_a_cache_that_is_not_there_is_told_from_an_empty_pool(cache: QuotaCache) -> None:
    assert cache.read() is None
    cache.sync(Pool(()))
    assert cache.read() == ()


def test_what_was_learned_comes_back_as_it_was(cache: QuotaCache) -> None:
    ada = replace(
        account("ada"),
        enabled=False,
        health=Health.NEEDS_LOGIN,
        health_reason="the login has expired",
        block=Block(NOW + 5, "usage limit", authoritative=True),
        last_used_at=NOW - 1,
    )
    cache.record([(ada.id, snapshot())], (ada, account("bob")))
    entries = cache.read()
    assert entries is not None
    first, second = entries
    assert (first.id, first.label, first.plan, first.enabled) == (ada.id, "ada", "plus", False)
    assert (first.health, first.health_reason) == (Health.NEEDS_LOGIN, "the login has expired")
    assert (first.blocked_until, first.block_reason, first.last_used_at) == (NOW + 5, "usage limit", NOW - 1)
    assert first.snapshot == snapshot()
    assert (second.label, second.snapshot) == ("bob", None)


def test_no_token_and_no_address_is_in_it(cache: QuotaCache) -> None:
    cache.record([("acct_ada", snapshot())], (account("ada"),))
    text = cache.path.read_text()
    assert CANARY not in text and "@" not in text


def test_figures_stay_when_the_pool_changes_and_go_with_their_account(cache: QuotaCache) -> None:
    cache.record([("acct_ada", snapshot()), ("acct_bob", snapshot())], (account("ada"), account("bob")))
    cache.sync(Pool((replace(account("bob"), label="mine"), account("cy"))))
    entries = cache.read()
    assert entries is not None
    assert [(e.label, e.snapshot) for e in entries] == [("mine", snapshot()), ("cy", None)]


def test_a_late_snapshot_does_not_bring_an_account_back(cache: QuotaCache) -> None:
    cache.record([("acct_ada", snapshot())], (account("bob"),))
    assert [e.label for e in cache.read() or ()] == ["bob"]


def test_the_later_of_two_last_uses_counts(cache: QuotaCache) -> None:
    used = tuple(replace(account("ada"), last_used_at=at) for at in (NOW, NOW - 50))
    for each in used:
        cache.sync(Pool((each,)))
    assert [e.last_used_at for e in cache.read() or ()] == [NOW]


def test_an_older_snapshot_does_not_replace_a_newer_one(cache: QuotaCache) -> None:
    pool: tuple[Account, ...] = (account("ada"),)
    cache.record([("acct_ada", snapshot(80.0, NOW)), ("acct_ada", snapshot(10.0, NOW - 60))], pool)
    entries = cache.read()
    assert entries is not None and entries[0].snapshot is not None
    assert entries[0].snapshot.windows[0].used_percent == 80.0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"torn {",
        b"[]",
        b"{}",
        b'{"version": 2, "accounts": []}',
        b'{"version": 1, "accounts": [{}]}',
        b'{"version": 1, "accounts": {"a": 1}}',
        b"[" * 100_000,
        b'{"version": NaN}',
    ],
)
def test_an_unreadable_cache_is_left_aside_with_a_warning_and_replaced_by_the_next_write(
    cache: QuotaCache, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache.sync(Pool((account("ada"),)))
    cache.path.write_bytes(data)
    assert cache.read() is None
    assert "left aside" in caplog.text
    cache.sync(Pool((account("ada"),)))
    assert [e.label for e in cache.read() or ()] == ["ada"]


@pytest.mark.parametrize("value", ["1e999", "-1", "true", '"soon"', "9" * 400, "[]", "1e300"])
def test_a_number_that_makes_no_sense_makes_the_cache_unreadable_and_raises_nothing(
    cache: QuotaCache, value: str
) -> None:
    cache.record([("acct_ada", snapshot())], (account("ada"),))
    text = cache.path.read_text()
    number = json.dumps(NOW + 3600)
    assert number in text
    cache.path.write_text(text.replace(number, value))
    assert cache.read() is None

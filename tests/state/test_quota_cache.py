"""The snapshot cache holds what the status shows, and is never an error."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from understudy.pool.account import Account, Block, Ground, Health, Lane
from understudy.pool.ledger import EMPTY, Figures, record
from understudy.pool.pool import Pin, Pool
from understudy.state.board import Board, SessionLine, session_line
from understudy.state.quota import MOST_SESSIONS, QuotaCache
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
        blocks=(Block(NOW + 5, "usage limit", authoritative=True),),
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


def test_all_that_the_commands_need_comes_back_as_it_was(cache: QuotaCache) -> None:
    blocks = (
        Block(NOW + 5, "usage limit", authoritative=True, since=NOW - 5, tried_at=NOW - 1),
        Block(NOW + 9, "no such model", False, Ground.ENTITLEMENT, model="gpt-5", limit_id="codex_other"),
    )
    ada = replace(account("ada"), blocks=blocks, reserve_percent=12.5, lane=Lane.PLATFORM)
    seen = replace(snapshot(), active_limit="codex_other", reset_credits=2)
    figures = Figures(requests=3, input_tokens=1000, cached_tokens=750)
    cache.record([(ada.id, seen)], (ada,), figures={ada.id: figures}, failed={ada.id: NOW})
    [entry] = cache.read() or ()
    assert (entry.blocks, entry.reserve_percent, entry.lane) == (blocks, 12.5, Lane.PLATFORM)
    assert (entry.snapshot, entry.figures, entry.usage_failed_at) == (seen, figures, NOW)


def test_a_file_of_an_earlier_version_still_reads(cache: QuotaCache) -> None:
    cache.record([("acct_ada", snapshot())], (account("ada"),))
    document = json.loads(cache.path.read_text())
    for name in ("sessions", "next"):
        del document[name]
    for name in ("blocks", "reserve_percent", "lane", "figures", "usage_failed_at", "pinned"):
        del document["accounts"][0][name]
    for name in ("active_limit", "reset_credits"):
        del document["accounts"][0]["snapshot"][name]
    expected = cache.board()
    cache.path.write_text(json.dumps(document))
    assert cache.board() == expected


LINE = SessionLine("a1b2c3d4", "ada", 5, 0.9, 1, 1200)


def test_what_the_proxy_told_stays_where_others_have_nothing_to_say(cache: QuotaCache) -> None:
    ada = account("ada")
    cache.record([], (ada,), figures={ada.id: Figures(1, 2, 0)}, sessions=[LINE], upcoming="ada (first in order)")
    cache.record([(ada.id, snapshot())], (replace(ada, last_used_at=NOW),))
    board = cache.board()
    assert board is not None
    assert (board.sessions, board.upcoming) == ((LINE,), "ada (first in order)")
    assert board.entries[0].figures == Figures(1, 2, 0)


def test_what_comes_next_goes_where_the_pool_is_another_one(cache: QuotaCache) -> None:
    ada = account("ada")
    for pool in (
        Pool((ada,), pin=Pin(ada.id)),
        Pool((replace(ada, enabled=False),)),
        Pool((replace(ada, blocks=(Block(NOW, "usage limit", True),)),)),
        Pool((account("bob"), ada)),
    ):
        cache.record([], (ada,), upcoming="ada (first in order)")
        cache.sync(pool)
        assert (cache.board() or Board(upcoming="?")).upcoming == ""


def test_of_the_sessions_the_latest_are_kept(cache: QuotaCache) -> None:
    cache.record([], (), sessions=[replace(LINE, requests=count) for count in range(MOST_SESSIONS + 5)])
    assert [line.requests for line in (cache.board() or Board()).sessions] == list(range(MOST_SESSIONS))


def test_a_session_s_line_sums_up_its_ledger() -> None:
    ledger, _ = record(EMPTY, "acct_ada", 1000, 500)
    ledger, cost = record(ledger, "acct_bob", 1000, 0)
    assert session_line("a1b2c3d4e5f6", "bob", ledger) == SessionLine("a1b2c3d4", "bob", 2, 0.25, 1, cost)
    assert session_line("a1", "bob", EMPTY).cached_share is None


def test_without_an_answer_there_are_no_shares_to_read_back(cache: QuotaCache) -> None:
    cache.record([], (), sessions=[replace(LINE, cached_share=None)])
    assert (cache.board() or Board()).sessions[0].cached_share is None


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

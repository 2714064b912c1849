"""The status says, in 80 columns, what is left of each account, and says it the same to scripts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account
from understudy.cli.main import main
from understudy.cli.render import ASCII, UNICODE
from understudy.cli.status import status_lines
from understudy.pool.account import Account, Block, Ground, Health, Lane
from understudy.pool.ledger import Figures
from understudy.pool.pool import Pool
from understudy.state.board import Board, Entry, SessionLine
from understudy.state.quota import QuotaCache, entry_of
from understudy.state.report import status_object
from understudy.wire.quota import Credits, Snapshot, Source, Window

HOUR = 3600.0
NOON = NOW - NOW % 86400 + 12 * HOUR
"""Noon, UTC, of a Friday."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def entry(of: Account, snapshot: Snapshot | None = None) -> Entry:
    return replace(entry_of(of, None, None), snapshot=snapshot)


def snapshot(*windows: Window, at: float = NOON - 180, credits: Credits | None = None) -> Snapshot:
    return Snapshot("plus", windows, credits, at, Source.HEADERS)


FIVE = Window("5h", "codex", 62.5, 300, NOON + 2 * HOUR + 600)
WEEK = Window("weekly", "codex", 100.0, 10080, NOON + 77 * HOUR)

BLOCKED = entry(
    replace(account("work"), last_used_at=NOON - 30, blocks=(Block(NOON + 7800, "usage limit", authoritative=True),)),
    snapshot(FIVE, WEEK),
)


def lines(*entries: Entry) -> list[str]:
    return status_lines(entries, NOON, UNICODE)


def test_the_whole_table_reads_like_this() -> None:
    limited = Window("5h", "codex_spark", 1.0, 300, None)
    dead = replace(
        account("home"), health=Health.NEEDS_LOGIN, health_reason="the login has expired", last_used_at=NOON - 99
    )
    off = replace(account("spare"), enabled=False, plan="")
    shown = lines(
        BLOCKED,
        entry(off, replace(snapshot(limited, credits=Credits(True, False, "12.50")), plan="")),
        entry(dead),
    )
    assert (
        "\n".join(shown)
        == """\
ACCOUNT        PLAN    STATE       WINDOW  USED           RESETS
work           plus    blocked     5h      █████░░░  62%  14:10, in 2 h 10 min
  until 14:10: usage limit         weekly  ████████ 100%  Mon 17:00, in 3 d 5 h
  served last
  seen 3 min ago
spare          -       disabled    codex_spark:
  seen 3 min ago                   5h      ▏░░░░░░░   1%  unknown
  credits: 12.50
home           plus    needs login
  no figures yet

home: the login has expired. Log in again: understudy login"""
    )


@pytest.mark.parametrize(("pinned", "note"), [("hard", "pinned"), ("soft", "preferred")])
def test_the_account_that_the_user_has_pinned_is_marked(pinned: str, note: str) -> None:
    _, ada, first, second = lines(replace(entry(account("ada")), pinned=pinned), entry(account("bob")))[:4]
    assert (ada.split()[0], first.strip(), second.strip()) == ("ada", note, "no figures yet")
    assert note not in "".join(lines(entry(account("bob"))))


def test_what_else_the_choice_goes_by_is_said_in_notes() -> None:
    no_such_model = Block(NOON + 3600, "plan without this model", False, Ground.ENTITLEMENT, model="gpt-5")
    ada = replace(account("ada"), reserve_percent=20.0, blocks=(no_such_model,))
    assert [line.strip() for line in lines(entry(ada))[2:]] == [
        "gpt-5: until 13:00",
        "keeps 20 % for you",
        "no figures yet",
    ]


def test_a_paid_lane_is_marked_and_has_a_remedy_of_its_own() -> None:
    key = replace(account("key"), lane=Lane.PLATFORM, health=Health.NEEDS_LOGIN, health_reason="key refused")
    shown = lines(entry(key))
    assert "costs money" in "".join(shown)
    assert " ".join(shown[-2:]).endswith(
        "key refused. Remove it, and add another key: understudy accounts add-api-key LABEL"
    )


def test_the_last_line_says_what_comes_next(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    QuotaCache(home).record([], (account("home"),), upcoming="home (first in order)")
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["", "next: home (first in order)"]


def test_where_nobody_has_said_what_comes_next_there_is_no_such_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    QuotaCache(home).record([], (account("home"),))
    assert main(["status"]) == 0
    assert "next:" not in capsys.readouterr().out


def test_where_blocks_cannot_be_shown_it_is_ascii() -> None:
    shown = status_lines([BLOCKED], NOON, ASCII)
    assert all(line.isascii() for line in shown)
    assert "#####---  62%" in shown[1]


def test_no_line_is_longer_than_80_columns_whatever_is_in_it() -> None:
    long = replace(
        account("x" * 32),
        plan="enterprise_cbp_usage_based",
        last_used_at=NOON,
        blocks=(Block(NOON + 20 * 86400, "r" * 300, authoritative=True),),
    )
    dead = replace(long, health=Health.NEEDS_LOGIN, health_reason="because " * 40)
    windows = tuple(
        Window("w" * 40, limit, used, 300, NOON + after)
        for limit in ("codex", "l" * 64)
        for used, after in ((0.0, -1), (99.99, 6.99 * 86400), (100.0, 31.9 * 86400), (0.01, 86399.0))
    )
    shown = lines(*(entry(a, snapshot(*windows, credits=Credits(True, False, "b" * 64))) for a in (long, dead)))
    assert max(len(line) for line in shown) <= 80


def test_text_of_foreign_origin_does_nothing_to_the_terminal() -> None:
    evil = "\x1b]0;x\x07\x9b2J\u202e\n\t"
    one = replace(account("ada"), plan=evil, health=Health.NEEDS_LOGIN, health_reason=evil, last_used_at=NOON)
    limited = replace(one, health=Health.OK, blocks=(Block(NOON + 60, evil, authoritative=True),))
    quota = snapshot(Window(evil, "codex", 5.0, 300, None), Window("5h", evil, 5.0, 300, None))
    quota = replace(quota, plan=evil, credits=Credits(True, False, evil))
    shown = "\n".join(lines(entry(one, quota), entry(limited, quota)))
    assert [c for c in shown if not (c.isprintable() or c == "\n")] == []


def test_a_window_that_has_reset_since_is_shown_as_fresh() -> None:
    shown = lines(entry(account("ada"), snapshot(replace(FIVE, used_percent=100.0, resets_at=NOON - 1))))
    assert shown[1].endswith("░░░░░░░░   0%  has reset")


def test_a_block_that_has_ended_since_is_no_block() -> None:
    ended = entry(replace(account("ada"), blocks=(Block(NOON - 1, "usage limit", authoritative=True),)))
    assert " ok" in lines(ended)[1]
    assert account_of(ended)["state"] == "ok"
    assert account_of(ended)["blocked_until"] is None


def test_only_the_account_that_served_last_says_so() -> None:
    shown = lines(*(entry(replace(account(name), last_used_at=at)) for name, at in (("a", NOON - 9), ("b", NOON - 8))))
    assert [n for n, line in enumerate(shown) if "served last" in line] == [4]


def account_of(entry: Entry) -> dict[str, object]:
    accounts = status_object(Board((entry,)), NOON)["accounts"]
    assert isinstance(accounts, list)
    shown = json.loads(json.dumps(accounts[0]))
    assert isinstance(shown, dict)
    return shown


def test_scripts_get_this() -> None:
    assert account_of(BLOCKED) == {
        "id": "acct_work",
        "label": "work",
        "plan": "plus",
        "enabled": True,
        "pinned": None,
        "lane": "codex",
        "state": "blocked",
        "state_reason": None,
        "blocked_until": NOON + 7800,
        "blocked_models": [],
        "reserve_percent": 0.0,
        "last_used_at": NOON - 30,
        "updated_at": NOON - 180,
        "source": "headers",
        "windows": [
            {
                "name": "5h",
                "limit_id": "codex",
                "used_percent": 62.5,
                "window_minutes": 300,
                "resets_at": NOON + 7800,
            },
            {
                "name": "weekly",
                "limit_id": "codex",
                "used_percent": 100.0,
                "window_minutes": 10080,
                "resets_at": NOON + 77 * HOUR,
            },
        ],
        "credits": None,
        "reset_credits": None,
        "requests": 0,
        "input_tokens": 0,
        "cached_tokens": 0,
        "cached_share": None,
    }


def test_scripts_get_more_of_an_account_where_there_is_more() -> None:
    block = Block(NOON + 60, "plan without this model", False, Ground.ENTITLEMENT, model="gpt-5")
    over = replace(block, until=NOON - 1)
    ada = replace(account("ada"), reserve_percent=12.5, blocks=(block, over), lane=Lane.PLATFORM)
    shown = account_of(
        replace(
            entry(ada, replace(snapshot(FIVE), reset_credits=2)),
            figures=Figures(requests=3, input_tokens=1000, cached_tokens=750),
        )
    )
    assert shown["blocked_models"] == [{"model": "gpt-5", "until": NOON + 60, "reason": "plan without this model"}]
    assert (shown["state"], shown["reserve_percent"], shown["lane"]) == ("ok", 12.5, "platform")
    assert shown["reset_credits"] == 2
    assert [shown[name] for name in ("requests", "input_tokens", "cached_tokens", "cached_share")] == [
        3,
        1000,
        750,
        0.75,
    ]


def test_scripts_get_the_sessions_and_what_comes_next() -> None:
    line = SessionLine("a1b2c3d4", "work", 5, 0.9, 1, 1200)
    shown = status_object(Board(sessions=(line,), upcoming="home (pinned)"), NOON)
    assert shown["next"] == "home (pinned)"
    assert shown["sessions"] == [
        {
            "session": "a1b2c3d4",
            "account": "work",
            "requests": 5,
            "cached_share": 0.9,
            "moves": 1,
            "moved_tokens": 1200,
        }
    ]


def test_what_is_unknown_is_null_for_scripts() -> None:
    assert account_of(entry(replace(account("ada"), plan=""))) == {
        "id": "acct_ada",
        "label": "ada",
        "plan": None,
        "enabled": True,
        "pinned": None,
        "lane": "codex",
        "state": "ok",
        "state_reason": None,
        "blocked_until": None,
        "blocked_models": [],
        "reserve_percent": 0.0,
        "last_used_at": None,
        "updated_at": None,
        "source": None,
        "windows": [],
        "credits": None,
        "reset_credits": None,
        "requests": 0,
        "input_tokens": 0,
        "cached_tokens": 0,
        "cached_share": None,
    }


def test_credits_are_an_object_for_scripts() -> None:
    shown = account_of(entry(account("ada"), snapshot(credits=Credits(True, False, "12.50"))))
    assert shown["credits"] == {"has_credits": True, "unlimited": False, "balance": "12.50"}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"enabled": False}, "disabled"),
        ({"health": Health.NEEDS_LOGIN}, "needs_login"),
        ({"blocked_until": NOON + 1}, "blocked"),
    ],
)
def test_the_state_is_one_of_four_words(changes: dict[str, object], state: str) -> None:
    assert account_of(replace(entry(account("ada")), **changes))["state"] == state  # type: ignore[arg-type]


def test_without_a_cache_it_says_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    said = capsys.readouterr()
    assert "Nothing is known" in said.out
    assert said.out.index("understudy login") < said.out.index("understudy accounts import ~/.codex/auth.json")
    assert said.err == ""


def test_with_an_empty_pool_it_says_what_to_do_next(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    QuotaCache(home).sync(Pool())
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "no accounts" in said
    assert said.index("understudy login") < said.index("understudy accounts import ~/.codex/auth.json")


def test_with_a_broken_cache_it_warns_and_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir(mode=0o700)
    (home / "quota.json").write_text("torn")
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": 1, "accounts": [], "sessions": [], "next": None}


def test_it_reads_the_cache_and_nothing_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    QuotaCache(home).record([("acct_ada", snapshot(FIVE))], (account("ada"),))
    (home / "accounts.json").write_text("unreadable")
    assert main(["status", "--json"]) == 0
    text = capsys.readouterr().out
    assert [a["label"] for a in json.loads(text)["accounts"]] == ["ada"]
    assert CANARY not in text and "@" not in text
    assert (home / "accounts.json").read_text() == "unreadable"


@pytest.mark.parametrize(("encoding", "full"), [("utf-8", "█"), ("ascii", "#"), ("latin-1", "#"), ("cp437", "#")])
def test_the_bars_suit_the_outputs_encoding(home: Path, encoding: str, full: str) -> None:
    QuotaCache(home).record([("acct_ada", snapshot(WEEK, at=time.time()))], (account("ada"),))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    window = replace(WEEK, resets_at=time.time() + 999)
    QuotaCache(home).record([("acct_ada", snapshot(window, at=time.time()))], (account("ada"),))
    command = [sys.executable, "-m", "understudy", "status"]
    shown = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=True).stdout
    assert f"{full * 8} 100%" in shown.decode(encoding)


def test_it_starts_quickly(home: Path) -> None:
    QuotaCache(home).record([("acct_ada", snapshot(FIVE))], (account("ada"),))
    command = [sys.executable, "-m", "understudy", "status"]
    took = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, timeout=30, check=True)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.3

"""The forecast says who will be usable when, and in a sentence what that means."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, account
from support.terminal import Understudy
from understudy.cli.forecast import forecast_lines, summary
from understudy.cli.render import ASCII, UNICODE
from understudy.pool.account import Account, Block
from understudy.pool.forecast import Runner, forecast
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Credits, Snapshot, Source, Window

NOON = 1_800_014_400.0
"""Noon, UTC, of a Friday."""
HOUR = 3600.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def five(used: float, resets_in: float = 4.0) -> Window:
    return Window("5h", "codex", used, 300, NOON + resets_in * HOUR)


def runner(label: str, *windows: Window, pace: float | None = None, at: float = NOON - 60) -> Runner:
    snapshot = Snapshot("plus", windows, None, at, Source.HEADERS) if windows else None
    return Runner(label, snapshot=snapshot, paces={} if pace is None else {"5h": pace})


def blocked(label: str, hours: float) -> Runner:
    return Runner(label, blocks=(Block(NOON + hours * HOUR, "usage limit", authoritative=True),))


def said(*runners: Runner) -> str:
    return summary(forecast(runners, NOON), NOON)


def test_the_whole_forecast_reads_like_this() -> None:
    pool = (
        runner("work", five(50), pace=25),
        runner("home", five(25, resets_in=4.5), at=NOON - 2 * HOUR),
        blocked("late", 3),
        Runner("spare", enabled=False),
    )
    assert "\n".join(forecast_lines(forecast(pool, NOON), NOON, UNICODE)) == (
        """\
ACCOUNT  USABLE  LASTS UNTIL  ENDED BY  BACK   RISK
work     now     14:00        5h        16:00  low
home     now     15:00        5h        16:30  low
late     15:00   -            -         -      high
spare    -       -            -         -      high

home: its figures are 2 h old; newer ones: understudy limits --live
late: usage limit
late: no figures yet: how long it lasts is not known
spare: disabled

At this pace work lasts until 14:00; then home until 20:30; then work until
01:00, and so on."""
    )


@pytest.mark.parametrize(
    ("pool", "sentence"),
    [
        pytest.param(
            (runner("work", five(50, 3), pace=50), runner("home", five(50, 4))),
            "At this pace work lasts until 13:00; then home until 14:00; nobody is usable from 14:00 to 15:00; "
            "then work until 17:00.",
            id="a gap",
        ),
        pytest.param(
            (runner("work", five(10), pace=10),), "At this pace work lasts as far as one can see.", id="no end"
        ),
        pytest.param(
            (blocked("work", 2), blocked("home", 1)),
            "Nobody is usable until 13:00; then home, as far as one can see.",
            id="all blocked",
        ),
        pytest.param((Runner("work", enabled=False),), "Nobody is usable.", id="nobody"),
        pytest.param(
            (runner("work", five(50), pace=0),),
            "work is usable. Nothing was used in the last hour, so there is no pace to go by.",
            id="idle",
        ),
        pytest.param(
            (Runner("work"),),
            "work is usable. Nothing is known of the last hour, so there is no pace to go by.",
            id="no figures",
        ),
        pytest.param(
            (runner("work", Window("5h", "codex", 50, 300, None), pace=50), Runner("off", enabled=False)),
            "At this pace work lasts until 13:00; nobody is usable from 13:00 to 16:59; then work until 18:59.",
            id="a reset that is not named",
        ),
        pytest.param((), "There are no accounts.", id="empty"),
    ],
)
def test_a_sentence_says_what_it_means(pool: tuple[Runner, ...], sentence: str) -> None:
    assert said(*pool) == sentence


def test_credits_are_mentioned() -> None:
    rich = runner("rich", five(100), pace=10)
    assert rich.snapshot is not None
    rich = replace(rich, snapshot=replace(rich.snapshot, credits=Credits(True, False, "5")))
    said = "rich: credits carry it past its limits"
    assert said in forecast_lines(forecast([rich], NOON), NOON, UNICODE)
    assert said not in forecast_lines(forecast([replace(rich, reserve_percent=10)], NOON), NOON, UNICODE)


def test_no_line_is_longer_than_80_columns_whatever_is_in_it() -> None:
    pool = [
        replace(runner("x" * 32, Window("w" * 40, "codex", 99, 300, NOON + HOUR), pace=5), blocks=()),
        replace(blocked("y" * 32, 1), blocks=(Block(NOON + 20 * 86400, "r \x1b[2J" * 90, True),)),
    ]
    shown = forecast_lines(forecast(pool, NOON), NOON, ASCII)
    assert max(map(len, shown)) <= 80
    assert all(line.isprintable() for line in shown)


# The command


def seen(used: float, at: float, now: float) -> Snapshot:
    return Snapshot("plus", (Window("5h", "codex", used, 300, now + 4 * HOUR),), None, at, Source.HEADERS)


def record(home: Path, now: float, *accounts: Account) -> None:
    """Half an hour of ten percent for the first of the accounts, by a cache that has seen it."""
    cache = QuotaCache(home)
    AccountStore(home).update(over_accounts(lambda _: accounts))
    for minutes, used in ((30, 30.0), (15, 35.0), (0, 40.0)):
        cache.record([(accounts[0].id, seen(used, now - minutes * 60, now))], accounts)


def test_the_pace_is_that_of_the_history(understudy: Understudy, home: Path) -> None:
    now = time.time()
    record(home, now, account("work"), replace(account("home"), enabled=False))
    found = understudy("forecast", "--json").json
    work, spare = found["accounts"]
    assert found["percent_per_hour"]["5h"] == pytest.approx(20, abs=0.5)
    assert (work["label"], work["ready"], work["ends_by"], work["risk"]) == ("work", "ready", "5h", "low")
    assert work["lasts_until"] == pytest.approx(now + 3 * HOUR, abs=300)
    assert work["back_at"] == pytest.approx(now + 4 * HOUR)
    assert (spare["label"], spare["ready"], spare["reason"], spare["usable_from"]) == (
        "home",
        "unavailable",
        "disabled",
        None,
    )
    assert [leg["account"] for leg in found["work"][:2]] == ["work", None]
    assert found["summary"].startswith("At this pace work lasts until ")


def test_people_get_a_table_and_a_sentence(understudy: Understudy, home: Path) -> None:
    record(home, time.time(), account("work"))
    shown = understudy("forecast")
    assert (shown.code, shown.err) == (0, "")
    assert shown.lines[0].split() == ["ACCOUNT", "USABLE", "LASTS", "UNTIL", "ENDED", "BY", "BACK", "RISK"]
    assert "At this pace work lasts until" in shown.words
    assert CANARY not in shown.out and "@" not in shown.out


def test_without_figures_it_goes_by_the_pool(understudy: Understudy, home: Path) -> None:
    AccountStore(home).update(over_accounts(lambda _: (account("work"),)))
    shown = understudy("forecast")
    assert "work: no figures yet" in shown.words
    assert "there is no pace to go by" in shown.words


def test_an_empty_pool_is_said_to_be_empty(understudy: Understudy) -> None:
    assert "no accounts" in understudy("forecast").out
    assert understudy("forecast", "--json").json["summary"] == "There are no accounts."


def test_a_broken_history_costs_the_pace_alone(understudy: Understudy, home: Path) -> None:
    record(home, time.time(), account("work"))
    (home / "history.json").write_text("torn")
    found = json.loads(understudy("forecast", "--json").out)
    assert (found["percent_per_hour"], found["accounts"][0]["ready"]) == ({}, "ready")

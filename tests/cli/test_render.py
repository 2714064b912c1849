"""Bars, times and tables are read at a glance, so they must not mislead."""

import io
import time
from collections.abc import Iterator

import pytest

from understudy.cli.render import ASCII, UNICODE, age, bar, duration, fit, look_of, table, wrapped
from understudy.wire.text import clock_time

NOON = 1_800_014_400.0
"""Noon, UTC, of Friday, 15 January 2027."""
DAY = 86400.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("percent", "blocks", "ascii"),
    [
        (0.0, "░░░░", "----"),
        (0.01, "▏░░░", "#---"),
        (25.0, "█░░░", "#---"),
        (31.25, "█▎░░", "#---"),
        (50.0, "██░░", "##--"),
        (99.99, "███▉", "###-"),
        (100.0, "████", "####"),
        (250.0, "████", "####"),
        (-5.0, "░░░░", "----"),
    ],
)
def test_only_nothing_looks_empty_and_only_everything_looks_full(percent: float, blocks: str, ascii: str) -> None:
    assert bar(percent, 4, UNICODE) == blocks
    assert bar(percent, 4, ASCII) == ascii


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (3 * DAY, "3 d"),
        (3 * DAY + 4 * 3600 + 599, "3 d 4 h"),
        (3 * DAY + 599, "3 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        (0, "12:00"),
        (11.99 * 3600, "23:59"),
        (12 * 3600, "00:00"),
        (DAY - 60, "11:59"),
        (DAY, "Sat 12:00"),
        (6 * DAY, "Thu 12:00"),
        (7 * DAY, "22 Jan"),
        (-DAY, "14 Jan"),
        (1e18, "?"),
        (float("inf"), "?"),
    ],
)
def test_a_time_names_its_day_only_where_its_hour_alone_could_mislead(after: float, shown: str) -> None:
    assert clock_time(NOON + after, NOON) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("abc", "abc  "), ("abcde", "abcde"), ("abcdef", "abcd…"), ("a\x1b[2J", "a[2J "), ("äß", "??   ")],
)
def test_a_cell_is_exactly_as_wide_as_it_should_be(text: str, shown: str) -> None:
    assert fit(text, 5, UNICODE) == shown


def test_a_table_has_its_columns_below_each_other() -> None:
    assert table([("A", "B"), ("long", ""), ("x", "y")], UNICODE) == ["A     B", "long", "x     y"]


def test_a_table_that_is_too_wide_loses_of_its_widest_columns() -> None:
    rows = table([("A", "B", "C"), ("x" * 12, "y" * 9, "z")], UNICODE, 20)
    assert rows == ["A        B         C", f"{'x' * 6}…  {'y' * 7}…  z"]


def test_a_text_is_wrapped_between_words_and_never_within_a_label() -> None:
    lines = wrapped(f"{'word ' * 14}plus-\x1b[1mada is next", 2)
    assert lines == [("word " * 14).strip(), "  plus-[1mada is next"]


@pytest.mark.parametrize(("seconds", "words"), [(0.9, "just now"), (1, "1 s ago"), (180, "3 min ago")])
def test_an_age_is_a_duration_ago(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(("encoding", "look"), [("utf-8", UNICODE), ("ascii", ASCII), ("cp1252", ASCII)])
def test_the_look_suits_the_encoding(encoding: str, look: object) -> None:
    assert look_of(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) == look

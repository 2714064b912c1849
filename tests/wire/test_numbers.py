"""Numbers and times as the backend writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.numbers import LONGEST_WAIT, number, read_reset, read_retry_after, read_retry_after_ms, read_time

NOW = 1_777_922_696.0
DAY = 86400.0
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
GARBAGE = ["", " ", "NaN", "inf", "1e309", "-5", "1_000", "\uff19", "0x10", "1,5", "+1", "9" * 5000, "\u0661", "1 2"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12.5", 12.5), (" 7 ", 7.0), (7, 7.0), (0, 0.0), (99.9, 99.9), ("300", 300.0), (10**14, 1e14)],
)
def test_a_number_is_read_from_json_and_from_digits(value: object, expected: float) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("value", [*GARBAGE, None, True, [], {}, -1, math.nan, math.inf, 10**400], ids=ascii)
def test_what_is_no_plain_number_is_as_good_as_absent(value: object) -> None:
    assert number(value) is None
    assert read_time(value) is None


@pytest.mark.parametrize(
    "value",
    [1777936568, "1777936568", 1777936568000, "1777936568000", "2026-05-04T23:16:08Z", "2026-05-05T01:16:08+02:00"],
)
def test_a_moment_is_read_from_seconds_milliseconds_and_iso(value: object) -> None:
    assert read_time(value) == 1777936568.0


@pytest.mark.parametrize(
    "value", ["2026-13-45T99:99:99Z", "2026-05-04T23:16:08", "2026-05-04", "0001-01-01T00:00:00Z", 0]
)
def test_a_moment_that_is_none_is_as_good_as_absent(value: object) -> None:
    assert read_time(value) is None


def test_seconds_from_now_go_before_a_moment_since_our_clock_may_be_wrong() -> None:
    assert read_reset(NOW + 7200, 3600, NOW) == NOW + 3600
    assert read_reset(NOW + 7200, None, NOW) == NOW + 7200
    assert read_reset(NOW + 7200, "", NOW) == NOW + 7200
    assert read_reset(None, None, NOW) is None


@given(ANYTHING, ANYTHING, st.floats(0, 4e9), st.sampled_from([8.0, 32.0]))
def test_a_reset_never_raises_and_never_runs_away(at: object, after: object, now: float, days: float) -> None:
    reset = read_reset(at, after, now, days)
    assert reset is None or now <= reset <= now + days * DAY


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("999999999", LONGEST_WAIT),
        ("Mon, 04 May 2026 19:25:56 GMT", 60.0),
        ("Mon, 04 May 2020 19:25:56 GMT", 0.0),
        ("Mon, 04 May 2096 19:25:56 GMT", LONGEST_WAIT),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, expected: float) -> None:
    assert read_retry_after(value, NOW) == expected


@pytest.mark.parametrize(
    "value", [*GARBAGE, "1" * 10, "1.5", "soon", "Mon, 99 May 2026 19:25:56 GMT", "GMT"], ids=ascii
)
def test_a_retry_after_of_any_other_form_is_ignored(value: str) -> None:
    assert read_retry_after(value, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} \d+:\d+:\d+ GMT"))
def test_no_retry_after_raises(value: str) -> None:
    for seconds in (read_retry_after(value, NOW), read_retry_after_ms(value)):
        assert seconds is None or 0 <= seconds <= LONGEST_WAIT


def test_retry_after_ms_is_in_milliseconds() -> None:
    assert read_retry_after_ms("1500") == 1.5
    assert read_retry_after_ms("12.5") == 0.0125
    assert read_retry_after_ms("nan") is None

"""How much of a plan is used, from whatever the backend says about it."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.quota import (
    Credits,
    Snapshot,
    Source,
    Window,
    active_limit,
    exhausted,
    from_event,
    from_headers,
    from_usage,
    from_usage_limit,
    full_windows,
    merge,
)
from understudy.wire.reply import Headers

NOW = 1_777_922_696.0
DAY = 86400.0

PAID = (
    ("X-Codex-Primary-Used-Percent", "42.5"),
    ("x-codex-primary-window-minutes", "300"),
    ("x-codex-primary-reset-after-seconds", "3600"),
    ("x-codex-primary-reset-at", "1777936568"),
    ("x-codex-secondary-used-percent", "7"),
    ("x-codex-secondary-window-minutes", "10080"),
    ("x-codex-secondary-reset-at", "1777936568"),
    ("x-codex-primary-over-secondary-limit-percent", "12"),
    ("x-codex-plan-type", "plus"),
    ("x-codex-credits-has-credits", "False"),
    ("x-codex-credits-unlimited", "False"),
    ("x-codex-credits-balance", ""),
)


def window(name: str = "5h", used: float = 10.0, resets_at: float | None = NOW + 60, limit_id: str = "codex") -> Window:
    return Window(name, limit_id, used, 300, resets_at)


def snapshot(*windows: Window, at: float = NOW, credits: Credits | None = None, plan: str = "") -> Snapshot:
    return Snapshot(plan, windows, credits, at, Source.HEADERS)


def names(headers: Headers) -> list[tuple[str, str]]:
    found = from_headers(headers, NOW)
    return [(w.limit_id, w.name) for w in found.windows] if found else []


def test_the_head_of_an_answer_tells_plan_windows_and_credits() -> None:
    assert from_headers(PAID, NOW) == Snapshot(
        "plus",
        (
            Window("5h", "codex", 42.5, 300, NOW + 3600),
            Window("weekly", "codex", 7.0, 10080, 1777936568.0),
        ),
        Credits(False, False, ""),
        NOW,
        Source.HEADERS,
    )


@pytest.mark.parametrize(
    ("minutes", "name"),
    [
        ("300", "5h"),
        ("299", "5h"),
        ("10080", "weekly"),
        ("10079", "weekly"),
        ("43200", "monthly"),
        ("44640", "monthly"),
        ("20160", "14d"),
        ("90", "90m"),
        ("2880", "2d"),
        ("120", "2h"),
    ],
)
@pytest.mark.parametrize("slot", ["primary", "secondary", "tertiary"])
def test_a_window_goes_by_its_length_whatever_its_slot(minutes: str, name: str, slot: str) -> None:
    assert names(((f"x-codex-{slot}-used-percent", "1"), (f"x-codex-{slot}-window-minutes", minutes))) == [
        ("codex", name)
    ]


def test_a_window_of_no_known_length_goes_by_its_slot() -> None:
    assert names((("x-codex-primary-used-percent", "1"),)) == [("codex", "primary")]


def test_the_second_window_of_a_free_plan_is_none() -> None:
    free = (
        ("x-codex-primary-used-percent", "3"),
        ("x-codex-primary-window-minutes", "10080"),
        ("x-codex-secondary-used-percent", "0"),
        ("x-codex-secondary-window-minutes", "0"),
        ("x-codex-secondary-reset-at", ""),
        ("x-codex-secondary-reset-after-seconds", "0"),
    )
    assert names(free) == [("codex", "weekly")]


def test_each_limit_has_windows_of_its_own_and_the_main_one_comes_first() -> None:
    headers = (
        ("x-code-review-primary-used-percent", "1"),
        ("x-codex-bengalfox-secondary-used-percent", "2"),
        ("x-codex-primary-used-percent", "3"),
        ("x-codex-bengalfox-limit-name", "gpt-5.2-codex-sonic"),
    )
    assert names(headers) == [("codex", "primary"), ("code_review", "primary"), ("codex_bengalfox", "secondary")]


@pytest.mark.parametrize(
    "value", ["", "NaN", "inf", "1e309", "-5", "1_000", "\uff19", "9" * 5000, "\x1b[31m", "None"], ids=ascii
)
@pytest.mark.parametrize("field", ["window-minutes", "reset-at", "reset-after-seconds"])
def test_a_field_that_makes_no_sense_is_left_out_and_the_rest_stays(field: str, value: str) -> None:
    found = from_headers((("x-codex-primary-used-percent", "50"), (f"x-codex-primary-{field}", value)), NOW)
    assert found is not None
    assert found.windows == (Window("primary", "codex", 50.0, None, None),)


@pytest.mark.parametrize("value", ["", "NaN", "inf", "-5", "\uff19"], ids=ascii)
def test_without_a_used_percent_there_is_no_window(value: str) -> None:
    assert (
        from_headers((("x-codex-primary-used-percent", value), ("x-codex-primary-window-minutes", "300")), NOW) is None
    )


@pytest.mark.parametrize(
    ("minutes", "days"), [("300", 8), ("10080", 8), ("43200", 32), ("", 32)], ids=["5h", "weekly", "monthly", "unknown"]
)
def test_a_reset_lies_within_what_such_a_window_can_have(minutes: str, days: int) -> None:
    for field in ("reset-at", "reset-after-seconds"):
        headers = (
            ("x-codex-primary-used-percent", "50"),
            ("x-codex-primary-window-minutes", minutes),
            (f"x-codex-primary-{field}", "99999999999"),
        )
        found = from_headers(headers, NOW)
        assert found is not None
        assert found.windows[0].resets_at == NOW + days * DAY


@pytest.mark.parametrize("limit", ["x-code-review", "x-codex-code-review", "X-Codex-Code-Review"])
def test_the_limit_of_code_review_is_one_under_both_its_names(limit: str) -> None:
    assert names(((f"{limit}-primary-used-percent", "1"),)) == [("code_review", "primary")]


@pytest.mark.parametrize(
    ("said", "limit"),
    [("codex", "codex"), ("codex-other", "codex_other"), ("Codex_Other", "codex_other"), ("", ""), ("\x1b[0m", "")],
)
def test_an_answer_says_which_limit_its_model_counts_against(said: str, limit: str) -> None:
    headers = (*PAID, ("X-Codex-Active-Limit", said))
    found = from_headers(headers, NOW)
    assert found is not None
    assert (found.active_limit, active_limit(headers)) == (limit, limit)


def test_premium_is_the_main_limit_of_a_paid_plan() -> None:
    assert active_limit((*PAID, ("x-codex-active-limit", "premium"))) == "codex"
    assert active_limit((("x-premium-primary-used-percent", "3"), ("x-codex-active-limit", "premium"))) == "premium"


def test_a_head_that_does_not_say_so_leaves_it_open() -> None:
    assert active_limit(PAID) == ""


HOURS_OFF = 5 * 3600.0
DATE = ("date", format_datetime(datetime.fromtimestamp(NOW - HOURS_OFF, UTC), usegmt=True))
MOMENT = ("x-codex-primary-reset-at", str(int(NOW - HOURS_OFF) + 600))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        pytest.param((MOMENT, ("x-codex-primary-reset-after-seconds", "600")), 600.0, id="it says how long it takes"),
        pytest.param((MOMENT, DATE), 600.0, id="it says what time it is there"),
        pytest.param(
            (MOMENT, DATE, ("x-codex-primary-reset-after-seconds", "")), 600.0, id="it says nothing in between"
        ),
        pytest.param((MOMENT, ("date", "yesterday")), 0.0, id="nothing helps"),
    ],
)
def test_a_wrong_clock_does_no_harm_to_a_reset(fields: Headers, left: float) -> None:
    found = from_headers((("x-codex-primary-used-percent", "50"), *fields), NOW)
    assert found is not None
    assert found.windows[0].resets_at == pytest.approx(NOW + left, abs=1.0)


def test_the_time_that_an_answer_takes_is_no_wrong_clock() -> None:
    late = ("date", format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True))
    at = ("x-codex-primary-reset-at", str(int(NOW) + 600))
    found = from_headers((("x-codex-primary-used-percent", "50"), at, late), NOW)
    assert found is not None and found.windows[0].resets_at == int(NOW) + 600


def test_a_head_without_quota_tells_nothing() -> None:
    assert from_headers((("content-type", "text/event-stream"), ("x-request-id", "r")), NOW) is None


@pytest.mark.parametrize(
    ("has", "unlimited", "expected"),
    [
        ("True", "False", Credits(True, False, "12.5")),
        ("1", "true", Credits(True, True, "12.5")),
        ("perhaps", "0", Credits(False, False, "12.5")),
        ("perhaps", "", None),
    ],
)
def test_credits_are_read_in_every_spelling(has: str, unlimited: str, expected: Credits | None) -> None:
    headers = (
        ("x-codex-plan-type", "plus"),
        ("x-codex-credits-has-credits", has),
        ("x-codex-credits-unlimited", unlimited),
        ("x-codex-credits-balance", "12.5"),
    )
    found = from_headers(headers, NOW)
    assert found is not None
    assert found.credits == expected


def test_a_balance_may_be_a_number() -> None:
    found = from_event({"credits": {"has_credits": True, "unlimited": False, "balance": 12.50}}, NOW)
    assert found is not None
    assert found.credits == Credits(True, False, "12.5")


def test_an_event_tells_the_same_as_the_head() -> None:
    event = {
        "type": "codex.rate_limits",
        "plan_type": "plus",
        "rate_limits": {
            "limit_reached": True,
            "primary": {"used_percent": 42.5, "window_minutes": 300, "reset_after_seconds": 3600, "reset_at": 1},
            "secondary": {"used_percent": 7, "window_minutes": 10080, "reset_at": 1777936568},
        },
        "credits": {"has_credits": False, "unlimited": False, "balance": None},
        "code_review_rate_limits": {"primary": {"used_percent": 1, "window_minutes": 300, "reset_at": 1777936568}},
    }
    found = from_event(event, NOW)
    head = from_headers(PAID, NOW)
    assert found is not None
    assert head is not None
    review = Window("5h", "code_review", 1.0, 300, 1777936568.0)
    assert found == replace(head, windows=(*head.windows, review), source=Source.EVENT)


def test_an_event_may_be_about_another_limit() -> None:
    event = {"rate_limits": {"primary": {"used_percent": 5}}, "metered_limit_name": "codex-bengalfox"}
    found = from_event(event, NOW)
    assert found is not None
    assert found.windows[0].limit_id == found.active_limit == "codex_bengalfox"


def test_an_event_may_call_the_main_limit_premium() -> None:
    found = from_event({"rate_limits": {"primary": {"used_percent": 5}}, "metered_limit_name": "premium"}, NOW)
    assert found is not None
    assert found.windows[0].limit_id == found.active_limit == "codex"


@pytest.mark.parametrize("value", [None, [], "x", {}, {"rate_limits": None}, {"rate_limits": {"primary": 7}}])
def test_an_event_that_tells_nothing_is_nothing(value: object) -> None:
    assert from_event(value, NOW) is None


def test_the_body_of_a_429_tells_of_one_window_that_is_used_up() -> None:
    error = {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 1, "resets_in_seconds": 13872}
    expected = Snapshot("plus", (Window("limit", "codex", 100.0, None, NOW + 13872),), None, NOW, Source.LIMIT)
    assert from_usage_limit({"error": error}, NOW) == expected
    assert from_usage_limit(error, NOW) == expected


def test_the_body_of_a_429_is_about_the_limit_that_its_head_names() -> None:
    found = from_usage_limit({"type": "usage_limit_reached"}, NOW, "codex_other")
    assert found is not None
    assert (found.windows[0].limit_id, found.active_limit) == ("codex_other", "codex_other")


@pytest.mark.parametrize("value", [None, [], {}, {"error": None}, {"error": {"type": "rate_limit_exceeded"}}])
def test_another_body_tells_of_no_window(value: object) -> None:
    assert from_usage_limit(value, NOW) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SLOT = st.fixed_dictionaries(
    {}, optional={"used_percent": JSON, "window_minutes": JSON, "reset_at": JSON, "reset_after_seconds": JSON}
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "plan_type": JSON,
        "rate_limits": JSON | st.fixed_dictionaries({}, optional={"primary": SLOT | JSON, "secondary": SLOT}),
        "credits": JSON | st.fixed_dictionaries({}, optional={"has_credits": JSON, "unlimited": JSON, "balance": JSON}),
        "metered_limit_name": JSON,
        "code_review_rate_limits": JSON,
        "error": JSON,
        "type": st.just("usage_limit_reached"),
        "resets_at": JSON,
        "resets_in_seconds": JSON,
    },
)
FIELD = st.sampled_from([name.lower() for name, _ in PAID] + ["x-a-b-tertiary-used-percent"])
VALUE = st.text(max_size=30) | st.floats().map(str) | st.integers().map(str)


def assert_sane(found: Snapshot | None) -> None:
    for each in found.windows if found else ():
        assert 0 <= each.used_percent <= 100
        assert each.resets_at is None or (math.isfinite(each.resets_at) and NOW <= each.resets_at <= NOW + 32 * DAY)
        assert each.name.isprintable()


@given(st.lists(st.tuples(FIELD, VALUE), max_size=14))
def test_no_header_value_raises_or_runs_away(headers: list[tuple[str, str]]) -> None:
    assert_sane(from_headers(tuple(headers), NOW))


@given(EVENT | JSON)
def test_no_event_and_no_body_raises_or_runs_away(value: object) -> None:
    assert_sane(from_event(value, NOW))
    assert_sane(from_usage_limit(value, NOW))


def test_what_is_new_replaces_all_windows_of_its_limit_and_keeps_the_others() -> None:
    old = snapshot(window("5h"), window("weekly"), window("5h", limit_id="code_review"), plan="plus")
    new = snapshot(window("monthly", 20), at=NOW + 1)
    merged = merge(old, new)
    assert [(w.limit_id, w.name) for w in merged.windows] == [("codex", "monthly"), ("code_review", "5h")]
    assert (merged.plan, merged.updated_at) == ("plus", NOW + 1)


def test_a_429_takes_no_window_away_and_the_next_head_takes_its_window() -> None:
    limit = from_usage_limit({"type": "usage_limit_reached", "resets_in_seconds": 60}, NOW)
    assert limit is not None
    merged = merge(snapshot(window("5h"), at=NOW - 1), limit)
    assert [w.name for w in merged.windows] == ["limit", "5h"]
    assert [w.name for w in merge(merged, snapshot(window("5h"), at=NOW + 1)).windows] == ["5h"]


def test_news_that_come_late_do_not_undo_what_is_newer() -> None:
    newer, older = snapshot(window("5h", 50), at=NOW), snapshot(window("5h", 40), at=NOW - 9)
    assert merge(newer, older) == newer


def test_news_without_figures_do_not_make_the_figures_young() -> None:
    seen = snapshot(window("5h", 50), credits=Credits(True, False, "5"))
    merged = merge(seen, Snapshot("pro", (), None, NOW + 60, Source.EVENT, active_limit="codex_other"))
    assert merged == replace(seen, plan="pro", active_limit="codex_other")


def test_early_resets_are_known_until_they_are_told_anew() -> None:
    told = replace(snapshot(window()), reset_credits=2)
    assert merge(told, snapshot(window(), at=NOW + 1)).reset_credits == 2
    assert merge(told, replace(snapshot(window(), at=NOW + 1), reset_credits=0)).reset_credits == 0


def test_a_source_that_rounds_does_not_give_anything_back() -> None:
    seen = snapshot(window("5h", 74.6, NOW + 600))
    rounded = snapshot(window("5h", 74.0, NOW + 601), at=NOW + 1)
    assert merge(seen, rounded).windows[0].used_percent == 74.6


@pytest.mark.parametrize(
    "fresh", [window("5h", 73.0, NOW + 600), window("5h", 74.0, NOW + 9000), window("5h", 0.0, NOW + 600)]
)
def test_what_was_given_back_is_seen(fresh: Window) -> None:
    seen = snapshot(window("5h", 74.6, NOW + 600))
    assert merge(seen, snapshot(fresh, at=NOW + 1)).windows[0] == fresh


def test_an_event_of_another_clock_leaves_the_reset_as_the_head_told_it() -> None:
    head = snapshot(window("5h", 50, NOW + 600))
    event = replace(snapshot(window("5h", 51, NOW), at=NOW + 1), source=Source.EVENT)
    assert merge(head, event).windows[0] == window("5h", 51, NOW + 600)
    after_its_reset = replace(snapshot(window("5h", 1, NOW + 18000), at=NOW + 601), source=Source.EVENT)
    assert merge(head, after_its_reset).windows[0] == window("5h", 1, NOW + 18000)


def test_the_first_news_are_all_that_is_known() -> None:
    assert merge(None, snapshot(window())) == snapshot(window())


def test_an_account_is_exhausted_until_the_last_of_its_full_windows_resets() -> None:
    full = snapshot(window("5h", 100, NOW + 60), window("weekly", 100, NOW + 600), window("x", 99, NOW + 6000))
    assert exhausted(full, NOW) == NOW + 600
    assert exhausted(full, NOW + 599) == NOW + 600
    assert exhausted(full, NOW + 600) is None
    assert [w.name for seconds in (59, 60, 600) for w in full_windows(full, NOW + seconds)] == [
        "5h",
        "weekly",
        "weekly",
    ]


def test_another_limit_does_not_exhaust_the_main_one() -> None:
    full = snapshot(window("5h", 100, limit_id="code_review"))
    assert exhausted(full, NOW) is None
    assert exhausted(full, NOW, "code_review") == NOW + 60


@pytest.mark.parametrize("credits", [Credits(True, False, "5"), Credits(False, True, "")], ids=["some", "unlimited"])
def test_credits_carry_an_account_past_its_windows(credits: Credits) -> None:
    full = snapshot(window("5h", 100), credits=credits)
    assert exhausted(full, NOW) is None
    assert full_windows(full, NOW) == ()


def test_a_full_window_without_a_reset_is_full_all_the_same() -> None:
    full = snapshot(window("5h", 100, None))
    assert exhausted(full, NOW) is None
    assert len(full_windows(full, NOW)) == 1


def test_after_its_reset_a_window_is_fresh() -> None:
    seen = window("5h", 80, NOW + 60)
    assert [seen.used_at(NOW + seconds) for seconds in (59, 60)] == [80, 0]
    assert window("5h", 80, None).used_at(NOW + 60) == 80


# The usage endpoint

USAGE: dict[str, object] = {
    "plan_type": "plus",
    "rate_limit": {
        "allowed": True,
        "primary_window": {"used_percent": 42, "limit_window_seconds": 18000, "reset_at": int(NOW) + 3600},
        "secondary_window": {"used_percent": 7, "limit_window_seconds": 604800, "reset_after_seconds": 86400},
    },
    "code_review_rate_limit": {"primary_window": {"used_percent": 1, "limit_window_seconds": 604790}},
    "additional_rate_limits": [
        {
            "limit_name": "a model",
            "metered_feature": "codex-bengalfox",
            "rate_limit": {"primary_window": {"used_percent": 5, "limit_window_seconds": 18000}},
        },
        {"metered_feature": "no id!", "rate_limit": {"primary_window": {"used_percent": 9}}},
    ],
    "credits": {"has_credits": True, "unlimited": False, "balance": "3"},
    "rate_limit_reset_credits": {"available_count": 2},
}


def test_the_usage_endpoint_counts_windows_in_seconds_which_are_rounded_up_to_minutes() -> None:
    assert from_usage(USAGE, NOW) == Snapshot(
        "plus",
        (
            Window("5h", "codex", 42.0, 300, float(int(NOW) + 3600)),
            Window("weekly", "codex", 7.0, 10080, NOW + DAY),
            Window("weekly", "code_review", 1.0, 10080, None),
            Window("5h", "codex_bengalfox", 5.0, 300, None),
        ),
        Credits(True, False, "3"),
        NOW,
        Source.USAGE,
        reset_credits=2,
    )


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, {"rate_limit": None}, {"rate_limit": {"primary_window": []}}, {"additional_rate_limits": [1]}],
    ids=str,
)
def test_an_answer_without_figures_is_no_snapshot(value: object) -> None:
    assert from_usage(value, NOW) is None


@pytest.mark.parametrize("count", [None, -1, True, "many", 1e300, {}])
def test_a_count_of_early_resets_that_makes_no_sense_is_unknown(count: object) -> None:
    found = from_usage(USAGE | {"rate_limit_reset_credits": {"available_count": count}}, NOW)
    assert found is not None and found.reset_credits is None


@given(JSON)
def test_whatever_the_usage_endpoint_answers_is_read_without_an_error(value: object) -> None:
    from_usage(value, NOW)
    from_usage({"rate_limit": value, "additional_rate_limits": value, "credits": value}, NOW)
    from_usage({"plan_type": "plus", "rate_limit_reset_credits": {"available_count": value}}, NOW)
    from_usage({"rate_limit": {"primary_window": {"used_percent": 1, "limit_window_seconds": value}}}, NOW)

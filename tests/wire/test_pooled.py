"""Where several accounts may serve, hosts hear of the quota as it is for all of them together."""

import json

from understudy.wire.pooled import Pooled, in_event, in_headers, pooled
from understudy.wire.quota import Window
from understudy.wire.sse import Decoder, Event

NOW = 1_700_000_000.0
HOUR = 3600.0
FULL = Window("5h", "codex", 100.0, 300, NOW + HOUR)
FRESH = Window("5h", "codex", 0.0, 300, NOW + 5 * HOUR)
HALF = Window("5h", "codex", 50.0, 300, NOW + 2 * HOUR)
WEEK = Window("weekly", "codex", 40.0, 10080, NOW + 80 * HOUR)
HEAD = (
    ("content-type", "text/event-stream"),
    ("X-Codex-Primary-Used-Percent", "100.0"),
    ("X-Codex-Primary-Window-Minutes", "300"),
    ("X-Codex-Primary-Reset-At", "1700003600"),
    ("X-Codex-Primary-Reset-After-Seconds", "3600"),
    ("X-Codex-Secondary-Used-Percent", "40"),
    ("X-Codex-Secondary-Window-Minutes", "10080"),
    ("X-Codex-Rate-Limit-Reached-Type", "rate_limit_reached"),
    ("X-Codex-Plan-Type", "plus"),
)


def event(**limits: object) -> Event:
    data = json.dumps({"type": "codex.rate_limits", "plan_type": "plus", "rate_limits": limits})
    [found] = Decoder().feed(f"event: codex.rate_limits\ndata: {data}\n\n".encode())
    return found


def test_what_is_used_is_the_mean_and_the_reset_the_first_of_a_window_that_is_used_at_all() -> None:
    assert pooled([[FULL], [FRESH], [HALF]], NOW) == {300: Pooled(50.0, NOW + HOUR)}
    assert pooled([[FRESH], [FRESH]], NOW) == {300: Pooled(0.0, None)}


def test_a_window_that_has_been_reset_since_is_fresh() -> None:
    assert pooled([[FULL], [HALF]], NOW + 1.5 * HOUR) == {300: Pooled(25.0, NOW + 2 * HOUR)}


def test_what_only_one_account_has_is_left_as_it_is() -> None:
    assert pooled([[FULL, WEEK]], NOW) == {}
    assert pooled([[FULL, WEEK], [FRESH]], NOW).keys() == {300}
    assert in_headers(HEAD, {}, NOW) is HEAD
    other = Window("5h", "codex_other", 10.0, 300, None)
    assert pooled([[other], [other]], NOW) == {}


def test_the_head_of_an_answer_tells_the_pool_s_figures_and_no_limit_that_was_reached() -> None:
    told = {name.lower(): value for name, value in in_headers(HEAD, pooled([[FULL], [HALF]], NOW), NOW)}
    assert told["x-codex-primary-used-percent"] == "75"
    assert (told["x-codex-primary-reset-at"], told["x-codex-primary-reset-after-seconds"]) == ("1700003600", "3600")
    assert (told["x-codex-secondary-used-percent"], told["x-codex-plan-type"]) == ("40", "plus")
    assert "x-codex-rate-limit-reached-type" not in told


def test_the_backend_s_event_tells_them_too() -> None:
    primary = {"used_percent": 100.0, "window_minutes": 300, "reset_at": 1}
    given = event(allowed=False, limit_reached=True, primary=primary, secondary=None)
    told = json.loads(in_event(given, pooled([[FULL], [HALF]], NOW), NOW).split(b"data: ")[1])
    assert told["rate_limits"] == {
        "allowed": True,
        "limit_reached": False,
        "primary": {"used_percent": 75.0, "window_minutes": 300, "reset_at": 1700003600},
        "secondary": None,
    }


def test_an_odd_event_goes_on_as_it_came() -> None:
    figures = pooled([[FULL], [HALF]], NOW)
    for odd in (event(), event(primary="x"), event(primary={"window_minutes": "300.5.1"}), Event("x", b"[", b"raw")):
        assert in_event(odd, figures, NOW) == odd.raw

"""What a limit is, how long it lasts and whether it is one at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.errors import PLATFORM_ERRORS
from understudy.wire.limits import REST_WITHOUT_RESET
from understudy.wire.outcome import Kind, Outcome, from_failure, from_response
from understudy.wire.reply import Headers
from understudy.wire.sse import Event

NOW = 1_777_922_696.0

FULL: Headers = (
    ("x-codex-primary-used-percent", "100"),
    ("x-codex-primary-window-minutes", "300"),
    ("x-codex-primary-reset-after-seconds", "3600"),
)


def limited(headers: Headers = (), /, **error: object) -> Outcome:
    body = json.dumps({"error": {"message": "no", **error}}).encode()
    return from_response(429, headers, body, NOW)


def failed(headers: Headers = (), /, **error: object) -> Outcome:
    data = {"type": "response.failed", "response": {"id": "resp_1", "error": error}}
    outcome = from_failure(Event("response.failed", json.dumps(data).encode(), b""), headers, NOW)
    assert outcome is not None
    return outcome


# The plan's limit


def test_a_usage_limit_ends_when_the_backend_says() -> None:
    outcome = limited(type="usage_limit_reached", resets_at=1, resets_in_seconds=13872)
    assert (outcome.kind, outcome.reason) == (Kind.USAGE_LIMIT, "usage limit")
    assert (outcome.resets_at, outcome.authoritative) == (NOW + 13872, True)


def test_a_usage_limit_may_be_named_by_its_code_and_dated_by_a_moment() -> None:
    outcome = limited(code="usage_limit_reached", resets_at=1777936568)
    assert (outcome.kind, outcome.resets_at, outcome.authoritative) == (Kind.USAGE_LIMIT, 1777936568.0, True)


@pytest.mark.parametrize("member", ["type", "code"])
def test_a_plan_without_anything_left_to_pay_with_is_a_usage_limit(member: str) -> None:
    outcome = limited(**{member: "insufficient_quota"})
    assert (outcome.kind, outcome.reason) == (Kind.USAGE_LIMIT, "quota used up")


@pytest.mark.parametrize(
    "resets", [{}, {"resets_at": NOW - 60}, {"resets_in_seconds": 0}, {"resets_at": "soon"}], ids=str
)
def test_a_usage_limit_without_an_end_rests_for_a_while_of_our_choice(resets: dict[str, object]) -> None:
    outcome = limited(type="usage_limit_reached", **resets)
    assert (outcome.kind, outcome.resets_at, outcome.authoritative) == (
        Kind.USAGE_LIMIT,
        NOW + REST_WITHOUT_RESET,
        False,
    )


def test_the_body_goes_before_the_windows_and_they_before_retry_after() -> None:
    headers = (*FULL, ("retry-after", "60"))
    assert limited(headers, type="usage_limit_reached", resets_in_seconds=9).resets_at == NOW + 9
    assert limited(headers, type="usage_limit_reached").resets_at == NOW + 3600
    assert limited(headers[-1:], type="usage_limit_reached").resets_at == NOW + 60


def test_a_full_window_makes_any_429_a_usage_limit() -> None:
    for outcome in (limited(FULL, code="rate_limit_exceeded"), limited(FULL)):
        assert (outcome.kind, outcome.resets_at, outcome.authoritative) == (Kind.USAGE_LIMIT, NOW + 3600, True)


def test_a_full_window_of_another_limit_does_not() -> None:
    other = tuple((name.replace("codex", "code-review"), value) for name, value in FULL)
    assert limited(other).kind is Kind.BURST
    assert limited((*other, ("x-codex-active-limit", "code_review"))).kind is Kind.USAGE_LIMIT


@pytest.mark.parametrize(
    ("named", "limit_id"),
    [
        (None, "codex"),
        ("codex", "codex"),
        ("premium", "codex"),
        ("Codex-Bengalfox", "codex_bengalfox"),
        ("codex_other", "codex_other"),
        ("", "codex"),
        ("a" * 65, "codex"),
        ("../x", "codex"),
        ("x\r\ny", "codex"),
    ],
)
def test_the_limit_that_was_met_is_named_as_in_a_snapshot(named: str | None, limit_id: str) -> None:
    headers = () if named is None else (("X-Codex-Active-Limit", named),)
    assert limited(headers, type="usage_limit_reached").limit_id == limit_id
    assert failed(headers, code="usage_limit_reached", message="m").limit_id == limit_id


# A limit of seconds


@pytest.mark.parametrize(
    ("headers", "error", "delay"),
    [
        ((("retry-after", "3"),), {}, 3.0),
        ((("retry-after-ms", "1500"), ("retry-after", "3")), {}, 1.5),
        ((), {"resets_in_seconds": 5}, 5.0),
        ((), {"retry_after": 2}, 2.0),
        ((), {"retry_after_ms": 750}, 0.75),
        ((), {"code": "rate_limit_exceeded", "message": "Please try again in 4.5s. Visit"}, 4.5),
        ((), {"code": "rate_limit_exceeded", "message": "Please try again in 250ms."}, 0.25),
        ((), {"code": "rate_limit_exceeded", "message": "try again in 2 seconds"}, 2.0),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_limit_of_a_few_seconds_is_waited_for(headers: Headers, error: dict[str, object], delay: float) -> None:
    outcome = limited(headers, **error)
    assert outcome.kind is Kind.SHORT_LIMIT
    assert outcome.retry_after == delay


@pytest.mark.parametrize(
    ("headers", "message", "delay"),
    [
        ((("retry-after", "6"),), "no", 6.0),
        ((), "Please try again in 11.054s.", 11.054),
        ((), "Limit 200, Used 200, Requested 1. Please try again in 7m12s. Visit https://", 432.0),
        ((), "Please try again in 1h2m3.5s.", 3723.5),
    ],
)
def test_a_named_limit_of_more_than_five_seconds_is_left_to_rest(headers: Headers, message: str, delay: float) -> None:
    outcome = limited(headers, code="rate_limit_exceeded", message=message)
    assert (outcome.kind, outcome.reason, outcome.authoritative) == (Kind.USAGE_LIMIT, "rate limit", True)
    assert outcome.resets_at == pytest.approx(NOW + delay)


@given(st.floats(1.7e9, 4e9))
def test_five_seconds_are_waited_for_whatever_the_time(now: float) -> None:
    outcome = from_response(429, (("retry-after", "5"),), b"", now)
    assert (outcome.kind, outcome.retry_after) == (Kind.SHORT_LIMIT, 5.0)


def test_an_early_rate_limit_names_its_delay_in_words() -> None:
    outcome = failed(code="rate_limit_exceeded", message="Rate limit reached. Please try again in 1.5s.")
    assert (outcome.kind, outcome.retry_after) == (Kind.SHORT_LIMIT, 1.5)


# Haste


@pytest.mark.parametrize("value", ["0", "", "NaN", "inf", "-5", "1_000", "\uff19", "9" * 5000, "soon"], ids=ascii)
def test_a_429_that_does_not_say_when_is_a_burst(value: str) -> None:
    for header in ("retry-after", "retry-after-ms"):
        outcome = limited(((header, value),), code="rate_limit_exceeded")
        assert (outcome.kind, outcome.retry_after) == (Kind.BURST, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail": "Too Many Requests"}', b'{"error": null}', b"[]"])
def test_a_429_of_few_words_is_a_burst(body: bytes) -> None:
    outcome = from_response(429, (), body, NOW)
    assert (outcome.kind, outcome.reason) == (Kind.BURST, "burst")


@pytest.mark.parametrize(("seconds", "bounded"), [("60", 60.0), ("3600", 300.0)])
def test_a_bare_wish_for_patience_is_no_quota(seconds: str, bounded: float) -> None:
    outcome = from_response(429, (("retry-after", seconds),), b'{"detail": "Too Many Requests"}', NOW)
    assert (outcome.kind, outcome.resets_at, outcome.retry_after) == (Kind.BURST, None, bounded)


def test_a_burst_counts_against_no_limit_in_particular() -> None:
    assert limited((("x-codex-active-limit", "codex_other"),)).limit_id == "codex"


def test_an_early_rate_limit_without_a_delay_is_a_burst() -> None:
    assert failed(code="rate_limit_exceeded", message="Slow down.").kind is Kind.BURST


# Where a limit shows


@pytest.mark.parametrize("status", [400, 402, 403, 404, 429])
def test_a_usage_limit_is_one_under_any_status(status: int) -> None:
    body = b'{"error": {"type": "usage_limit_reached", "message": "m", "resets_in_seconds": 60}}'
    outcome = from_response(status, (), body, NOW)
    assert (outcome.kind, outcome.status, outcome.resets_at) == (Kind.USAGE_LIMIT, status, NOW + 60)
    assert outcome.reply is not None
    assert (outcome.reply.status, outcome.reply.body) == (429, body)


@pytest.mark.parametrize("message", ["The usage limit has been reached", "You've hit your usage limit. Upgrade to Pro"])
def test_a_404_may_say_so_in_words_alone(message: str) -> None:
    outcome = from_response(404, (), json.dumps({"detail": message}).encode(), NOW)
    assert (outcome.kind, outcome.authoritative) == (Kind.USAGE_LIMIT, False)


@pytest.mark.parametrize("body", [b'{"detail": "Payment required"}', b"", b"<html>", b'{"error": {"code": "unpaid"}}'])
def test_a_402_is_a_quota(body: bytes) -> None:
    outcome = from_response(402, (), body, NOW)
    assert (outcome.kind, outcome.reason, outcome.authoritative) == (Kind.USAGE_LIMIT, "payment required", False)
    assert outcome.reply is not None
    assert outcome.reply.status == 429
    assert json.loads(outcome.reply.body)["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("member", ["code", "type"])
def test_an_early_failure_with_a_limit_is_as_good_as_a_429(member: str) -> None:
    outcome = failed(**{member: "usage_limit_reached"}, resets_in_seconds=3600)
    assert (outcome.kind, outcome.status, outcome.resets_at) == (Kind.USAGE_LIMIT, 429, NOW + 3600)
    assert outcome.reply is not None
    assert (outcome.reply.status, json.loads(outcome.reply.body)["error"]["resets_in_seconds"]) == (429, 3600)


def test_an_early_limit_is_dated_by_the_windows_of_its_answer() -> None:
    assert failed(FULL, code="usage_limit_reached").resets_at == NOW + 3600


# The platform


PLATFORM: dict[str, tuple[int, Headers, bytes, Kind, str]] = {
    "no credit": (
        429,
        (),
        b'{"error": {"message": "You exceeded your current quota, please check your plan and billing details.", '
        b'"type": "insufficient_quota", "param": null, "code": "insufficient_quota"}}',
        Kind.USAGE_LIMIT,
        "quota used up",
    ),
    "the hard limit": (
        400,
        (),
        b'{"error": {"code": "billing_hard_limit_reached", "message": "Billing hard limit has been reached", '
        b'"param": null, "type": "invalid_request_error"}}',
        Kind.USAGE_LIMIT,
        "billing limit",
    ),
    "an account that nobody pays for": (
        429,
        (),
        b'{"error": {"message": "Your account is not active, please check your billing details on our website.", '
        b'"type": "billing_not_active", "param": null, "code": "billing_not_active"}}',
        Kind.USAGE_LIMIT,
        "billing limit",
    ),
    "tokens in a minute": (
        429,
        (("retry-after", "2"),),
        b'{"error": {"message": "Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): '
        b'Limit 30000, Used 22999, Requested 12528.", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}',
        Kind.SHORT_LIMIT,
        "short limit",
    ),
    "tokens in a minute, in words": (
        429,
        (),
        b'{"error": {"message": "Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM). '
        b'Please try again in 11.054s.", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}',
        Kind.USAGE_LIMIT,
        "rate limit",
    ),
}


@pytest.mark.parametrize(("status", "headers", "body", "kind", "reason"), PLATFORM.values(), ids=PLATFORM.keys())
def test_the_platform_s_limits(status: int, headers: Headers, body: bytes, kind: Kind, reason: str) -> None:
    outcome = from_response(status, headers, body, NOW, PLATFORM_ERRORS)
    assert (outcome.kind, outcome.reason) == (kind, reason)

"""How an attempt ended, as one value out of a small closed set."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.outcome import DEFAULT_REST, Kind, Outcome, from_failure, from_response, transport
from understudy.wire.reply import Headers
from understudy.wire.sse import Event

NOW = 1_777_922_696.0

FULL: Headers = (
    ("x-codex-primary-used-percent", "100"),
    ("x-codex-primary-window-minutes", "300"),
    ("x-codex-primary-reset-after-seconds", "3600"),
)


def answered(status: int, body: object = None, headers: Headers = ()) -> Outcome:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_response(status, headers, content, NOW)


def limited(headers: Headers = (), /, **error: object) -> Outcome:
    return answered(429, {"error": {"message": "no", **error}}, headers)


def failed(headers: Headers = (), /, **error: object) -> Outcome | None:
    data = {"type": "response.failed", "response": {"id": "resp_1", "error": error}}
    return from_failure(Event("response.failed", json.dumps(data).encode(), b""), headers, NOW)


def code_of(outcome: Outcome) -> object:
    assert outcome.reply is not None
    return json.loads(outcome.reply.body)["error"]["code"]


def test_a_usage_limit_ends_when_the_backend_says() -> None:
    outcome = limited(type="usage_limit_reached", resets_at=1, resets_in_seconds=13872)
    assert (outcome.kind, outcome.reason) == (Kind.USAGE_LIMIT, "usage limit")
    assert (outcome.resets_at, outcome.authoritative) == (NOW + 13872, True)
    assert outcome.reply is not None
    assert outcome.reply.status == 429


def test_a_usage_limit_may_be_named_by_its_code_and_dated_by_a_moment() -> None:
    outcome = limited(code="usage_limit_reached", resets_at=1777936568)
    assert (outcome.kind, outcome.resets_at, outcome.authoritative) == (Kind.USAGE_LIMIT, 1777936568.0, True)


@pytest.mark.parametrize(
    ("word", "reason"), [("usage_not_included", "plan without Codex"), ("insufficient_quota", "quota used up")]
)
@pytest.mark.parametrize("member", ["type", "code"])
def test_a_plan_that_gives_nothing_is_a_usage_limit(member: str, word: str, reason: str) -> None:
    outcome = limited(**{member: word})
    assert (outcome.kind, outcome.reason) == (Kind.USAGE_LIMIT, reason)


@pytest.mark.parametrize(
    "resets", [{}, {"resets_at": NOW - 60}, {"resets_in_seconds": 0}, {"resets_at": "soon"}], ids=str
)
def test_a_usage_limit_without_an_end_rests_for_a_while_of_our_choice(resets: dict[str, object]) -> None:
    outcome = limited(type="usage_limit_reached", **resets)
    assert (outcome.kind, outcome.resets_at, outcome.authoritative) == (Kind.USAGE_LIMIT, NOW + DEFAULT_REST, False)


def test_the_body_goes_before_the_windows_and_they_before_retry_after() -> None:
    headers = (*FULL, ("retry-after", "60"))
    assert limited(headers, type="usage_limit_reached", resets_in_seconds=9).resets_at == NOW + 9
    assert limited(headers, type="usage_limit_reached").resets_at == NOW + 3600
    assert limited(headers[-1:], type="usage_limit_reached").resets_at == NOW + 60


def test_a_full_window_makes_any_429_a_usage_limit() -> None:
    outcome = limited(FULL, code="rate_limit_exceeded")
    assert (outcome.kind, outcome.resets_at) == (Kind.USAGE_LIMIT, NOW + 3600)


def test_a_full_window_of_another_limit_does_not() -> None:
    other = tuple((name.replace("codex", "code-review"), value) for name, value in FULL)
    assert limited(other).kind is Kind.BURST
    assert limited((*other, ("x-codex-active-limit", "code_review"))).kind is Kind.USAGE_LIMIT


@pytest.mark.parametrize(
    ("headers", "error", "delay"),
    [
        ((("retry-after", "3"),), {}, 3.0),
        ((("retry-after-ms", "1500"), ("retry-after", "3")), {}, 1.5),
        ((), {"resets_in_seconds": 5}, 5.0),
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
    [((("retry-after", "6"),), "no", 6.0), ((), "Please try again in 11.054s.", 11.054)],
    ids=["Retry-After", "in words"],
)
def test_a_limit_of_more_than_five_seconds_is_left_to_rest(headers: Headers, message: str, delay: float) -> None:
    outcome = limited(headers, code="rate_limit_exceeded", message=message)
    assert (outcome.kind, outcome.reason, outcome.authoritative) == (Kind.USAGE_LIMIT, "rate limit", True)
    assert outcome.resets_at == pytest.approx(NOW + delay)


@pytest.mark.parametrize("value", ["0", "", "NaN", "inf", "-5", "1_000", "\uff19", "9" * 5000, "soon"], ids=ascii)
def test_a_429_that_does_not_say_when_is_a_burst(value: str) -> None:
    assert limited((("retry-after", value),)).kind is Kind.BURST
    assert limited((("retry-after-ms", value),), code="rate_limit_exceeded").kind is Kind.BURST


@pytest.mark.parametrize("body", [b"", b"<html>", {"detail": "Too many requests"}, {"error": None}, []])
def test_a_429_of_few_words_is_a_burst(body: object) -> None:
    outcome = answered(429, body)
    assert (outcome.kind, outcome.reason) == (Kind.BURST, "burst")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "token_invalidated", "message": "x"}},
        {"error": {"code": "token_revoked", "message": "Encountered invalidated oauth token for user"}},
        {"error": {"code": None, "message": "Your authentication token has been invalidated. Please try again."}},
        {"error": {"code": "account_deactivated"}},
        {"detail": "Your account has been deactivated."},
        {"detail": {"code": "deactivated_workspace"}},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_login_that_is_gone_is_told_apart(body: object) -> None:
    assert answered(401, body).kind is Kind.REVOKED


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "Unauthorized"},
        {"detail": "Could not parse your authentication token. Please try signing in again."},
        {"error": {"code": "token_expired", "message": "Provided authentication token is expired."}},
        b"",
        b"<html>",
    ],
    ids=str,
)
def test_a_token_that_was_not_taken_may_be_renewed(body: object) -> None:
    assert answered(401, body).kind is Kind.UNAUTHORIZED


@pytest.mark.parametrize("status", [101, 300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_never_reaches_the_host(status: int) -> None:
    outcome = answered(status, b"", (("location", "https://elsewhere.example/canary"),))
    assert outcome.kind is Kind.REDIRECT
    assert outcome.reply is not None
    assert outcome.reply.status == 502
    assert code_of(outcome) == "blocked_outbound_redirect"
    assert "canary" not in str(outcome.reply)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, {"error": {"code": "server_error", "message": "x"}}, "server error"),
        (502, b"<html>", "server error"),
        (503, {"error": {"code": "server_is_overloaded"}}, "overloaded"),
        (500, {"error": {"code": "slow_down"}}, "overloaded"),
        (500, {"detail": "Selected model is at capacity. Please try a different model."}, "overloaded"),
        (529, b"", "overloaded"),
        (599, b"", "server error"),
    ],
)
def test_a_failing_backend_is_told_from_an_overloaded_one(status: int, body: object, reason: str) -> None:
    outcome = answered(status, body)
    assert (outcome.kind, outcome.status, outcome.reason) == (Kind.SERVER_ERROR, status, reason)


def test_a_success_that_is_no_stream_is_a_server_error() -> None:
    outcome = answered(200, {"id": "resp_1"})
    assert outcome.kind is Kind.SERVER_ERROR
    assert outcome.reply is not None
    assert outcome.reply.status == 502


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 413, 422])
def test_what_is_wrong_with_the_request_is_told_to_the_host(status: int) -> None:
    outcome = answered(status, {"detail": "Stream must be set to true"})
    assert outcome.kind is Kind.REFUSED
    assert outcome.reply is not None
    assert outcome.reply.status == status
    assert b"Stream must be set to true" in outcome.reply.body


@pytest.mark.parametrize(
    "error",
    [
        {"code": "usage_limit_reached", "resets_in_seconds": 3600, "message": "m"},
        {"type": "usage_limit_reached", "resets_in_seconds": 3600},
    ],
)
def test_an_early_failure_with_a_limit_is_as_good_as_a_429(error: dict[str, object]) -> None:
    outcome = failed(**error)
    assert outcome is not None
    assert (outcome.kind, outcome.status, outcome.resets_at) == (Kind.USAGE_LIMIT, 429, NOW + 3600)
    assert outcome.reply is not None
    assert json.loads(outcome.reply.body)["error"]["resets_in_seconds"] == 3600


def test_an_early_rate_limit_names_its_delay_in_words() -> None:
    outcome = failed(code="rate_limit_exceeded", message="Rate limit reached. Please try again in 1.5s.")
    assert outcome is not None
    assert (outcome.kind, outcome.retry_after) == (Kind.SHORT_LIMIT, 1.5)


def test_an_early_rate_limit_without_a_delay_is_a_burst() -> None:
    outcome = failed(code="rate_limit_exceeded", message="Slow down.")
    assert outcome is not None
    assert outcome.kind is Kind.BURST


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": "server_is_overloaded"}, 503),
        ({"code": "slow_down", "message": "m"}, 503),
        ({"message": "Selected model is at capacity. Please try a different model."}, 503),
        ({"code": "server_error", "message": "An error occurred"}, 500),
        ({"type": "server_error", "code": None}, 500),
    ],
)
def test_an_early_failure_of_the_backend_is_a_server_error(error: dict[str, object], status: int) -> None:
    outcome = failed(**error)
    assert outcome is not None
    assert (outcome.kind, outcome.status) == (Kind.SERVER_ERROR, status)
    assert outcome.reply is not None
    assert outcome.reply.status == status


@pytest.mark.parametrize(
    "code",
    [
        *("context_length_exceeded", "invalid_prompt", "cyber_policy", "bio_policy", "invalid_encrypted_content"),
        *("previous_response_not_found", "what_comes_next", None),
    ],
)
def test_another_early_failure_is_not_ours_to_replay(code: str | None) -> None:
    assert failed(code=code, message="m") is None


def test_a_policy_failure_of_the_type_server_error_is_no_server_error() -> None:
    assert failed(code="cyber_policy", type="server_error") is None


def test_a_flat_error_event_counts_as_well() -> None:
    event = Event("error", b'{"type": "error", "code": "usage_limit_reached", "message": "m"}', b"")
    outcome = from_failure(event, (), NOW)
    assert outcome is not None
    assert outcome.kind is Kind.USAGE_LIMIT


def test_no_answer_at_all_has_a_reply_in_words() -> None:
    outcome = transport("connection reset")
    assert (outcome.kind, outcome.status, outcome.reason) == (Kind.TRANSPORT, None, "connection reset")
    assert outcome.reply is not None
    assert outcome.reply.status == 502


def test_a_reason_is_made_of_our_own_words() -> None:
    secret = "sk-canary-in-a-body"
    for status in (301, 400, 401, 403, 429, 500):
        outcome = answered(status, {"error": {"message": secret, "code": secret, "type": secret}})
        assert secret not in outcome.reason


ERROR = st.dictionaries(
    st.sampled_from(["code", "type", "message", "resets_at", "resets_in_seconds"]),
    st.none()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["usage_limit_reached", "rate_limit_exceeded"]),
)


@given(
    st.integers(100, 599),
    st.binary() | st.fixed_dictionaries({"error": ERROR}).map(lambda body: json.dumps(body).encode()),
    st.lists(st.tuples(st.sampled_from(["retry-after", "retry-after-ms", "x-codex-active-limit"]), st.text())),
)
def test_every_answer_has_an_outcome_that_can_be_acted_on(
    status: int, body: bytes, headers: list[tuple[str, str]]
) -> None:
    outcome = from_response(status, tuple(headers), body, NOW)
    assert outcome.reply is not None
    assert (outcome.resets_at is not None) is (outcome.kind is Kind.USAGE_LIMIT)
    assert outcome.resets_at is None or NOW < outcome.resets_at <= NOW + 32 * 86400
    assert (outcome.retry_after is not None) is (outcome.kind is Kind.SHORT_LIMIT)
    assert outcome.retry_after is None or 0 < outcome.retry_after <= 5


@given(st.floats(1.7e9, 4e9))
def test_five_seconds_are_waited_for_whatever_the_time(now: float) -> None:
    outcome = from_response(429, (("retry-after", "5"),), b"", now)
    assert (outcome.kind, outcome.retry_after) == (Kind.SHORT_LIMIT, 5.0)

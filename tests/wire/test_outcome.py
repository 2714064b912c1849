"""How an attempt ended, as one value out of a small closed set, and what the host hears of it."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.errors import CODEX_ERRORS, PLATFORM_ERRORS, ErrorMap
from understudy.wire.outcome import Kind, Outcome, empty, from_failure, from_response, transport
from understudy.wire.reply import Headers, Reply, header
from understudy.wire.sse import Event

NOW = 1_777_922_696.0

ORGANIZATION = (
    "The encrypted content gAAA...xxxx could not be verified. Reason: Encrypted content organization_id did not match "
    "the target organization."
)
UNKNOWN_MODEL = "The 'gpt-5.3-codex' model is not supported when using Codex with a ChatGPT account."
CHALLENGE_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
BLOCK_PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>"
DENIED_PAGE = b"<html><title>Access denied | chatgpt.com used Cloudflare to restrict access</title></html>"


def answered(status: int, body: object = None, headers: Headers = ()) -> Outcome:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_response(status, headers, content, NOW)


def failed(errors: ErrorMap = CODEX_ERRORS, /, **error: object) -> Outcome | None:
    data = {"type": "response.failed", "response": {"id": "resp_1", "error": error}}
    return from_failure(Event("response.failed", json.dumps(data).encode(), b""), (), NOW, errors)


def reply_of(outcome: Outcome | None) -> Reply:
    assert outcome is not None and outcome.reply is not None
    return outcome.reply


def error_of(outcome: Outcome | None) -> dict[str, object]:
    return dict(json.loads(reply_of(outcome).body)["error"])


CODEX: dict[str, tuple[int, object, Kind, str]] = {
    # The login
    "no token": (401, {"detail": "Unauthorized"}, Kind.UNAUTHORIZED, "unauthorized"),
    "a token that is none": (
        401,
        {"detail": "Could not parse your authentication token. Please try signing in again."},
        Kind.UNAUTHORIZED,
        "unauthorized",
    ),
    "an expired token": (
        401,
        {"error": {"code": "token_expired", "message": "Provided authentication token is expired."}},
        Kind.UNAUTHORIZED,
        "unauthorized",
    ),
    "a bare 401": (401, b"", Kind.UNAUTHORIZED, "unauthorized"),
    "a page of 401": (401, b"<html>", Kind.UNAUTHORIZED, "unauthorized"),
    "an invalidated token": (
        401,
        b'{"error":{"message":"Your authentication token has been invalidated. Please try signing in again.",'
        b'"type":"invalid_request_error","code":"token_invalidated","param":null},"status":401}',
        Kind.REVOKED,
        "login revoked",
    ),
    "the same without a code": (
        401,
        {"error": {"code": None, "message": "Your authentication token has been invalidated. Please try again."}},
        Kind.REVOKED,
        "login revoked",
    ),
    "a revoked token": (
        401,
        {"error": {"code": "token_revoked", "message": "Encountered invalidated oauth token for user"}},
        Kind.REVOKED,
        "login revoked",
    ),
    "a revoked token of 403": (
        403,
        {"error": {"code": None, "message": "This session has been revoked."}},
        Kind.REVOKED,
        "login revoked",
    ),
    "an account that is gone": (401, {"error": {"code": "account_deactivated"}}, Kind.REVOKED, "account deactivated"),
    "a user that is gone": (403, {"error": {"code": "user_deactivated"}}, Kind.REVOKED, "account deactivated"),
    "an account that is gone, in words": (
        401,
        {"detail": "Your account has been deactivated."},
        Kind.REVOKED,
        "login revoked",
    ),
    "an account that is off": (401, {"detail": "This account has been disabled."}, Kind.REVOKED, "login revoked"),
    "an account that is off, in other words": (
        401,
        {"detail": "Account is deactivated"},
        Kind.REVOKED,
        "login revoked",
    ),
    "a feature that is off": (
        403,
        {"detail": "Codex has been disabled by the administrator of this account"},
        Kind.REFUSED,
        "forbidden",
    ),
    # The workspace
    "a dead workspace": (
        402,
        {"detail": {"code": "deactivated_workspace"}},
        Kind.WORKSPACE_GONE,
        "workspace deactivated",
    ),
    "a dead workspace of 401": (
        401,
        {"detail": {"code": "deactivated_workspace"}},
        Kind.WORKSPACE_GONE,
        "workspace deactivated",
    ),
    # The plan
    "a model that the account has not": (
        400,
        {"detail": UNKNOWN_MODEL},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "the same as an error object": (
        400,
        {"error": {"type": "invalid_request_error", "message": UNKNOWN_MODEL}},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "the same by its code": (
        400,
        {"error": {"code": "model_not_supported_with_chatgpt_account", "message": "m"}},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "a model that is not found": (
        404,
        {"error": {"code": "model_not_found", "message": "The model `gpt-9` does not exist", "param": None}},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "a plan without Codex": (
        429,
        {"error": {"type": "usage_not_included", "message": "m"}},
        Kind.NOT_ENTITLED,
        "plan without Codex",
    ),
    "a plan without Codex of 403": (
        403,
        {"error": {"code": "usage_not_included", "message": "m"}},
        Kind.NOT_ENTITLED,
        "plan without Codex",
    ),
    # Cloudflare
    "a challenge": (403, CHALLENGE_PAGE, Kind.CHALLENGE, "cloudflare challenge"),
    "a challenge of 503": (503, CHALLENGE_PAGE, Kind.CHALLENGE, "cloudflare challenge"),
    "a block page": (403, BLOCK_PAGE, Kind.CHALLENGE, "cloudflare challenge"),
    "a page of denial": (403, DENIED_PAGE, Kind.CHALLENGE, "cloudflare challenge"),
    "a challenge in its script": (403, b"<html><script>window._cf_chl_opt={}", Kind.CHALLENGE, "cloudflare challenge"),
    "a stealthy block": (404, b"", Kind.CHALLENGE, "blocked without a word"),
    "a stealthy block with a newline": (404, b"\r\n", Kind.CHALLENGE, "blocked without a word"),
    "another page of 403": (403, b"<html><h1>403 Forbidden</h1></html>", Kind.REFUSED, "forbidden"),
    "a page that only mentions it": (500, CHALLENGE_PAGE, Kind.SERVER_ERROR, "server error"),
    "an error that quotes it": (403, {"detail": "<b>just a moment"}, Kind.REFUSED, "forbidden"),
    # Encrypted content
    "reasoning of another organization": (
        400,
        {"error": {"code": "invalid_encrypted_content", "message": ORGANIZATION, "type": "invalid_request_error"}},
        Kind.STALE_REASONING,
        "stale reasoning",
    ),
    "reasoning of an item, without a code": (
        400,
        {"error": {"code": None, "message": "The encrypted content for item rs_68ab could not be verified."}},
        Kind.STALE_REASONING,
        "stale reasoning",
    ),
    "reasoning of another item": (
        400,
        {"error": {"message": "Encrypted content item_id did not match the target item id."}},
        Kind.STALE_REASONING,
        "stale reasoning",
    ),
    "a function's encrypted output": (
        400,
        {"error": {"message": "Encrypted function output content could not be decrypted or decoded."}},
        Kind.STALE_REASONING,
        "stale reasoning",
    ),
    # The backend
    "an overload": (503, {"error": {"code": "server_is_overloaded"}}, Kind.OVERLOADED, "overloaded"),
    "an overload of 500": (500, {"error": {"code": "slow_down"}}, Kind.OVERLOADED, "overloaded"),
    "an overload of 429": (429, {"error": {"code": "slow_down", "message": "m"}}, Kind.OVERLOADED, "overloaded"),
    "an overload by its type": (529, {"error": {"type": "overloaded_error"}}, Kind.OVERLOADED, "overloaded"),
    "an overload in words": (
        500,
        {"detail": "Selected model is at capacity. Please try a different model."},
        Kind.OVERLOADED,
        "overloaded",
    ),
    "an overload in the platform's words": (
        503,
        {"error": {"message": "The engine is currently overloaded, please try again later", "type": "server_error"}},
        Kind.OVERLOADED,
        "overloaded",
    ),
    "a bare 529": (529, b"", Kind.OVERLOADED, "overloaded"),
    "a server error": (500, {"error": {"code": "server_error", "message": "x"}}, Kind.SERVER_ERROR, "server error"),
    "a gateway's page": (502, b"<html>", Kind.SERVER_ERROR, "server error"),
    "a gateway's 503": (503, b"upstream connect error", Kind.SERVER_ERROR, "server error"),
    "an empty 504": (504, b"", Kind.SERVER_ERROR, "server error"),
    "a status that nobody knows": (599, b"", Kind.SERVER_ERROR, "server error"),
    "a 5xx that speaks of the login": (
        500,
        {"error": {"code": "token_revoked", "message": "Your token has been revoked."}},
        Kind.SERVER_ERROR,
        "server error",
    ),
    "an answer that is no stream": (200, {"id": "resp_1"}, Kind.SERVER_ERROR, "no event stream"),
    # The request
    "a parameter": (400, {"detail": "Unsupported parameter: temperature"}, Kind.REFUSED, "request refused"),
    "a policy": (
        400,
        {"error": {"code": "cyber_policy", "type": "server_error", "message": "m"}},
        Kind.REFUSED,
        "request refused",
    ),
    "an answer that is not kept": (
        400,
        {"error": {"code": "previous_response_not_found", "message": "m"}},
        Kind.REFUSED,
        "request refused",
    ),
    "a 403 in words": (
        403,
        {"detail": "Your account is not permitted to use this service."},
        Kind.REFUSED,
        "forbidden",
    ),
    "an unknown path": (404, {"detail": "Not Found"}, Kind.REFUSED, "not found"),
    "too large": (413, b"", Kind.REFUSED, "request refused"),
    "a validation": (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Kind.REFUSED, "request refused"),
    "too slow": (408, b"", Kind.REFUSED, "request refused"),
}


@pytest.mark.parametrize(("status", "body", "kind", "reason"), CODEX.values(), ids=CODEX.keys())
def test_what_an_answer_of_the_backend_means(status: int, body: object, kind: Kind, reason: str) -> None:
    outcome = answered(status, body)
    assert (outcome.kind, outcome.status, outcome.reason) == (kind, status, reason)


PLATFORM: dict[str, tuple[int, dict[str, object], Kind, str]] = {
    "a wrong key": (
        401,
        {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-x."},
        Kind.REVOKED,
        "key refused",
    ),
    "any 401": (401, {"code": None, "message": "You must be a member of an organization"}, Kind.REVOKED, "key refused"),
    "an account that is gone": (
        401,
        {
            "code": "account_deactivated",
            "message": "The OpenAI account associated with this API key has been deactivated.",
        },
        Kind.REVOKED,
        "account deactivated",
    ),
    "a model that the key has not": (
        404,
        {"code": "model_not_found", "message": "The model `gpt-9` does not exist or you do not have access to it."},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "a model that the project has not": (
        403,
        {"code": "model_not_found", "message": "Project `proj_x` does not have access to model `gpt-9`"},
        Kind.NOT_ENTITLED,
        "model not for this account",
    ),
    "an overload": (503, {"code": "slow_down", "message": "Slow Down"}, Kind.OVERLOADED, "overloaded"),
    "a region": (
        403,
        {"code": "unsupported_country_region_territory", "message": "Country, region, or territory not supported"},
        Kind.REFUSED,
        "forbidden",
    ),
}


@pytest.mark.parametrize(("status", "error", "kind", "reason"), PLATFORM.values(), ids=PLATFORM.keys())
def test_what_an_answer_of_the_platform_means(status: int, error: dict[str, object], kind: Kind, reason: str) -> None:
    outcome = from_response(status, (), json.dumps({"error": error}).encode(), NOW, PLATFORM_ERRORS)
    assert (outcome.kind, outcome.status, outcome.reason) == (kind, status, reason)


def test_a_header_is_enough_to_know_a_challenge_by() -> None:
    for status in (200, 403, 429, 500):
        outcome = answered(status, b"", (("CF-Mitigated", "challenge"),))
        assert (outcome.kind, outcome.status) == (Kind.CHALLENGE, status)


def test_no_limit_is_meant_by_a_challenge() -> None:
    assert answered(429, CHALLENGE_PAGE, (("retry-after", "60"),)).kind is Kind.CHALLENGE


@pytest.mark.parametrize("status", [101, 300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_never_reaches_the_host(status: int) -> None:
    outcome = answered(status, b"", (("location", "https://elsewhere.example/canary"),))
    assert outcome.kind is Kind.REDIRECT
    assert (reply_of(outcome).status, error_of(outcome)["code"]) == (502, "blocked_outbound_redirect")
    assert "canary" not in str(outcome.reply)


@pytest.mark.parametrize(
    ("message", "items"),
    [
        ("The encrypted content for item rs_68b9f2a1c0 could not be verified.", ("rs_68b9f2a1c0",)),
        (
            "encrypted content: items rs_11111111aa, 'cmp_2222222222' and rs_11111111aa",
            ("rs_11111111aa", "cmp_2222222222"),
        ),
        (ORGANIZATION, ()),
        ("Encrypted content item_id did not match the target item id.", ()),
        ("The encrypted content for item cmp_34....b7bd could not be verified", ()),
        ("The encrypted content gAAAAABo-ab_12345678_x could not be verified.", ()),
    ],
)
def test_the_items_that_cannot_be_read_are_named(message: str, items: tuple[str, ...]) -> None:
    error = {"code": "invalid_encrypted_content", "message": message}
    for outcome in (answered(400, {"error": error}), failed(**error)):
        assert outcome is not None
        assert (outcome.kind, outcome.items) == (Kind.STALE_REASONING, items)


# A failure within a 200


EARLY: dict[str, tuple[dict[str, object], Kind, int]] = {
    "an overload": ({"code": "server_is_overloaded"}, Kind.OVERLOADED, 503),
    "an overload by another name": ({"code": "slow_down", "message": "m"}, Kind.OVERLOADED, 503),
    "an overload by a third name": ({"code": "server_overloaded", "message": "m"}, Kind.OVERLOADED, 503),
    "an overload in words": (
        {"message": "Selected model is at capacity. Please try a different model."},
        Kind.OVERLOADED,
        503,
    ),
    "a server error": ({"code": "server_error", "message": "An error occurred"}, Kind.SERVER_ERROR, 500),
    "a server error by its type": ({"type": "server_error", "code": None}, Kind.SERVER_ERROR, 500),
    "an internal error": ({"code": "internal_error", "message": "m"}, Kind.SERVER_ERROR, 500),
    "an internal server error": ({"type": "internal_server_error", "message": "m"}, Kind.SERVER_ERROR, 500),
    "a model": ({"code": None, "message": UNKNOWN_MODEL}, Kind.NOT_ENTITLED, 400),
    "a model that is not found": ({"code": "model_not_found", "message": "m"}, Kind.NOT_ENTITLED, 404),
    "a plan without Codex": ({"code": "usage_not_included", "message": "m"}, Kind.NOT_ENTITLED, 429),
    "encrypted content": ({"code": "invalid_encrypted_content", "message": ORGANIZATION}, Kind.STALE_REASONING, 400),
    "encrypted content in words": ({"code": None, "message": ORGANIZATION}, Kind.STALE_REASONING, 400),
    "a revoked login": ({"code": "token_revoked", "message": "m"}, Kind.REVOKED, 401),
    "a dead account": ({"code": "account_deactivated", "message": "m"}, Kind.REVOKED, 401),
    "an expired token": ({"code": "token_expired", "message": "m"}, Kind.UNAUTHORIZED, 401),
    "a dead workspace": ({"code": "deactivated_workspace", "message": "m"}, Kind.WORKSPACE_GONE, 402),
}


@pytest.mark.parametrize(("error", "kind", "status"), EARLY.values(), ids=EARLY.keys())
def test_an_early_failure_means_what_an_answer_of_its_own_would(
    error: dict[str, object], kind: Kind, status: int
) -> None:
    outcome = failed(**error)
    assert outcome is not None
    assert (outcome.kind, outcome.status, reply_of(outcome).status) == (kind, status, status)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded", "message": "Your input exceeds the context window of this model."},
        {"code": "invalid_prompt", "message": "m"},
        {"code": "cyber_policy", "message": "m", "type": "server_error"},
        {"code": "bio_policy", "message": "m"},
        {"code": "content_filter", "message": "m"},
        {"code": "previous_response_not_found", "message": "m"},
        {"code": "what_comes_next", "message": "Your session has been revoked."},
        {"code": None, "message": "m"},
        {},
    ],
    ids=lambda error: str(error.get("code")),
)
def test_another_early_failure_is_not_ours_to_replay(error: dict[str, object]) -> None:
    assert failed(**error) is None


def test_a_flat_error_event_counts_as_well() -> None:
    event = Event("error", b'{"type": "error", "code": "usage_limit_reached", "message": "m"}', b"")
    outcome = from_failure(event, (), NOW)
    assert outcome is not None
    assert outcome.kind is Kind.USAGE_LIMIT


def test_a_key_that_is_refused_within_a_stream_is_refused_for_good() -> None:
    outcome = failed(PLATFORM_ERRORS, code="invalid_api_key", message="m")
    assert outcome is not None
    assert outcome.kind is Kind.REVOKED


# Without an answer


def test_no_answer_at_all_has_a_reply_in_words() -> None:
    outcome = transport("connection reset")
    assert (outcome.kind, outcome.status, outcome.reason) == (Kind.TRANSPORT, None, "connection reset")
    assert (reply_of(outcome).status, error_of(outcome)["code"]) == (502, "bad_gateway")


def test_an_answer_without_an_event_is_told_from_a_broken_one() -> None:
    outcome = empty()
    assert (outcome.kind, outcome.status, outcome.reason) == (Kind.EMPTY, 200, "the answer ended before it began")
    assert (reply_of(outcome).status, error_of(outcome)["code"]) == (502, "bad_gateway")


# The last word


LIMIT = (
    b'{"error": {"type": "usage_limit_reached",  "message": "The usage limit has been reached", "plan_type": "plus", '
    b'"resets_at": 1777936568, "eligible_promo": null, "resets_in_seconds": 13872}}'
)


def test_a_usage_limit_is_told_in_the_backend_s_own_bytes() -> None:
    reply = reply_of(answered(429, LIMIT, (("x-codex-plan-type", "plus"),)))
    assert (reply.status, reply.body, header(reply.headers, "x-codex-plan-type")) == (429, LIMIT, "plus")


def test_no_reset_is_invented() -> None:
    assert "resets_at" not in error_of(answered(429, {"error": {"type": "usage_limit_reached", "message": "m"}}))
    assert "resets_at" not in error_of(answered(402, {"detail": "Payment required"}))


@pytest.mark.parametrize(
    ("headers", "wait"), [((), "2"), ((("retry-after", "7"),), "7"), ((("retry-after-ms", "1500"),), "2")]
)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            503,
            {"error": {"code": "server_is_overloaded", "type": "service_unavailable_error", "message": "At capacity."}},
        ),
        (500, {"error": {"code": "slow_down", "message": "At capacity."}}),
        (529, {"detail": "At capacity."}),
    ],
)
def test_an_overload_is_told_so_that_hosts_come_back(status: int, body: object, headers: Headers, wait: str) -> None:
    outcome = answered(status, body, (*headers, ("x-request-id", "r")))
    reply, error = reply_of(outcome), error_of(outcome)
    assert (reply.status, error["type"], error["code"], error["message"]) == (
        503,
        "server_error",
        "server_error",
        "At capacity.",
    )
    assert (header(reply.headers, "retry-after"), header(reply.headers, "x-request-id")) == (wait, "r")
    assert [name for name, _ in reply.headers].count("retry-after") == 1


def test_an_early_overload_is_told_in_the_same_way() -> None:
    outcome = failed(code="server_is_overloaded", message="At capacity.")
    assert (reply_of(outcome).status, error_of(outcome)["code"]) == (503, "server_error")
    assert header(reply_of(outcome).headers, "retry-after") == "2"


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ((), {"detail": "Too Many Requests"}, "2"),
        ((("retry-after", "60"),), {"detail": "Too Many Requests"}, "60"),
        ((("retry-after", "3"),), {"detail": "Too Many Requests"}, "3"),
        (
            (),
            {"error": {"code": "rate_limit_exceeded", "message": "Too Many Requests. Please try again in 1.2s."}},
            "2",
        ),
        ((("retry-after", "garbage"),), {"detail": "Too Many Requests"}, "2"),
    ],
)
def test_haste_and_a_short_limit_are_told_so_that_codex_comes_back(headers: Headers, body: object, wait: str) -> None:
    outcome = answered(429, body, headers)
    reply, error = reply_of(outcome), error_of(outcome)
    assert (reply.status, error["type"], error["code"]) == (503, "server_error", "rate_limit_exceeded")
    assert str(error["message"]).startswith("Too Many Requests")
    assert header(reply.headers, "retry-after") == wait


def test_a_plan_without_codex_is_told_where_codex_looks_for_it() -> None:
    body = b'{"error":{"type":"usage_not_included","message":"Upgrade to Plus"}}'
    reply = reply_of(answered(403, body))
    assert (reply.status, reply.body) == (429, body)


@pytest.mark.parametrize("case", ["a challenge", "a challenge of 503", "a block page", "a stealthy block"])
def test_a_challenge_is_told_in_words_that_blame_no_account(case: str) -> None:
    status, body, *_ = CODEX[case]
    outcome = answered(status, body)
    error = error_of(outcome)
    assert (reply_of(outcome).status, error["type"], error["code"]) == (502, "server_error", "upstream_challenge")
    assert "Cloudflare" in str(error["message"]) and "not the account" in str(error["message"])
    assert f"({status})" in str(error["message"]) and "<" not in str(error["message"])


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 422])
def test_what_is_wrong_with_the_request_is_told_to_the_host(status: int) -> None:
    outcome = answered(status, {"detail": "Stream must be set to true"})
    assert outcome.kind is Kind.REFUSED
    assert reply_of(outcome).status == status
    assert error_of(outcome)["message"] == "Stream must be set to true"


@pytest.mark.parametrize(
    "case",
    [
        *("an invalidated token", "an expired token", "a dead workspace", "a model that is not found"),
        *("reasoning of another organization", "a server error", "a policy"),
    ],
)
def test_anything_else_is_told_as_the_backend_told_it(case: str) -> None:
    status, body, *_ = CODEX[case]
    outcome = answered(status, body)
    assert reply_of(outcome).status == status
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert b'"detail"' in content or reply_of(outcome).body == content


def test_a_success_that_is_no_stream_is_a_bad_gateway() -> None:
    assert reply_of(answered(200, {"id": "resp_1"})).status == 502


# Whatever comes


@pytest.mark.parametrize(("seconds", "pause"), [("7", 7.0), ("3600", 300.0), ("0", None), ("soon", None)])
@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_backend_in_trouble_may_name_a_pause(status: int, seconds: str, pause: float | None) -> None:
    assert answered(status, b"", (("retry-after", seconds),)).retry_after == pause


def test_a_reason_is_made_of_our_own_words() -> None:
    secret = "sk-canary-in-a-body"
    for status in (301, 400, 401, 402, 403, 404, 429, 500, 503):
        outcome = answered(status, {"error": {"message": secret, "code": secret, "type": secret}})
        assert secret not in outcome.reason


def test_every_kind_has_a_stable_code() -> None:
    assert [kind.code for kind in Kind] == [
        *("usage_limit", "short_limit", "burst", "unauthorized", "revoked", "workspace_gone", "not_entitled"),
        *("challenge", "stale_reasoning", "overloaded", "server_error", "transport", "empty", "redirect", "refused"),
    ]


WORDS = st.sampled_from([*CODEX_ERRORS.codes, *PLATFORM_ERRORS.codes, "server_error", "rate_limit_error"])
MEMBERS = ["code", "type", "message", "resets_at", "resets_in_seconds", "retry_after", "retry_after_ms"]
ERROR = st.dictionaries(
    st.sampled_from(MEMBERS),
    st.none() | st.integers() | st.floats() | st.text() | WORDS | st.from_regex(r"try again in [0-9]{1,9}(ms|s|m|h|d)"),
)
BODIES = st.binary() | st.fixed_dictionaries({"error": ERROR}).map(lambda body: json.dumps(body).encode())
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["retry-after", "retry-after-ms", "x-codex-active-limit", "cf-mitigated"]),
        st.text() | st.integers(0).map(str),
    )
).map(tuple)
MAPS = st.sampled_from([CODEX_ERRORS, PLATFORM_ERRORS])


def assert_sound(outcome: Outcome) -> None:
    reply = reply_of(outcome)
    assert 400 <= reply.status <= 599 and "message" in error_of(outcome)
    assert (outcome.resets_at is not None) is (outcome.kind is Kind.USAGE_LIMIT)
    assert outcome.resets_at is None or NOW < outcome.resets_at <= NOW + 32 * 86400
    assert outcome.retry_after is None or 0 < outcome.retry_after <= 300
    assert outcome.kind is not Kind.SHORT_LIMIT or (outcome.retry_after or 9) <= 5
    assert re.fullmatch(r"[a-z0-9_]{1,64}", outcome.limit_id)
    assert re.fullmatch(r"[A-Za-z ]+", outcome.reason)


@given(st.integers(100, 599), HEADERS, BODIES, MAPS)
def test_every_answer_has_an_outcome_that_can_be_acted_on(
    status: int, headers: Headers, body: bytes, errors: ErrorMap
) -> None:
    assert_sound(from_response(status, headers, body, NOW, errors))


@given(HEADERS, ERROR, MAPS)
def test_so_has_every_early_failure_that_has_one(headers: Headers, error: dict[str, object], errors: ErrorMap) -> None:
    event = Event("error", json.dumps({"type": "error", "error": error}).encode(), b"")
    outcome = from_failure(event, headers, NOW, errors)
    assert outcome is None or outcome.kind is not Kind.REFUSED
    if outcome is not None:
        assert_sound(outcome)


@given(st.binary())
def test_an_event_of_any_bytes_is_read(data: bytes) -> None:
    assert from_failure(Event("response.failed", data, b""), (), NOW) is None

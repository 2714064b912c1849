"""The upstream's answer head and its errors, as the host sees them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.reply import Headers, Reply, header
from understudy.wire.response import challenge, host_headers, retryable, translate_error


def error(reply: Reply) -> dict[str, object]:
    value = json.loads(reply.body)["error"]
    assert value.keys() >= {"message", "type", "param", "code"}
    return dict(value)


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Type", "X-Request-Id", "x-oai-request-id", "openai-model", "openai-processing-ms", "retry-after"),
        *("retry-after-ms", "x-codex-turn-state", "x-models-etag", "x-reasoning-included", "x-codex-plan-type"),
        *("X-Codex-Primary-Used-Percent", "x-codex-credits-balance", "x-codex-bengalfox-limit-name"),
        *("x-premium-secondary-reset-at", "x-code-review-primary-window-minutes", "x-codex-active-limit"),
    ],
)
def test_what_concerns_the_host_is_passed_on(name: str) -> None:
    assert host_headers(((name, "value"),)) == ((name, "value"),)


@pytest.mark.parametrize(
    "name",
    [
        *("Set-Cookie", "content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"),
        *("location", "server", "cf-ray", "cf-mitigated", "alt-svc", "nel", "report-to", "openai-organization"),
        *("strict-transport-security", "x-openai-proxy-wasm", "trailer", "upgrade", "www-authenticate"),
    ],
)
def test_what_concerns_the_connection_or_the_account_stays_behind(name: str) -> None:
    assert host_headers(((name, "canary"),)) == ()


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "\x1b]0;x\x07", "a\x00", "a\x85"])
def test_a_value_that_could_steer_a_terminal_stays_behind(value: str) -> None:
    assert host_headers((("x-codex-promo-message", value),)) == ()


def test_an_openai_error_goes_on_byte_for_byte() -> None:
    body = b'{ "error": {"message": "no", "type": "t", "resets_at": 1.50, "x": "\\u00e9"} }'
    reply = translate_error(429, (("content-type", "text/plain"), ("x-request-id", "r")), body)
    assert reply == Reply(429, (("content-type", "application/json"), ("x-request-id", "r")), body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"detail": "Unsupported parameter: temperature"}, "Unsupported parameter: temperature"),
        ({"detail": {"code": "deactivated_workspace"}}, "The backend answered 400 (deactivated_workspace)"),
        ({"detail": {"code": "c", "message": "in words"}}, "in words"),
        ({"detail": [{"loc": ["body", 0, "model"], "msg": "field required"}]}, "body.0.model: field required"),
        ({"detail": ["first", {}, 7]}, "first; invalid; invalid"),
        ({"error": "in one word"}, "in one word"),
        ({"message": "bare"}, "bare"),
        ({"error": {"code": "server_is_overloaded"}}, "The backend answered 400 (server_is_overloaded)"),
        ({"error": {"message": 7, "type": "odd"}}, "The backend answered 400 (odd)"),
        ({"detail": ""}, "The backend answered 400"),
        ({}, "The backend answered 400"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_an_error_of_any_shape_becomes_openais(body: object, message: str) -> None:
    assert str(error(translate_error(400, (), json.dumps(body).encode()))["message"]).startswith(message)


def test_the_backends_own_words_and_figures_are_kept() -> None:
    found = error(translate_error(429, (), b'{"error": {"type": "usage_limit_reached", "resets_at": 1777936568}}'))
    assert (found["type"], found["resets_at"]) == ("usage_limit_reached", 1777936568)
    assert error(translate_error(402, (), b'{"detail": {"code": "deactivated_workspace"}}'))["code"] == (
        "deactivated_workspace"
    )


@pytest.mark.parametrize(
    ("status", "type", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (403, "permission_error", "insufficient_permissions"),
        (404, "not_found_error", "not_found"),
        (418, "invalid_request_error", None),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "server_error", "server_error"),
        (529, "server_error", "server_error"),
    ],
)
def test_an_error_without_a_type_has_the_type_of_its_status(status: int, type: str, code: str | None) -> None:
    found = error(translate_error(status, (), b'{"detail": "no"}'))
    assert (found["type"], found["code"]) == (type, code)


PAGES = {
    "a gateway's": b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    "with a doctype": b"\n<!DOCTYPE html><html>",
    "after some text": b"Error\n<html><script>alert(1)</script>",
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_a_page_never_reaches_the_host(page: bytes) -> None:
    message = str(error(translate_error(502, (), page))["message"])
    assert "<" not in message
    assert "502" in message


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (403, (), b"<html><title>Just a moment...</title>", "cloudflare challenge"),
        (403, (), b"<html><title>Attention Required! | Cloudflare</title>", "cloudflare challenge"),
        (403, (("cf-mitigated", "challenge"),), b"", "cloudflare challenge"),
        (404, (), b"", "blocked without a word"),
    ],
)
def test_a_challenge_of_cloudflare_is_named_as_what_it_is(
    status: int, headers: Headers, body: bytes, reason: str
) -> None:
    found = challenge(status, headers, body)
    assert found is not None and found[0] == reason
    message = str(error(found[1])["message"])
    assert "Cloudflare" in message
    assert "not the account" in message


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b'{"detail": "just a moment"}'), (502, b"<html>just a moment"), (404, b"{}"), (403, b""), (403, b"<html>")],
)
def test_not_every_refusal_is_one(status: int, body: bytes) -> None:
    assert challenge(status, (("cf-ray", "8"), ("cf-mitigated", "block")), body) is None


def test_a_form_that_is_retried_keeps_the_words_and_the_other_headers() -> None:
    refused = translate_error(429, (("Retry-After", "soon"), ("x-request-id", "r")), b'{"detail": "Too fast"}')
    reply = retryable(refused, "rate_limit_exceeded", 1.2)
    assert (reply.status, error(reply)["message"], error(reply)["code"]) == (503, "Too fast", "rate_limit_exceeded")
    assert reply.headers == (("content-type", "application/json"), ("x-request-id", "r"), ("retry-after", "2"))


def test_a_type_can_be_given_for_an_error_that_has_none() -> None:
    quota = ("insufficient_quota", "insufficient_quota")
    for body in (b"", b'{"detail": "Payment required"}', b'{"error": {"param": null}}'):
        assert error(translate_error(402, (), body, quota))["type"] == "insufficient_quota"
    assert (
        error(translate_error(402, (), b'{"error": {"message": "m", "type": "t", "param": 1, "code": 2}}', quota))[
            "type"
        ]
        == "t"
    )


def test_a_short_text_is_passed_on_in_words() -> None:
    reply = translate_error(503, (), b"upstream connect error \x1b[31m")
    assert error(reply)["message"] == "The backend answered 503: upstream connect error [31m"


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"{" + b" " * 2_000_000 + b"}"])
def test_a_body_that_cannot_be_read_still_is_an_error_in_words(body: bytes) -> None:
    assert str(error(translate_error(500, (), body))["message"]).startswith("The backend answered 500")


@given(st.binary() | st.text().map(str.encode), st.sampled_from([400, 401, 429, 500]))
def test_arbitrary_bytes_become_an_error_of_the_same_status(body: bytes, status: int) -> None:
    reply = translate_error(status, (), body)
    assert reply.status == status
    assert header(reply.headers, "content-type") == "application/json"
    assert "message" in error(reply)

"""What ChatGPT's usage endpoint says of a login, and what it does not say."""

import json
from dataclasses import replace

import pytest

from support.logins import CANARY, NOW, account
from understudy.oauth.usage import Verdict, foregone, read_usage, usage_request
from understudy.pool.health import needs_login
from understudy.wire.provider import read_provider

ADA = account("ada")
FULL = {"used_percent": 100, "limit_window_seconds": 18000, "reset_after_seconds": 60}
REACHED = {"allowed": False, "limit_reached": True, "primary_window": FULL}
FREE = {"allowed": True, "limit_reached": False, "primary_window": FULL | {"used_percent": 3}}


def answer(status: int, body: object) -> tuple[Verdict, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = read_usage(ADA, status, data, NOW)
    return found.verdict, found.message


@pytest.mark.parametrize(
    ("backend", "url"),
    [
        ("https://chatgpt.com/backend-api/codex", "https://chatgpt.com/backend-api/wham/usage"),
        ("http://127.0.0.1:8787/backend-api/codex/", "http://127.0.0.1:8787/backend-api/wham/usage"),
        ("https://relay.test/api/mine", "https://relay.test/api/mine/usage"),
    ],
)
def test_it_is_asked_at_the_backend_s_own_origin(backend: str, url: str) -> None:
    request = usage_request(read_provider(backend), ADA, "1.0")
    assert (request.method, request.url, request.body) == ("GET", url, b"")


def test_it_is_asked_as_the_account_and_under_our_own_name() -> None:
    request = usage_request(read_provider("https://chatgpt.com/backend-api/codex"), replace(ADA, fedramp=True), "1.0")
    assert dict(request.headers) == {
        "authorization": f"Bearer {ADA.tokens.access.reveal()}",
        "chatgpt-account-id": "ws-ada",
        "x-openai-fedramp": "true",
        "accept": "application/json",
        "originator": "understudy",
        "user-agent": "understudy/1.0",
    }
    assert CANARY not in repr(request)


def test_an_id_that_could_end_the_header_field_is_not_sent() -> None:
    with pytest.raises(ValueError, match="id"):
        usage_request(read_provider("https://chatgpt.com"), replace(ADA, account_id="a\r\nb"), "1.0")


def test_a_login_that_is_known_not_to_work_need_not_be_tried() -> None:
    found = foregone(needs_login(ADA, "the login has expired", NOW), NOW)
    assert found is not None
    assert (found.verdict, found.works) == (Verdict.NEEDS_LOGIN, False)
    assert found.message == "the login has expired; log in again: understudy login"


def test_an_expired_access_token_is_neither_healthy_nor_dead() -> None:
    found = foregone(ADA, ADA.tokens.expires_at)
    assert found is not None
    assert (found.verdict, found.works) == (Verdict.STALE, False)
    assert "has expired" in found.message and "understudy accounts refresh ada" in found.message
    assert foregone(ADA, NOW) is None


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        pytest.param({"plan_type": "plus", "rate_limit": FREE}, Verdict.WORKS, id="within its limits"),
        pytest.param({"plan_type": "free", "rate_limit": None}, Verdict.WORKS, id="without limits"),
        pytest.param({"plan_type": "plus", "rate_limit": REACHED}, Verdict.LIMITED, id="limited"),
        pytest.param(
            {"rate_limit": REACHED, "credits": {"has_credits": True, "unlimited": False}}, Verdict.WORKS, id="credits"
        ),
        pytest.param({}, Verdict.UNCLEAR, id="empty"),
        pytest.param(b"<html>sign in to the hotel's network</html>", Verdict.UNCLEAR, id="a page of somebody else"),
    ],
)
def test_a_200_is_an_answer_if_it_has_figures(body: object, verdict: Verdict) -> None:
    assert answer(200, body)[0] is verdict


@pytest.mark.parametrize("code", ["token_invalidated", "token_revoked"])
def test_a_login_that_was_ended_is_said_to_be_so(code: str) -> None:
    verdict, message = answer(401, {"error": {"code": code, "message": "x"}, "status": 401})
    assert (verdict, message) == (Verdict.NEEDS_LOGIN, "ChatGPT has ended this login; log in again: understudy login")


@pytest.mark.parametrize("body", [{"detail": "Unauthorized"}, {"error": {"code": "token_expired"}}, b""], ids=str)
def test_any_other_401_is_a_matter_of_the_access_token(body: object) -> None:
    verdict, message = answer(401, body)
    assert verdict is Verdict.STALE
    assert "understudy accounts refresh ada" in message


def test_a_deactivated_workspace_is_told_from_a_bill() -> None:
    assert answer(402, {"detail": {"code": "deactivated_workspace"}})[0] is Verdict.DEACTIVATED
    assert answer(402, {"detail": "Payment required"})[0] is Verdict.UNCLEAR


@pytest.mark.parametrize("status", [204, 302, 400, 403, 404, 429, 500, 503])
def test_what_may_come_from_somebody_in_between_says_nothing_of_the_login(status: int) -> None:
    verdict, message = answer(status, b"<html>Just a moment...</html>")
    assert verdict is Verdict.UNCLEAR
    assert str(status) in message


def test_nothing_of_the_answer_is_shown() -> None:
    said = {"error": {"code": "token_revoked", "message": "\x1b]0;x\x07 call 555"}, "detail": {"code": "555"}}
    for status in (200, 401, 402, 403):
        assert "555" not in answer(status, said)[1]

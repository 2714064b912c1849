"""A code becomes a whole login, or the reason why not, in our words."""

import json
from urllib.parse import parse_qs

import pytest

from support.logins import CANARY, NOW, access_token, jwt, tokens
from understudy.oauth.codex_auth import Login
from understudy.oauth.exchange import exchange_request, read_exchange
from understudy.oauth.refresh import Transient
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID
from understudy.wire.secret import Secret

GIVEN = tokens("ada")
CODE, VERIFIER = Secret(f"ac_{CANARY}"), Secret(f"{CANARY}-verifier")


def answer(**changes: object) -> dict[str, object]:
    """A good answer, changed; None takes a member out."""
    members: dict[str, object] = {
        "access_token": GIVEN.access.reveal(),
        "refresh_token": GIVEN.refresh.reveal(),
        "id_token": GIVEN.id_token.reveal(),
        "token_type": "Bearer",
        "expires_in": 10,
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def read(status: int, body: object) -> Login | Refused | Transient:
    return read_exchange(status, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


def test_the_request_is_a_form_to_the_issuers_token_endpoint() -> None:
    request = exchange_request("https://auth.openai.com", CODE, "http://localhost:1455/auth/callback", VERIFIER)
    assert (request.method, request.url) == ("POST", "https://auth.openai.com/oauth/token")
    assert dict(request.headers)["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": [CODE.reveal()],
        "redirect_uri": ["http://localhost:1455/auth/callback"],
        "client_id": [CLIENT_ID],
        "code_verifier": [VERIFIER.reveal()],
    }
    assert CANARY not in repr(request)


def test_a_code_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="in the clear"):
        exchange_request("http://auth.example", CODE, "http://localhost:1455/auth/callback", VERIFIER)


def test_an_answer_with_tokens_is_a_login_that_ends_when_its_access_token_says() -> None:
    login = read(200, answer())
    assert isinstance(login, Login)
    assert login.tokens == GIVEN
    assert (login.claims.account_id, login.claims.user_id, login.claims.plan) == ("ws-ada", "user-ada", "plus")
    assert login.claims.email == "ada@example.com"


def test_an_access_token_that_does_not_say_when_it_ends_ends_when_the_answer_says() -> None:
    opaque = jwt({"https://api.openai.com/auth": {"chatgpt_account_id": "ws-ada"}})
    login = read(200, answer(access_token=opaque))
    assert isinstance(login, Login) and login.tokens.expires_at == NOW + 10


def test_an_id_token_may_be_missing() -> None:
    login = read(200, answer(id_token=None))
    assert isinstance(login, Login) and not login.tokens.id_token
    assert login.claims.email == "ada@example.com"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(answer(access_token=None), id="no access token"),
        pytest.param(answer(refresh_token=None), id="no refresh token"),
        pytest.param(answer(refresh_token=7), id="refresh token no text"),
        pytest.param(answer(access_token="a\r\nx: 1"), id="a token that would break out of its header"),
        pytest.param(answer(id_token="x" * 20_000), id="a huge token"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param([], id="no object"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_an_answer_without_usable_tokens_is_no_login(body: object) -> None:
    assert isinstance(read(200, body), Transient)


def test_a_login_that_names_no_account_is_refused() -> None:
    body = answer(access_token=access_token(chatgpt_account_id=None), id_token=None)
    assert read(200, body) == Refused(Reason.NO_ACCOUNT)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant", "error_description": CANARY}, Refused(Reason.CODE_SPENT)),
        (401, {"error": {"code": "invalid_grant", "message": CANARY}}, Refused(Reason.CODE_SPENT)),
        (400, {"error": CANARY}, Refused(Reason.OTHER)),
        (403, b"", Refused(Reason.OTHER)),
        (307, b"", Refused(Reason.OTHER)),
        (408, b"", Transient("the login server answered 408")),
        (429, b"", Transient("the login server answered 429")),
        (500, {"error": CANARY}, Transient("the login server answered 500")),
        (100, b"", Transient("the login server answered 100")),
    ],
)
def test_a_refusal_is_told_in_our_words(status: int, body: object, expected: Refused | Transient) -> None:
    assert read(status, body) == expected

"""A refresh answer is tokens, a final no, or nothing to conclude from."""

import json

import pytest

from support.logins import CANARY, NOW, access_token, tokens
from understudy.oauth.refresh import Rejected, Transient, read_refresh, refresh_request
from understudy.pool.account import Tokens
from understudy.wire.secret import Secret

OLD = tokens("ada", mark="old")


def read(status: int, answer: object) -> Tokens | Rejected | Transient:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_refresh(status, body, OLD, NOW)


def test_the_request_is_json_to_the_issuers_token_endpoint() -> None:
    request = refresh_request("https://auth.openai.com/", Secret("rt_x"))
    assert (request.method, request.url) == ("POST", "https://auth.openai.com/oauth/token")
    assert dict(request.headers)["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "grant_type": "refresh_token",
        "refresh_token": "rt_x",
    }


def test_the_request_does_not_show_the_token() -> None:
    assert CANARY not in repr(refresh_request("https://auth.openai.com", OLD.refresh))


@pytest.mark.parametrize("issuer", ["http://auth.openai.com", "ftp://127.0.0.1", "auth.openai.com", "", "https://"])
def test_no_token_goes_out_in_the_clear(issuer: str) -> None:
    with pytest.raises(ValueError):
        refresh_request(issuer, OLD.refresh)


def test_on_loopback_http_will_do() -> None:
    assert refresh_request("http://127.0.0.1:8787", OLD.refresh).url == "http://127.0.0.1:8787/oauth/token"


def test_all_three_tokens_are_taken_and_the_access_token_says_when_it_ends() -> None:
    access = access_token("ada", expires_at=NOW + 999, mark="new")
    answer = {"access_token": access, "refresh_token": "rt_new", "id_token": "id.new.x", "expires_in": 5}
    assert read(200, answer) == Tokens(Secret(access), Secret("rt_new"), Secret("id.new.x"), NOW + 999)


def test_what_the_answer_does_not_have_stays_as_it_was() -> None:
    access = access_token("ada", mark="new")
    assert read(200, {"access_token": access}) == Tokens(Secret(access), OLD.refresh, OLD.id_token, NOW + 3600)


def test_a_new_refresh_token_is_kept_even_where_it_comes_alone() -> None:
    assert read(200, {"refresh_token": "rt_new"}) == Tokens(OLD.access, Secret("rt_new"), OLD.id_token, OLD.expires_at)


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [(600, 600.0), (None, 3600.0), ("600", 3600.0), (-5, 3600.0), (10**400, 3600.0)],
)
def test_an_access_token_that_says_nothing_lives_as_long_as_the_answer_says_or_an_hour(
    expires_in: object, life: float
) -> None:
    result = read(200, {"access_token": "opaque", "expires_in": expires_in})
    assert isinstance(result, Tokens)
    assert result.expires_at == NOW + life


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        pytest.param(401, b"", "unauthorized", id="401 with nothing"),
        pytest.param(401, b"<html>", "unauthorized", id="401 with a page"),
        pytest.param(401, {"error": {"code": "token_expired"}}, "token_expired", id="401 with a code"),
        pytest.param(400, {"error": {"code": "refresh_token_reused"}}, "refresh_token_reused", id="nested code"),
        pytest.param(400, {"error": "invalid_grant"}, "invalid_grant", id="code as RFC 6749 has it"),
        pytest.param(403, {"code": "REFRESH_TOKEN_EXPIRED"}, "refresh_token_expired", id="code at the top"),
        pytest.param(
            500, {"error": {"code": "refresh_token_invalidated"}}, "refresh_token_invalidated", id="any status"
        ),
    ],
)
def test_a_final_no(status: int, answer: object, code: str) -> None:
    result = read(status, answer)
    assert isinstance(result, Rejected)
    assert result.code == code


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": {"code": "something_else"}}),
        (400, {"error": ["refresh_token_reused"]}),
        (403, b"<html>Just a moment...</html>"),
        (408, b""),
        (429, {"error": {"code": "rate_limit_exceeded"}}),
        (500, b""),
        (502, b"<html>"),
        (301, b""),
        (200, b""),
        (200, b"<html>"),
        (200, []),
        (200, {}),
        (200, {"access_token": ""}),
        (200, {"access_token": 7}),
        (200, {"access_token": ["x"]}),
        (200, {"access_token": "a\r\nb"}),
        (200, {"access_token": "x" * 20_000}),
        (200, b"[" * 100_000),
    ],
)
def test_nothing_to_conclude_from(status: int, answer: object) -> None:
    assert isinstance(read(status, answer), Transient)


@pytest.mark.parametrize(
    ("status", "answer", "spent"),
    [(200, b"<html>", True), (200, {}, True), (200, {"access_token": 7}, True), (500, b"", False), (429, {}, False)],
)
def test_a_success_without_usable_tokens_may_have_spent_the_old_ones(status: int, answer: object, spent: bool) -> None:
    result = read(status, answer)
    assert isinstance(result, Transient)
    assert result.perhaps_spent is spent


@pytest.mark.parametrize(("field", "asked"), [("90", 90.0), ("", 0.0), ("nan", 0.0), ("-5", 0.0), ("1_0", 0.0)])
def test_the_pause_that_the_login_server_asks_for_is_told(field: str, asked: float) -> None:
    assert read_refresh(429, b"{}", OLD, NOW, field) == Transient("the login server answered 429", asked=asked)


@pytest.mark.parametrize(
    ("status", "code", "spent"),
    [
        (401, "refresh_token_reused", True),
        (400, "invalid_grant", True),
        (401, "anything", True),
        (401, "token_expired", True),
        (401, "refresh_token_expired", False),
        (403, "account_deactivated", False),
    ],
)
def test_whether_a_no_is_what_a_spent_token_gets(status: int, code: str, spent: bool) -> None:
    result = read(status, {"error": {"code": code}})
    assert isinstance(result, Rejected)
    assert result.looks_spent is spent


def test_another_accounts_tokens_are_thrown_away_and_say_nothing_of_this_login() -> None:
    result = read(200, {"access_token": access_token("mallory"), "refresh_token": "rt_new"})
    assert isinstance(result, Transient) and result.perhaps_spent
    assert "another account's tokens" in result.reason


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_result_repeats_the_servers_words(status: int) -> None:
    echo = f"{CANARY} was bad"
    said = repr(read(status, {"error": {"code": echo, "message": echo}, "error_description": echo, "code": echo}))
    assert CANARY not in said


def test_tokens_do_not_show_themselves() -> None:
    assert CANARY not in repr(OLD) + str(OLD) + f"{OLD.access}"

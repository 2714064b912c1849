"""The login file of the official programs is read as they write it, and refused in words that help."""

import json

import pytest

from support.logins import CANARY, NOW, access_token, auth_json, jwt, tokens
from understudy.oauth.codex_auth import read_auth_json


def changed(**values: object) -> str:
    """A login file with other members in its `tokens`; None takes one out."""
    file = json.loads(auth_json("ada"))
    file["tokens"] |= values
    file["tokens"] = {name: value for name, value in file["tokens"].items() if value is not None}
    return json.dumps(file)


def test_a_login_file_gives_its_tokens_and_whose_they_are() -> None:
    login = read_auth_json(auth_json("ada"))
    assert login.tokens == tokens("ada")
    assert (login.claims.account_id, login.claims.user_id, login.claims.plan) == ("ws-ada", "user-ada", "plus")
    assert login.claims.email == "ada@example.com"


def test_expired_tokens_are_as_good_as_any() -> None:
    assert read_auth_json(auth_json("ada", expires_at=1.0)).tokens.expires_at == 1.0


def test_unknown_members_do_not_matter() -> None:
    file = json.loads(auth_json("ada")) | {"auth_mode": "chatgpt", "agent_identity": {"x": 1}, "new": [1]}
    assert read_auth_json(json.dumps(file).encode()).tokens == tokens("ada")


def test_a_byte_order_mark_does_not_matter() -> None:
    assert read_auth_json(b"\xef\xbb\xbf" + auth_json("ada").encode()).tokens == tokens("ada")


def test_the_workspace_of_the_access_token_goes_before_the_one_the_file_names() -> None:
    assert read_auth_json(changed(account_id="ws-other")).claims.account_id == "ws-ada"


def test_an_access_token_that_says_nothing_takes_the_id_tokens_word_and_then_the_files() -> None:
    said = jwt({"https://api.openai.com/auth": {"chatgpt_account_id": "ws-id", "chatgpt_user_id": "user-id"}})
    assert read_auth_json(changed(access_token="opaque", id_token=said)).claims.account_id == "ws-id"
    login = read_auth_json(changed(access_token="opaque", account_id="ws-file"))
    assert login.claims.account_id == "ws-file"


def with_last_refresh(moment: str | None) -> str:
    file = json.loads(changed(access_token="opaque", id_token=jwt({"exp": NOW, "email": "a@b.c"})))
    return json.dumps(file | {"last_refresh": moment})


def test_a_token_that_does_not_say_when_it_ends_is_good_for_eight_days_as_with_codex() -> None:
    login = read_auth_json(with_last_refresh("1970-01-02T00:00:00Z"))
    assert login.tokens.expires_at == 9 * 86400.0


def test_a_token_that_nothing_says_the_end_of_is_refreshed_before_it_is_used() -> None:
    assert read_auth_json(with_last_refresh(None)).tokens.expires_at == 0.0


def test_tokens_that_name_no_user_are_told_apart_by_their_workspace() -> None:
    login = read_auth_json(changed(access_token="opaque", id_token=None, account_id="ws-file"))
    assert (login.claims.account_id, login.claims.user_id, login.claims.email) == ("ws-file", "", "")


def test_a_file_without_an_id_token_will_do() -> None:
    assert not read_auth_json(changed(id_token=None)).tokens.id_token


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param(auth_json("ada")[:200], "not JSON", id="torn"),
        pytest.param(b"\xff\xfe", "not JSON", id="not text"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param("[]", "not a login file", id="array"),
        pytest.param("{}", "codex login", id="empty object"),
        pytest.param('{"OPENAI_API_KEY": "sk-canary-of-tests"}', "API key", id="API key"),
        pytest.param('{"tokens": "canary-of-tests"}', "codex login", id="tokens no object"),
        pytest.param(changed(refresh_token=None), "refresh_token", id="no refresh token"),
        pytest.param(changed(refresh_token=""), "refresh_token", id="empty refresh token"),
        pytest.param(changed(access_token=None), "access_token", id="no access token"),
        pytest.param(changed(access_token=["canary-of-tests"]), "access_token", id="token of the wrong type"),
        pytest.param(changed(refresh_token="canary-of-tests\r\nx: y"), "refresh_token", id="token with a line break"),
        pytest.param(changed(id_token=7), "id_token", id="id token of the wrong type"),
        pytest.param(changed(access_token="canary-of-tests", account_id=None), "which ChatGPT", id="no account"),
    ],
)
def test_what_is_no_login_is_refused_in_words_that_help_and_show_nothing(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read_auth_json(text)
    assert CANARY not in str(caught.value)
    assert "codex login" in str(caught.value) or "auth.json" in str(caught.value)


def test_a_login_does_not_show_itself() -> None:
    login = read_auth_json(auth_json("ada"))
    assert CANARY not in repr(login) and "eyJ" not in repr(login) and "ada@" not in repr(login)
    assert access_token("ada") == login.tokens.access.reveal()

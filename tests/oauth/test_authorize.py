"""The browser is sent out with the Codex CLI's parameters, and what it brings back is believed by its state alone."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from support.logins import CANARY
from understudy.oauth.authorize import authorize_url, read_callback, read_pasted, redirect_uri
from understudy.oauth.pkce import RANDOM_BYTES, new_attempt
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID, ISSUER
from understudy.wire.secret import Secret

ATTEMPT = new_attempt(bytes(RANDOM_BYTES))
STATE = ATTEMPT.state.reveal()
CODE = Secret(f"ac_{CANARY}")


def query(**parameters: str) -> str:
    return urlencode({"code": CODE.reveal(), "state": STATE} | parameters)


def refused(text: str) -> Reason:
    answer = read_callback(text, ATTEMPT.state)
    assert isinstance(answer, Refused)
    return answer.reason


def test_the_url_has_the_codex_clis_parameters_in_its_order() -> None:
    url = authorize_url(ISSUER, redirect_uri(1455), ATTEMPT)
    assert url.startswith("https://auth.openai.com/oauth/authorize?")
    assert parse_qsl(urlsplit(url).query) == [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
        ("scope", "openid profile email offline_access api.connectors.read api.connectors.invoke"),
        ("code_challenge", ATTEMPT.challenge),
        ("code_challenge_method", "S256"),
        ("id_token_add_organizations", "true"),
        ("codex_cli_simplified_flow", "true"),
        ("state", STATE),
        ("originator", "understudy"),
    ]


def test_a_workspace_is_asked_for_by_its_id() -> None:
    url = authorize_url(ISSUER, redirect_uri(1455), ATTEMPT, "ws-1")
    assert parse_qsl(urlsplit(url).query)[-1] == ("allowed_workspace_id", "ws-1")


def test_the_verifier_stays_here() -> None:
    assert ATTEMPT.verifier.reveal() not in authorize_url(ISSUER, redirect_uri(1455), ATTEMPT)


def test_an_issuer_that_would_be_asked_in_the_clear_is_refused() -> None:
    with pytest.raises(ValueError, match="in the clear"):
        authorize_url("http://auth.example", redirect_uri(1455), ATTEMPT)


def test_a_callback_with_the_right_state_gives_its_code() -> None:
    assert read_callback(query(scope="openid"), ATTEMPT.state) == CODE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(f"code={CODE.reveal()}", id="no state"),
        pytest.param(query(state=""), id="empty state"),
        pytest.param(query(state="x" * 43), id="state of another login"),
        pytest.param(query(state=STATE[:-1]), id="part of the state"),
        pytest.param("code=x&state=%FF%FE", id="state of no text"),
        pytest.param(f"{query()}&state={STATE}", id="state twice"),
        pytest.param("error=access_denied", id="an error without a state"),
    ],
)
def test_without_the_right_state_nothing_else_counts(text: str) -> None:
    assert refused(text) is Reason.WRONG_STATE


@pytest.mark.parametrize(
    ("error", "description", "reason"),
    [
        ("access_denied", "", Reason.DENIED),
        ("access_denied", "The user said no", Reason.DENIED),
        ("access_denied", "Workspace: MISSING_codex_entitlement.", Reason.NOT_ENTITLED),
        ("server_error", "missing_codex_entitlement", Reason.OTHER),
        ("<script>", "x", Reason.OTHER),
    ],
)
def test_an_error_is_told_in_our_words(error: str, description: str, reason: Reason) -> None:
    assert refused(query(error=error, error_description=description)) is reason


@pytest.mark.parametrize("code", ["", "two words", "a\r\nb", "x" * 20_000, "ä"])
def test_what_cannot_be_a_code_is_none(code: str) -> None:
    assert refused(f"state={STATE}&{urlencode({'code': code})}") in (Reason.NO_CODE, Reason.WRONG_STATE)


def test_a_code_that_comes_twice_is_none() -> None:
    assert refused(f"{query()}&code=other") is Reason.NO_CODE


@pytest.mark.parametrize(
    "pasted",
    [
        f"http://localhost:1455/auth/callback?{query()}",
        f"  http://localhost:1455/auth/callback?{query()}#_=_ \n",
        f"localhost:1455/auth/callback?{query()}",
        f"?{query()}",
        query(),
        CODE.reveal(),
        f" {CODE.reveal()}\n",
    ],
    ids=[
        "URL",
        "URL with a fragment",
        "URL as some browsers show it",
        "query with ?",
        "query",
        "code",
        "code with space around it",
    ],
)
def test_a_user_may_paste_the_url_the_query_or_the_code(pasted: str) -> None:
    assert read_pasted(pasted, ATTEMPT.state) == CODE


@pytest.mark.parametrize(
    ("pasted", "reason"),
    [
        ("", Reason.NO_CODE),
        ("not a code", Reason.NO_CODE),
        ("http://localhost:1455/auth/callback", Reason.WRONG_STATE),
        ("http://localhost:1455/auth/callback?code=x&state=y", Reason.WRONG_STATE),
        ("http://[/auth/callback?code=x", Reason.WRONG_STATE),
        (f"http://localhost/?error=access_denied&state={STATE}", Reason.DENIED),
    ],
)
def test_what_a_user_pastes_is_checked_like_a_callback(pasted: str, reason: Reason) -> None:
    assert read_pasted(pasted, ATTEMPT.state) == Refused(reason)


def test_a_code_that_was_read_does_not_show_itself() -> None:
    assert CANARY not in repr(read_callback(query(), ATTEMPT.state))

"""The issuer: tokens that rotate, that expire, that die, and that are never handed out twice."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx
import jwt
import pytest

from sandbox.client import ask, connect, headers, scenario
from understudy.sandbox.server import Sandbox
from understudy.sandbox.tokens import CANARY, CLIENT_ID


def refresh(
    sandbox: Sandbox, token: str | None = None, *, form: bool = False, changes: Mapping[str, str] | None = None
) -> httpx.Response:
    """A refresh as Codex sends it, or as a form."""
    asked = {
        "client_id": CLIENT_ID,
        "grant_type": "refresh_token",
        "refresh_token": sandbox.tokens("work").refresh if token is None else token,
        **(changes or {}),
    }
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    content = urlencode(asked) if form else json.dumps(asked)
    with connect() as client:
        return client.post(f"{sandbox.issuer}/oauth/token", headers={"content-type": kind}, content=content)


def error_code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_the_login_file_is_codexs_own_format_and_its_tokens_work() -> None:
    with Sandbox(scenario(plan="pro", email="ada@example.invalid")) as sandbox:
        login = json.loads(sandbox.auth_json("work"))
        assert login["auth_mode"] == "chatgpt" and login["last_refresh"].endswith("Z")
        tokens = login["tokens"]
        assert set(tokens) == {"id_token", "access_token", "refresh_token", "account_id"}
        assert f"Bearer {tokens['access_token']}" == headers(sandbox)["authorization"]
        claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    auth = claims["https://api.openai.com/auth"]
    assert (auth["chatgpt_plan_type"], auth["chatgpt_account_id"]) == ("pro", tokens["account_id"])
    assert claims["email"] == "ada@example.invalid" and claims["iss"] == sandbox.issuer


def test_an_account_without_ids_has_the_same_ones_every_time() -> None:
    ids = []
    for _ in range(2):
        with Sandbox(scenario()) as sandbox:
            ids.append(sandbox.account_id("work"))
    assert ids[0] == ids[1]


def test_tokens_differ_from_run_to_run_and_carry_the_canary() -> None:
    seen = set()
    for _ in range(2):
        with Sandbox(scenario()) as sandbox:
            assert all(CANARY in secret for secret in sandbox.secrets())
            seen.add(sandbox.tokens("work").access)
    assert len(seen) == 2


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_a_refresh_rotates_both_tokens_and_the_new_ones_work(form: bool) -> None:
    with Sandbox(scenario()) as sandbox:
        old = sandbox.tokens("work")
        answer = refresh(sandbox, form=form).json()
        assert answer["refresh_token"] != old.refresh and answer["access_token"] != old.access
        assert sandbox.tokens("work").access == answer["access_token"]
        assert ask(sandbox).status_code == 200
        assert ask(sandbox, more={"authorization": f"Bearer {old.access}"}).status_code == 200, "good until it expires"
        assert {old.access, answer["access_token"], answer["refresh_token"]} <= set(sandbox.secrets())


def test_a_refresh_token_that_comes_twice_ends_its_login() -> None:
    with Sandbox(scenario()) as sandbox:
        spent = sandbox.tokens("work").refresh
        refresh(sandbox)
        reused = refresh(sandbox, spent)
        assert (reused.status_code, error_code(reused)) == (401, "refresh_token_reused")
        after = refresh(sandbox)
        assert (after.status_code, error_code(after)) == (401, "refresh_token_invalidated")
        assert error_code(ask(sandbox)) == "token_invalidated"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"refresh_token": ""}, 400, "empty_string"),
        ({"refresh_token": "rt_unknown"}, 401, "token_expired"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "app_other"}, 401, "invalid_client"),
    ],
    ids=["empty", "unknown", "grant", "client"],
)
def test_a_refresh_that_is_wrong_changes_nothing(changes: dict[str, str], status: int, code: str) -> None:
    with Sandbox(scenario()) as sandbox:
        answer = refresh(sandbox, changes=changes)
        assert (answer.status_code, error_code(answer)) == (status, code)
        assert refresh(sandbox).status_code == 200


def test_an_account_may_start_with_an_expired_token() -> None:
    with Sandbox(scenario(first_life=-1)) as sandbox:
        assert error_code(ask(sandbox)) == "token_expired"
        assert refresh(sandbox).json()["expires_in"] == pytest.approx(864000, abs=2)
        assert ask(sandbox).status_code == 200


def test_an_unauthorized_token_stays_so_and_a_refreshed_one_goes_on() -> None:
    with Sandbox(scenario({"do": "unauthorized"}, {"do": "answer"})) as sandbox:
        assert [ask(sandbox).status_code for _ in range(2)] == [401, 401]
        refresh(sandbox)
        assert ask(sandbox).status_code == 200


@pytest.mark.parametrize("code", ["token_invalidated", "token_revoked"])
def test_a_revoked_login_is_dead_with_all_its_tokens(code: str) -> None:
    with Sandbox(scenario({"do": "revoked", "code": code}, {"do": "answer"})) as sandbox:
        assert error_code(ask(sandbox)) == code
        assert ask(sandbox).status_code == 401
        assert error_code(refresh(sandbox)) == "refresh_token_invalidated"


def test_a_lost_answer_has_rotated_the_token_all_the_same() -> None:
    with Sandbox(scenario(token_steps=[{"do": "rotate", "lost": True}, {"do": "rotate"}])) as sandbox:
        old = sandbox.tokens("work").refresh
        with pytest.raises(httpx.TransportError):
            refresh(sandbox)
        assert error_code(refresh(sandbox, old)) == "refresh_token_reused"


def test_a_refresh_can_leave_members_out() -> None:
    with Sandbox(scenario(token_steps=[{"do": "rotate", "omit": ["id_token", "refresh_token"]}])) as sandbox:
        old = sandbox.tokens("work").refresh
        assert set(refresh(sandbox).json()) == {"access_token", "token_type", "expires_in", "scope"}
        assert refresh(sandbox, old).status_code == 200, "a token that was not replaced stays good"


@pytest.mark.parametrize(
    ("step", "status"),
    [({"do": "refuse", "code": "refresh_token_expired"}, 401), ({"do": "status", "status": 503, "body": "busy"}, 503)],
    ids=["refused", "unavailable"],
)
def test_a_refresh_can_fail_without_spending_the_token(step: dict[str, object], status: int) -> None:
    with Sandbox(scenario(token_steps=[step, {"do": "rotate"}])) as sandbox:
        assert refresh(sandbox).status_code == status
        assert refresh(sandbox).status_code == 200


def test_a_new_start_makes_new_logins() -> None:
    with Sandbox(scenario({"do": "revoked"})) as sandbox, connect() as client:
        old = sandbox.tokens("work")
        ask(sandbox)
        assert client.post(f"{sandbox.origin}/sandbox/reset").status_code == 204
        assert sandbox.tokens("work").access != old.access and len(sandbox.journal) == 0
        assert old.access in sandbox.secrets(), "what was minted once may still leak"

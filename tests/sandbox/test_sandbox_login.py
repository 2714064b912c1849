"""The issuer as a login meets it: the authorize page, codes and their proof, devices, and the end of a login."""

import json
import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from sandbox.client import ask, connect, scenario
from support.visitor import choose, enter_code
from understudy.sandbox.server import Sandbox
from understudy.sandbox.tokens import CANARY, CLIENT_ID

REDIRECT = "http://localhost:1455/auth/callback"
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ONE_PERSON = {"email": "ada@sandbox.invalid", "user_id": "user-ada"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(scenario()) as running:
        yield running


def authorize(sandbox: Sandbox, **changes: str) -> str:
    """The address of the login page, with parameters changed; an empty one is left out."""
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT,
        "scope": "openid profile email offline_access",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "s-1",
        **changes,
    }
    return f"{sandbox.issuer}/oauth/authorize?{urlencode({n: v for n, v in parameters.items() if v})}"


def sent_back(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def code(sandbox: Sandbox, choice: str = "account:work") -> str:
    return sent_back(choose(authorize(sandbox), choice))["code"]


def exchange(sandbox: Sandbox, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": REDIRECT,
        "client_id": CLIENT_ID,
        "code_verifier": VERIFIER,
        **changes,
    }
    with connect() as client:
        return client.post(f"{sandbox.issuer}/oauth/token", data=form)


def test_a_choice_sends_the_browser_back_with_a_code_and_its_state(sandbox: Sandbox) -> None:
    location = choose(authorize(sandbox, state="a b&c"))
    assert location.startswith(f"{REDIRECT}?")
    assert sent_back(location)["state"] == "a b&c" and CANARY in sent_back(location)["code"]


@pytest.mark.parametrize(("choice", "description"), [("deny", "denied"), ("not_entitled", "missing_codex_entitlement")])
def test_a_refusal_sends_the_browser_back_with_an_error(sandbox: Sandbox, choice: str, description: str) -> None:
    back = sent_back(choose(authorize(sandbox), choice))
    assert (back["error"], back["state"]) == ("access_denied", "s-1") and description in back["error_description"]


@pytest.mark.parametrize(
    "changes",
    [
        {"response_type": "token"},
        {"client_id": "app_other"},
        {"redirect_uri": "http://localhost:1456/auth/callback"},
        {"redirect_uri": "http://127.0.0.1:1455/auth/callback"},
        {"redirect_uri": "https://evil.example/auth/callback"},
        {"scope": "openid"},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
        {"state": ""},
    ],
    ids=lambda changes: "=".join(*changes.items()),
)
def test_a_request_that_is_wrong_gets_no_further(sandbox: Sandbox, changes: dict[str, str]) -> None:
    with connect() as client:
        url = authorize(sandbox, **changes)
        for answer in (client.get(url), client.post(url, data={"choice": "account:work"})):
            assert answer.status_code == 400 and next(iter(changes)) in answer.text


def test_another_port_is_allowed_where_the_scenario_says_so() -> None:
    redirect = "http://localhost:54321/auth/callback"
    with Sandbox({**scenario(), "login_any_port": True}) as sandbox:
        assert choose(authorize(sandbox, redirect_uri=redirect)).startswith(redirect)


def test_the_page_offers_every_account_or_the_workspaces_that_are_asked_for() -> None:
    accounts = {"home": {**ONE_PERSON, "account_id": "ws-1"}, "team": {**ONE_PERSON, "account_id": "ws-2"}}
    with Sandbox({"accounts": {**accounts, "other": {"account_id": "ws-3"}}}) as sandbox, connect() as client:
        offered = [
            re.findall(r'value="account:(\w+)"', client.get(authorize(sandbox, allowed_workspace_id=allowed)).text)
            for allowed in ("", "ws-2", "ws-1,ws-2", "ws-9")
        ]
        refused = client.post(authorize(sandbox, allowed_workspace_id="ws-2"), data={"choice": "account:home"})
    assert offered == [["home", "team", "other"], ["team"], ["home", "team"], []]
    assert refused.status_code == 400


def test_the_page_loads_nothing_and_runs_nothing(sandbox: Sandbox) -> None:
    with connect() as client:
        page = client.get(authorize(sandbox, state='"><script>'))
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text


def test_a_code_is_exchanged_for_tokens_of_the_chosen_account(sandbox: Sandbox) -> None:
    answer = exchange(sandbox, code=code(sandbox)).json()
    assert set(answer) == {"access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope"}
    assert sandbox.tokens("work").access == answer["access_token"]
    assert ask(sandbox).status_code == 200


def test_a_new_login_leaves_the_earlier_one_as_it_is(sandbox: Sandbox) -> None:
    earlier = sandbox.tokens("work")
    exchange(sandbox, code=code(sandbox))
    assert ask(sandbox, more={"authorization": f"Bearer {earlier.access}"}).status_code == 200
    for refresh in (earlier.refresh, sandbox.tokens("work").refresh):
        form = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": refresh}
        with connect() as client:
            assert client.post(f"{sandbox.issuer}/oauth/token", json=form).status_code == 200


def test_a_new_login_ends_the_earlier_one_where_the_scenario_says_so() -> None:
    with Sandbox({**scenario(), "login_revokes": True}) as sandbox:
        earlier = sandbox.tokens("work")
        exchange(sandbox, code=code(sandbox))
        assert ask(sandbox, more={"authorization": f"Bearer {earlier.access}"}).status_code == 401
        assert ask(sandbox).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "stolen"}, "invalid_grant"),
        ({"code_verifier": VERIFIER[:-1] + "x"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": "http://localhost:1457/auth/callback"}, "invalid_grant"),
        ({"client_id": "app_other"}, "invalid_client"),
    ],
    ids=["unknown code", "another verifier", "no verifier", "another redirect", "another client"],
)
def test_a_code_is_worth_nothing_without_its_proof(sandbox: Sandbox, changes: dict[str, str], error: str) -> None:
    before = sandbox.tokens("work")
    answer = exchange(sandbox, **{"code": code(sandbox), **changes})
    assert answer.json()["error"] == error and answer.status_code in (400, 401)
    assert sandbox.tokens("work") == before


def test_a_code_is_good_once(sandbox: Sandbox) -> None:
    given = code(sandbox)
    assert [exchange(sandbox, code=given).status_code for _ in range(2)] == [200, 400]


def test_a_code_that_was_tried_without_its_proof_is_spent(sandbox: Sandbox) -> None:
    given = code(sandbox)
    exchange(sandbox, code=given, code_verifier="guess")
    assert exchange(sandbox, code=given).json()["error"] == "invalid_grant"


def test_a_code_grows_old() -> None:
    with Sandbox({**scenario(), "code_life": 0}) as sandbox:
        assert exchange(sandbox, code=code(sandbox)).json()["error"] == "invalid_grant"


def device(sandbox: Sandbox, path: str = "usercode", **form: str) -> httpx.Response:
    with connect() as client:
        return client.post(f"{sandbox.issuer}/api/accounts/deviceauth/{path}", json=form or {"client_id": CLIENT_ID})


def poll(sandbox: Sandbox, begun: dict[str, str]) -> httpx.Response:
    return device(sandbox, "token", device_auth_id=begun["device_auth_id"], user_code=begun["user_code"])


def with_device(**spec: object) -> Sandbox:
    return Sandbox({**scenario(), "device": {"interval": 0, **spec}})


def test_a_device_waits_until_its_code_was_entered_and_gets_a_code_with_its_verifier() -> None:
    with with_device(interval=0.05) as sandbox:
        begun = device(sandbox).json()
        assert begun["interval"] == "0.05", "a text, as the real server has it"
        assert poll(sandbox, begun).status_code == 403
        assert enter_code(f"{sandbox.issuer}/codex/device", begun["user_code"].lower()).status_code == 200
        time.sleep(0.06)
        granted = poll(sandbox, begun).json()
        login = exchange(
            sandbox,
            code=granted["authorization_code"],
            code_verifier=granted["code_verifier"],
            redirect_uri=f"{sandbox.issuer}/deviceauth/callback",
        )
        assert login.status_code == 200 and 43 <= len(granted["code_verifier"]) <= 128
        assert poll(sandbox, begun).status_code == 404, "it was handed out"
        assert ask(sandbox).status_code == 200


def test_a_device_that_asks_too_often_is_told_to_slow_down() -> None:
    with with_device(interval=30) as sandbox:
        begun = device(sandbox).json()
        assert [poll(sandbox, begun).json()["error"] for _ in range(2)][1] == "slow_down"


def test_a_scenario_may_slow_a_device_down_whatever_it_does() -> None:
    with with_device(slow_downs=1) as sandbox:
        begun = device(sandbox).json()
        assert [poll(sandbox, begun).status_code for _ in range(2)] == [400, 403]


def test_a_device_is_told_that_its_user_denied_it() -> None:
    with with_device() as sandbox:
        begun = device(sandbox).json()
        enter_code(f"{sandbox.issuer}/codex/device", begun["user_code"], "deny")
        assert poll(sandbox, begun).json()["error"] == "access_denied"


def test_a_code_that_was_not_entered_in_time_is_of_no_use() -> None:
    with with_device(life=0) as sandbox:
        begun = device(sandbox).json()
        assert "too old" in enter_code(f"{sandbox.issuer}/codex/device", begun["user_code"]).text
        assert poll(sandbox, begun).json()["error"] == "expired_token"


def test_a_wrong_code_is_asked_for_again(sandbox: Sandbox) -> None:
    assert "wrong" in enter_code(f"{sandbox.issuer}/codex/device", "BCDF-GHJK").text


def test_an_issuer_may_have_no_device_login() -> None:
    with with_device(enabled=False) as sandbox:
        assert device(sandbox).status_code == 404


def test_a_device_of_another_client_is_refused(sandbox: Sandbox) -> None:
    assert device(sandbox, client_id="app_other").status_code == 400


@pytest.mark.parametrize("hint", ["refresh_token", "access_token"])
def test_a_revoked_token_ends_its_own_login_and_no_other(sandbox: Sandbox, hint: str) -> None:
    earlier = sandbox.tokens("work")
    exchange(sandbox, code=code(sandbox))
    token = earlier.refresh if hint == "refresh_token" else earlier.access
    with connect() as client:
        form = {"token": token, "token_type_hint": hint, "client_id": CLIENT_ID}
        assert client.post(f"{sandbox.issuer}/oauth/revoke", json=form).status_code == 200
        assert client.post(f"{sandbox.issuer}/oauth/revoke", json={**form, "token": "unknown"}).status_code == 200
    assert ask(sandbox, more={"authorization": f"Bearer {earlier.access}"}).status_code == 401
    assert ask(sandbox).status_code == 200


def test_no_code_and_no_token_is_in_the_journal() -> None:
    with with_device() as sandbox:
        begun = device(sandbox).json()
        enter_code(f"{sandbox.issuer}/codex/device", begun["user_code"])
        granted = poll(sandbox, begun).json()
        given = exchange(sandbox, code=code(sandbox)).json()
        with connect() as client:
            form = {"token": given["refresh_token"], "token_type_hint": "refresh_token", "client_id": CLIENT_ID}
            client.post(f"{sandbox.issuer}/oauth/revoke", json=form)
        journal = sandbox.journal.to_json().decode() + "".join(str(entry.content) for entry in sandbox.journal)
        made = sandbox.secrets()
    assert CANARY not in journal and not [secret for secret in made if secret in journal]
    secret = {begun["device_auth_id"], granted["authorization_code"], granted["code_verifier"], given["access_token"]}
    assert secret <= set(made)
    entries = json.loads(sandbox.journal.to_json())["entries"]
    named = [(entry["step"], entry["account"]) for entry in entries if entry["path"].startswith("/oauth/")]
    assert ("login", "work") in named and named[-1] == ("revoke", "work")
    assert entries[-1]["body"]["token"] == "<work: refresh token 2>"

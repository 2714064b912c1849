"""A check tells logins that work from those that do not, and neither uses anything up nor hastens to a verdict."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from support.logins import account
from support.members import pool_of
from support.terminal import Said, Understudy
from understudy.cli.accounts import check, refresh
from understudy.oauth.request import CLIENT_ID
from understudy.pool.account import Health
from understudy.pool.edits import enable
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Source

FULL = [{"minutes": 300, "used": 100.0, "resets_in": 3600}, {"minutes": 10080, "used": 61.0}]
SCENARIO: dict[str, object] = {
    "accounts": {
        "work": {},
        "full": {"windows": FULL},
        "old": {"first_life": 0},
        "gone": {"token_steps": [{"do": "refuse", "code": "refresh_token_expired"}]},
    }
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE", 0.0)
    monkeypatch.setattr(refresh, "STAGGER", 0.0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as running:
        yield running


@pytest.fixture
def store(home: Path, sandbox: Sandbox) -> AccountStore:
    return pool_of(sandbox, home)


Ask = Callable[..., Said]


@pytest.fixture
def ask(understudy: Understudy, sandbox: Sandbox) -> Ask:
    """Runs a command of `accounts` against the sandbox."""
    network = ("--set", f"codex_backend={sandbox.backend}", "--set", f"codex_issuer={sandbox.issuer}")
    return lambda *words: understudy("accounts", *words, *network)


def test_what_a_check_finds_is_said_also_where_the_status_cannot_show_it(
    ask: Ask, store: AccountStore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / ".quota.json.lock").mkdir()
    said = ask("check", "work")
    assert said.code == 0 and said.out.startswith("work: works")
    assert "status` does not show this yet" in caplog.text


def revoke(sandbox: Sandbox, label: str) -> None:
    """The login is ended elsewhere."""
    token = {"token": sandbox.tokens(label).refresh, "token_type_hint": "refresh_token", "client_id": CLIENT_ID}
    assert httpx.post(f"{sandbox.origin}/oauth/revoke", json=token, trust_env=False).status_code == 200


def test_each_account_is_told_how_it_is(store: AccountStore, ask: Ask) -> None:
    said = ask("check")
    assert (said.code, said.err) == (0, "")
    assert "work: works (5h 12%, weekly 30%)" in said.lines
    assert "full: works, but its limit is reached until " in said.out
    assert "old: not known: its access token has expired; the proxy renews it when it is next used" in said.words
    assert "understudy accounts refresh old" in said.words
    assert max(map(len, said.lines)) <= 80


def test_no_refresh_token_is_spent_and_no_model_is_asked(store: AccountStore, sandbox: Sandbox, ask: Ask) -> None:
    before = store.read()
    sandbox.journal.clear()
    ask("check")
    assert {(entry.method, entry.path) for entry in sandbox.journal.entries()} == {("GET", "/backend-api/wham/usage")}
    assert [entry.account for entry in sandbox.journal.entries()] == ["work", "full", "gone"]
    assert store.read() == before


def test_the_status_shows_the_figures_that_came(store: AccountStore, home: Path, ask: Ask) -> None:
    ask("check", "full")
    snapshots = {entry.label: entry.snapshot for entry in QuotaCache(home).read() or ()}
    assert [label for label, snapshot in snapshots.items() if snapshot] == ["full"]
    assert snapshots["full"] is not None
    assert snapshots["full"].source is Source.USAGE
    assert [(window.name, window.used_percent) for window in snapshots["full"].windows] == [("5h", 100), ("weekly", 61)]


def test_a_login_that_was_ended_is_marked_and_asked_no_more(store: AccountStore, sandbox: Sandbox, ask: Ask) -> None:
    revoke(sandbox, "work")
    said = ask("check", "work")
    assert (said.code, said.words) == (
        1,
        "work: needs login: ChatGPT has ended this login; log in again: understudy login",
    )
    assert store.read().accounts[0].health is Health.NEEDS_LOGIN
    sandbox.journal.clear()
    assert "work: needs login: login revoked; log in again" in ask("check", "work").out
    assert sandbox.journal.entries() == ()


def test_scripts_get_the_same(store: AccountStore, sandbox: Sandbox, ask: Ask) -> None:
    revoke(sandbox, "gone")
    accounts = ask("check", "--json").json["accounts"]
    assert [(found["label"], found["result"]) for found in accounts] == [
        ("work", "works"),
        ("full", "limited"),
        ("old", "stale"),
        ("gone", "needs_login"),
    ]
    assert accounts[0]["message"] is None
    assert [window["name"] for window in accounts[0]["quota"]["windows"]] == ["5h", "weekly"]


def test_a_disabled_account_is_asked_only_by_its_name(store: AccountStore, sandbox: Sandbox, ask: Ask) -> None:
    store.update(lambda pool: enable(pool, "work", False))
    assert "work: disabled: not asked; to check it: understudy accounts check work" in ask("check").words
    assert ask("check", "work").out.startswith("work: works (")


def test_where_none_works_it_is_1(store: AccountStore, ask: Ask) -> None:
    assert ask("check", "old").code == 1
    assert ask("check", "old", "work").code == 0


def test_an_empty_pool_has_nothing_to_check_or_to_refresh(understudy: Understudy) -> None:
    for command in ("check", "refresh"):
        said = understudy("accounts", command)
        assert (said.code, said.out) == (1, "")
        assert "understudy login" in said.err


@pytest.mark.parametrize("command", ["check", "refresh"])
def test_a_token_goes_to_no_address_in_the_clear(understudy: Understudy, command: str) -> None:
    said = understudy("accounts", command, "--set", "codex_backend=http://chatgpt.example/backend-api/codex")
    assert said.code == 2
    assert "in the clear" in said.err


@dataclass(slots=True)
class Backend:
    """A backend that always answers the same, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def backend() -> Iterator[Backend]:
    found = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(found.status)
            for name, value in {**found.fields, "content-length": str(len(found.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def ada(home: Path) -> AccountStore:
    """A pool of one account whose access token is good."""
    store = AccountStore(home)
    store.update(over_accounts(lambda _: (account("ada", expires_at=time.time() + 3600),)))
    return store


def checked(understudy: Understudy, url: str) -> Said:
    return understudy("accounts", "check", "--set", f"codex_backend={url}/backend-api/codex")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, b"<html>Just a moment...</html>", "not known: ChatGPT answered 403, which says nothing of the login"),
        (401, b'{"detail": "Unauthorized"}', "not known: ChatGPT did not take its access token (401)"),
        (402, b'{"detail": {"code": "deactivated_workspace"}}', "deactivated: ChatGPT has deactivated its workspace"),
        (200, b"<html>hotel</html>", "not known: ChatGPT's answer is not the one that was asked for"),
        (500, b"", "not known: ChatGPT answered 500"),
    ],
)
def test_what_is_no_revocation_leaves_the_account_as_it_is(
    understudy: Understudy, ada: AccountStore, status: int, body: bytes, said: str
) -> None:
    before = ada.read()
    with backend() as found:
        found.status, found.body = status, body
        answer = checked(understudy, found.url)
    assert answer.code == 1
    assert f"ada: {said}" in answer.words
    assert ada.read() == before


def test_a_redirect_is_not_followed(understudy: Understudy, ada: AccountStore) -> None:
    with backend() as elsewhere, backend() as found:
        found.status, found.fields = 302, {"location": f"{elsewhere.url}/backend-api/wham/usage"}
        assert "answered 302" in checked(understudy, found.url).words
        assert (found.asked, elsewhere.asked) == (["/backend-api/wham/usage"], [])


def test_a_backend_that_cannot_be_reached_is_told_from_a_dead_login(understudy: Understudy, ada: AccountStore) -> None:
    before = ada.read()
    said = checked(understudy, "http://127.0.0.1:9")
    assert (said.code, said.out) == (1, "ada: not known: ChatGPT cannot be reached (ConnectError)\n")
    assert ada.read() == before


# Refresh


def test_a_refresh_renews_each_token_and_tells_for_how_long(store: AccountStore, sandbox: Sandbox, ask: Ask) -> None:
    said = ask("refresh", "work", "old")
    assert (said.code, said.lines) == (
        0,
        ["work: renewed, good for 9 d 23 h", "old: renewed, good for 9 d 23 h"],
    )
    held = {account.label: account.tokens.access.reveal() for account in store.read().accounts}
    assert held["work"] == sandbox.tokens("work").access
    assert held["old"] == sandbox.tokens("old").access
    assert ask("check", "old").code == 0


def test_one_that_cannot_be_renewed_does_not_stop_the_others(store: AccountStore, home: Path, ask: Ask) -> None:
    store.update(lambda pool: enable(pool, "full", False))
    said = ask("refresh", "--json")
    assert said.code == 1
    assert [(found["label"], found["result"]) for found in said.json["accounts"]] == [
        ("work", "renewed"),
        ("old", "renewed"),
        ("gone", "needs_login"),
    ]
    assert {entry.label: entry.health for entry in QuotaCache(home).read() or ()}["gone"] is Health.NEEDS_LOGIN
    again = ask("refresh", "gone", "full")
    assert "gone: needs a new login: the login has expired. Log in again: understudy login" in again.words
    assert "full: not renewed: it is disabled" in again.words


def test_a_login_server_that_cannot_be_reached_leaves_the_login_as_it_is(
    understudy: Understudy, ada: AccountStore
) -> None:
    tokens = ada.read().accounts[0].tokens
    said = understudy("accounts", "refresh", "--set", "codex_issuer=http://127.0.0.1:9")
    assert said.code == 1
    assert "ada: not renewed: the login server cannot be reached" in said.words
    found = ada.read().accounts[0]
    assert (found.tokens, found.health) == (tokens, Health.OK)
    assert json.dumps(understudy("accounts", "show", "ada", "--json").json["account"]["renewal_trouble"]) != "null"

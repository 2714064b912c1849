"""An API key comes into the pool unseen, is said to cost money, and is treated as what it is by every command."""

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from support.logins import CANARY, access_token, account
from support.proxy import clean_environment
from support.terminal import Understudy
from understudy.oauth.api_key import enrol_key, key_login, read_key
from understudy.pool.account import Account, Block, Lane, Spending
from understudy.pool.health import needs_login
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore

KEY = f"sk-proj-{CANARY}"
NOBODY = ("--set", "codex_issuer=http://127.0.0.1:1", "--set", "codex_backend=http://127.0.0.1:1/backend-api/codex")


def key(label: str = "paid") -> Account:
    """The key as it is in a pool."""
    return enrol_key((), key_login(read_key(KEY)), f"acct_{label}", label, now=1.0).account


@pytest.fixture
def store(home: Path) -> AccountStore:
    """A pool of ada."""
    made = AccountStore(home)
    made.update(over_accounts(lambda _: (account("ada", expires_at=time.time() + 3600),)))
    return made


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """This is what comes from the standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def fill(store: AccountStore, *accounts: Account) -> None:
    store.update(over_accounts(lambda _: accounts))


# Adding one


def test_a_key_from_the_standard_input_becomes_the_last_account_and_is_said_to_cost_money(
    understudy: Understudy, store: AccountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, f"{KEY}\n")
    said = understudy("accounts", "add-api-key", "paid")
    assert (said.code, said.lines[-1]) == (0, "added paid (api key)")
    for words in ("cost money", "last resort", "codex_overflow=on", "codex_overflow_limit requests a day at most (50"):
        assert words in said.words
    assert max(map(len, said.lines)) <= 80
    assert CANARY not in said.out + said.err
    ada, paid = store.read().accounts
    assert (ada.label, paid.label, paid.lane, paid.tokens.access.reveal()) == ("ada", "paid", Lane.PLATFORM, KEY)


def test_the_same_key_again_updates_the_account(understudy: Understudy, store: AccountStore, tmp_path: Path) -> None:
    fill(store, replace(key(), enabled=False), account("ada"))
    path = tmp_path / "key.txt"
    path.write_text(f"  {KEY}\n")
    assert understudy("accounts", "add-api-key", "mine", "--key-file", str(path)).lines[-1] == "updated mine (api key)"
    assert [(one.label, one.enabled) for one in store.read().accounts] == [("mine", True), ("ada", True)]


def test_on_a_terminal_the_key_is_asked_for_and_not_shown(home: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "understudy", "accounts", "add-api-key", "paid"]
    environment = clean_environment(UNDERSTUDY_HOME=str(home))
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        assert process.stderr is not None
        asked = b""
        while not asked.endswith(b": "):
            byte = process.stderr.read(1)
            assert byte, asked
            asked += byte
        os.write(ours, f"{KEY}\n".encode())
        out, err = process.communicate(timeout=30)
        os.set_blocking(ours, False)
        try:
            echoed = os.read(ours, 4096)
        except OSError:  # Nothing at all, and the other end is closed.
            echoed = b""
    finally:
        process.kill()
        os.close(ours)
    assert (process.returncode, asked) == (0, b"API key (it is not shown): ")
    assert CANARY.encode() not in out + err + echoed
    assert AccountStore(home).read().accounts[0].tokens.access.reveal() == KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(access_token(), "that is of a ChatGPT login, and no API key", id="a token"),
        pytest.param(f"{CANARY}\n", "no API key of OpenAI", id="anything"),
        pytest.param("", "there is no key", id="nothing"),
    ],
)
def test_what_is_no_key_changes_nothing_and_is_not_repeated(
    understudy: Understudy, store: AccountStore, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    given(monkeypatch, text)
    found = understudy("accounts", "add-api-key", "paid")
    assert found.code == 1 and said in found.err and "nothing was changed" in found.err
    assert CANARY not in found.out + found.err
    assert store.read().revision == 1


def test_a_key_in_the_place_of_the_label_is_refused_and_not_repeated(understudy: Understudy, home: Path) -> None:
    said = understudy("accounts", "add-api-key", KEY)
    assert (said.code, said.out) == (2, "")
    assert "not the key" in said.err and CANARY not in said.err
    for misplaced in ((KEY,), ("--key", KEY), ("--api-key", KEY)):
        said = understudy("accounts", "add-api-key", "paid", *misplaced)
        assert (said.code, "not the key" in said.err, CANARY in said.err) == (2, True, False)
    assert understudy("accounts", "add-api-key", "two words").code == 2
    assert not home.exists()


def test_a_label_that_is_taken_and_a_file_that_is_not_there_change_nothing(
    understudy: Understudy, store: AccountStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, KEY)
    taken = understudy("accounts", "add-api-key", "ada")
    assert (taken.code, "another account is called ada already" in taken.err) == (1, True)
    missing = understudy("accounts", "add-api-key", "paid", "--key-file", str(tmp_path / "nowhere"))
    assert (missing.code, "cannot read the file with the key: No such file" in missing.err) == (1, True)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    binary = understudy("accounts", "add-api-key", "paid", "--key-file", str(tmp_path / "bytes"))
    assert (binary.code, "there is no key in the file" in binary.err) == (1, True)
    assert store.read().revision == 1


def test_a_pool_that_cannot_be_read_is_said_before_the_key_is_asked_for(
    understudy: Understudy, store: AccountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, KEY)
    store.path.write_bytes(b"torn")
    assert understudy("accounts", "add-api-key", "paid").code == 1
    assert sys.stdin.read() == KEY, "it is still to be read"


# What the other commands make of it


def test_a_key_is_listed_with_what_it_spent_today(understudy: Understudy, store: AccountStore) -> None:
    today = int(time.time() // 86400)
    fill(store, replace(key(), spending=Spending(today, 3)))
    line = understudy("accounts", "list").lines[1]
    assert line.split("  ")[0] == "paid" and "api key" in line and line.endswith("ok, paid: 3 today")
    shown = understudy("accounts", "show", "paid")
    assert "lane           platform: the last resort, where each request costs money" in shown.out
    assert "paid today     3 requests" in shown.lines
    assert "key            it does not expire, and is never renewed" in shown.lines
    assert "access token" not in shown.out and "reserve" not in shown.out and CANARY not in shown.out
    found = understudy("accounts", "show", "paid", "--json").json["account"]
    assert (found["lane"], found["paid_requests_today"], found["access_token_expires_at"]) == ("platform", 3, None)
    fill(store, replace(key(), spending=Spending(today - 1, 50)))
    assert "paid today     no requests" in understudy("accounts", "show", "paid").lines


def test_a_key_that_works_no_more_is_replaced_by_another_and_not_by_a_login(
    understudy: Understudy, store: AccountStore
) -> None:
    fill(store, needs_login(key(), "OpenAI refused the key", 1.0))
    for words in (["list"], ["show", "paid"], ["use", "paid"], ["check", *NOBODY]):
        said = understudy("accounts", *words).words
        assert "Remove it, and add another key: understudy accounts add-api-key LABEL" in said
        assert "understudy login" not in said


def test_nothing_of_a_plan_can_be_reserved(understudy: Understudy, store: AccountStore) -> None:
    fill(store, key())
    said = understudy("accounts", "reserve", "paid", "10")
    assert (said.code, "paid is an API key: it has no limits of a plan" in said.err) == (1, True)


def test_to_pin_a_key_says_what_that_means(understudy: Understudy, store: AccountStore) -> None:
    fill(store, replace(key(), blocks=(Block(time.time() + 900, "rate limit", authoritative=False),)))
    said = understudy("accounts", "use", "paid").words
    assert "costs money" in said and "codex_overflow=on" in said
    assert "It cannot serve now: it is blocked until " in said


def test_chatgpt_and_the_login_server_are_asked_nothing_about_a_key(
    understudy: Understudy, store: AccountStore
) -> None:
    fill(store, key())
    checked = understudy("accounts", "check", *NOBODY)
    assert (checked.code, "paid: not known: an API key has no login to check" in checked.words) == (1, True)
    renewed = understudy("accounts", "refresh", "paid", *NOBODY)
    assert (renewed.code, renewed.out) == (1, "paid: not renewed: an API key has no login to renew\n")
    assert store.read().accounts == (key(),)


def test_a_key_among_logins_is_no_failure_of_a_refresh(understudy: Understudy, store: AccountStore) -> None:
    fill(store, key())
    said = understudy("accounts", "refresh", *NOBODY)
    assert (said.code, said.out) == (0, "")


def test_a_logout_and_a_removal_say_that_the_key_goes_on(understudy: Understudy, store: AccountStore) -> None:
    for words in (["logout", "paid", *NOBODY], ["accounts", "remove", "paid", "--yes"]):
        fill(store, key(), account("ada"))
        said = understudy(*words)
        assert (said.code, said.lines[0]) == (0, "removed paid (api key)")
        assert "good until it is revoked: https://platform.openai.com/api-keys" in said.out
        assert "ChatGPT" not in said.out
        assert [one.label for one in store.read().accounts] == ["ada"]


def test_a_key_is_no_workspace_to_log_in_to(understudy: Understudy, store: AccountStore) -> None:
    fill(store, key())
    said = understudy("login", "--paste", "--workspace", "paid")
    assert (said.code, "paid is an API key" in said.err) == (2, True)


def test_a_key_moves_with_an_export(understudy: Understudy, store: AccountStore, tmp_path: Path) -> None:
    fill(store, key(), account("ada"))
    path = str(tmp_path / "export.json")
    assert understudy("accounts", "export", path).code == 0
    assert CANARY not in understudy("accounts", "export", "--redacted", "-").out
    fill(store, account("ada"))
    said = understudy("accounts", "import", path)
    assert "added paid (api key, from Understudy)" in said.lines
    assert "logs" not in said.out, "nobody is logged out by it"
    assert [(one.label, one.lane) for one in store.read().accounts] == [("ada", Lane.CODEX), ("paid", Lane.PLATFORM)]
    again = understudy("accounts", "import", path, "--json").json["logins"]
    assert [(one["account"]["label"], one["change"]) for one in again] == [("ada", "unchanged"), ("paid", "unchanged")]


def test_a_key_in_another_programs_file_stays_there(
    understudy: Understudy, store: AccountStore, tmp_path: Path
) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"OPENAI_API_KEY": KEY}))
    said = understudy("accounts", "import", str(path))
    assert (said.code, "API key" in said.err, CANARY in said.err) == (1, True, False)
    assert store.read().revision == 1

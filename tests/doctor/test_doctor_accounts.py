"""The doctor on the accounts: whether one could serve, by what is known here, and whose logins they are."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from support.clinic import Clinic
from support.logins import CANARY, account, auth_json, jwt
from understudy.doctor.check import State
from understudy.doctor.clock import judge
from understudy.doctor.machine import LoginFile
from understudy.oauth.api_key import key_login, read_key
from understudy.oauth.imports import read_logins
from understudy.pool.account import Account, Block, Health, Lane
from understudy.pool.edits import pin
from understudy.pool.health import needs_login
from understudy.state.accounts import AccountStore
from understudy.wire.secret import Secret


def ada(clinic: Clinic) -> Account:
    return account("ada", expires_at=clinic.now + 3600)


def bob(clinic: Clinic) -> Account:
    return account("bob", expires_at=clinic.now + 3600)


def test_no_account_is_bad(clinic: Clinic) -> None:
    clinic.set_accounts()
    assert clinic.alone("accounts").command == "understudy login"


def test_all_disabled_is_bad(clinic: Clinic) -> None:
    clinic.set_accounts(replace(ada(clinic), enabled=False))
    assert clinic.alone("accounts").command == "understudy accounts enable ada"


def test_all_in_need_of_a_login_is_bad(clinic: Clinic) -> None:
    clinic.set_accounts(needs_login(ada(clinic), "login revoked", clinic.now), replace(bob(clinic), enabled=False))
    found = clinic.alone("accounts")
    assert (found.said, found.command) == ("every account needs a login: ada (login revoked)", "understudy login")


def test_tokens_that_are_gone_from_the_keychain_are_a_login_that_is_needed(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clinic.home / "accounts.json"
    text = path.read_text()
    begin, end = text.index('"tokens": {') + len('"tokens": '), text.index("}", text.index('"tokens": {')) + 1
    path.write_text(text[:begin] + '{"keychain": "acct_ada-0123456789abcdef"}' + text[end:])
    monkeypatch.setattr("understudy.state.keychain.Keychain.get", lambda self, name: None)
    assert "its tokens are not in this keychain" in clinic.alone("accounts").said


def test_some_in_need_of_a_login_is_a_warning(clinic: Clinic) -> None:
    clinic.set_accounts(ada(clinic), needs_login(bob(clinic), "login revoked", clinic.now))
    assert "bob (login revoked)" in clinic.alone("accounts", State.WARN).said


def test_all_limited_is_a_warning_with_the_first_reset(clinic: Clinic) -> None:
    block = Block(until=clinic.now + 600, reason="usage limit", authoritative=True, since=clinic.now - 1)
    clinic.set_accounts(replace(ada(clinic), blocks=(block,)))
    assert "every account is limited or blocked, the first until" in clinic.alone("accounts", State.WARN).said


def test_a_limit_of_one_of_two_is_well(clinic: Clinic) -> None:
    block = Block(until=clinic.now + 600, reason="usage limit", authoritative=True, since=clinic.now - 1)
    clinic.set_accounts(replace(ada(clinic), blocks=(block,)), bob(clinic))
    clinic.healthy()


def test_a_pin_on_an_account_that_cannot_serve_is_bad(clinic: Clinic) -> None:
    clinic.set_accounts(ada(clinic), replace(bob(clinic), health=Health.NEEDS_LOGIN, health_reason="login revoked"))
    store = AccountStore(clinic.home)
    store.update(partial(pin, name="bob", soft=False))
    found = clinic.alone("accounts")
    assert (found.command, "pinned to bob" in found.said) == ("understudy accounts unpin", True)
    store.update(partial(pin, name="bob", soft=True))
    assert clinic.findings()["accounts"].state is State.WARN


def test_api_keys_alone_are_a_warning(clinic: Clinic) -> None:
    login = key_login(read_key("sk-proj-0123456789abcdef0123456789abcdef"))
    clinic.set_accounts(replace(ada(clinic), lane=Lane.PLATFORM, tokens=login.tokens))
    assert "codex_overflow=on" in clinic.alone("accounts", State.WARN).why


def test_a_login_that_another_program_has_too_is_a_warning_without_the_token(clinic: Clinic) -> None:
    path = Path("/home/ada/.codex/auth.json")
    text = auth_json("ada", expires_at=clinic.now + 3600)
    clinic.login_files.append(LoginFile("Codex", path, read_logins(text.encode())))
    found = clinic.alone("shared logins", State.WARN)
    assert f"ada (Codex, {path})" in found.said
    assert found.command == "understudy login"
    assert CANARY not in repr(found)


def test_another_login_of_the_same_account_is_well(clinic: Clinic) -> None:
    text = auth_json("ada", mark="another", expires_at=clinic.now + 3600)
    clinic.login_files.append(LoginFile("Codex", Path("auth.json"), read_logins(text.encode())))
    clinic.healthy()


@pytest.mark.parametrize(("ahead", "state"), [(30, State.OK), (90, State.BAD)])
def test_a_token_that_was_issued_later_than_now_shows_a_slow_clock(clinic: Clinic, ahead: int, state: State) -> None:
    issued = Secret(jwt({"iat": int(clinic.now + ahead), "exp": int(clinic.now + 3600)}))
    one = ada(clinic)
    clinic.set_accounts(replace(one, tokens=replace(one.tokens, access=issued)))
    if state is State.OK:
        clinic.healthy()
    else:
        assert "s slow: a token is of later than now" in clinic.alone("clock").said


def test_something_that_was_noted_later_than_now_shows_a_clock_that_was_set_back(clinic: Clinic) -> None:
    clinic.set_accounts(replace(ada(clinic), last_used_at=clinic.now + 3600))
    assert "the clock was set back" in clinic.alone("clock", State.WARN).said


def test_where_nothing_was_ever_noted_the_clock_cannot_be_judged() -> None:
    assert judge(1000.0, (), ()).state is State.SKIPPED

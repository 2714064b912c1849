"""Logins are read from the files of other programs as those write them, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.login_files import (
    Object,
    claude,
    codex_accounts,
    codex_multi_auth,
    dump,
    first_pool,
    kyoli_gam,
    oc_codex_multi_auth,
    opencode,
    opencode_entry,
    pool_account,
)
from support.logins import CANARY, NOW, account, auth_json, jwt, login, tokens
from understudy.oauth.enrol import Change, Enrolled
from understudy.oauth.formats.collect import MOST_ACCOUNTS
from understudy.oauth.formats.found import Found, FoundLogin
from understudy.oauth.formats.own import export, redacted
from understudy.oauth.imports import MAX_SIZE, Sharing, read_logins, take_in
from understudy.pool.account import Account
from understudy.pool.health import needs_login
from understudy.wire.secret import Secret

KEY = {"type": "api", "key": f"sk-{CANARY}"}


def names(found: Found) -> list[str]:
    """The accounts that were found, by ChatGPT's ids."""
    return [one.login.claims.account_id for one in found.logins]


@pytest.mark.parametrize(
    ("text", "program", "accounts"),
    [
        pytest.param(auth_json("ada").encode(), "Codex", ["ws-ada"], id="Codex"),
        pytest.param(opencode(), "OpenCode", ["ws-ada"], id="OpenCode"),
        pytest.param(
            opencode(openai=opencode_entry(accountId=None, enterpriseUrl="x")),
            "OpenCode",
            ["ws-ada"],
            id="old OpenCode",
        ),
        pytest.param(
            codex_accounts([opencode_entry("ada", email="ada@example.com")], [opencode_entry("bob")]),
            "opencode-codex-auth",
            ["ws-ada", "ws-bob"],
            id="opencode-codex-auth",
        ),
        pytest.param(
            dump({"openai": {"type": "oauth", "accounts": [opencode_entry("ada"), opencode_entry("bob")]}}),
            "opencode-codex-auth",
            ["ws-ada", "ws-bob"],
            id="opencode-codex-auth before it had domains",
        ),
        pytest.param(
            oc_codex_multi_auth(pool_account("ada"), pool_account("bob")),
            "oc-codex-multi-auth",
            ["ws-ada", "ws-bob"],
            id="oc-codex-multi-auth",
        ),
        pytest.param(
            codex_multi_auth(pool_account("ada", recordId="r1"), pool_account("bob")),
            "codex-multi-auth",
            ["ws-ada", "ws-bob"],
            id="codex-multi-auth",
        ),
        pytest.param(
            first_pool(pool_account("ada", rateLimitResetTime=1)),
            "oc-codex-multi-auth or codex-multi-auth",
            ["ws-ada"],
            id="first version of both",
        ),
        pytest.param(
            dump({"accounts": [pool_account("ada")]}),
            "oc-codex-multi-auth or codex-multi-auth",
            ["ws-ada"],
            id="no version",
        ),
        pytest.param(
            kyoli_gam(pool_account("ada"), pool_account("bob")), "kyoli-gam", ["ws-ada", "ws-bob"], id="kyoli-gam"
        ),
        pytest.param(claude(), "codex-oauth", ["ws-ada"], id="codex-oauth"),
        pytest.param(
            export([account("ada"), account("bob")], NOW), "Understudy", ["ws-ada", "ws-bob"], id="Understudy"
        ),
    ],
)
def test_each_program_is_known_by_the_structure_of_its_file(text: bytes, program: str, accounts: list[str]) -> None:
    found = read_logins(text)
    assert (found.program, names(found)) == (program, accounts)
    first = found.logins[0].login
    assert first.tokens == replace(tokens("ada"), id_token=first.tokens.id_token)
    assert first.claims.user_id == "user-ada" and first.claims.plan == "plus"


def test_an_empty_pool_has_no_logins() -> None:
    assert read_logins(oc_codex_multi_auth()).logins == ()


OPAQUE = f"{CANARY}-opaque"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(opencode(openai=opencode_entry(access=OPAQUE)), id="milliseconds"),
        pytest.param(oc_codex_multi_auth(pool_account(accessToken=OPAQUE)), id="milliseconds in a pool"),
        pytest.param(claude(access_token=OPAQUE, id_token=jwt({}), account_id="ws-ada"), id="seconds"),
    ],
)
def test_what_the_tokens_do_not_say_is_taken_from_beside_them(text: bytes) -> None:
    (found,) = read_logins(text).logins
    assert found.login.tokens.expires_at == NOW + 3600
    assert found.login.claims.account_id == "ws-ada"


@pytest.mark.parametrize("expires", [0, -1, None, "soon", 1e300, True, [1]])
def test_a_token_whose_end_nothing_says_is_refreshed_before_it_is_used(expires: object) -> None:
    (found,) = read_logins(opencode(openai=opencode_entry(access=OPAQUE, expires=expires))).logins
    assert found.login.tokens.expires_at == 0.0


def test_what_the_user_noted_there_is_kept() -> None:
    said: Object = {
        "accountLabel": "Work (EU)",
        "accountTags": ["Team A", "team-a", 7, ""],
        "accountNote": " till\x1b May ",
    }
    (found,) = read_logins(oc_codex_multi_auth(pool_account("ada", enabled=False, **said))).logins
    assert (found.label, found.tags, found.note, found.enabled) == ("Work-EU", ("team-a",), "till May", False)


@pytest.mark.parametrize("label", ["ada@example.com", "acct_1", "()", "", 7, None, "\x1b\u202e"])
def test_what_cannot_be_a_label_is_left_to_us(label: object) -> None:
    (found,) = read_logins(kyoli_gam(pool_account(label=label))).logins
    assert found.label == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(opencode(openai=KEY), "openai: an API key", id="OpenCode's API key"),
        pytest.param(opencode(openai=opencode_entry(access="")), "account 1: it has no access token", id="no access"),
        pytest.param(opencode(), "logins of other services: 1", id="other services"),
        pytest.param(dump({"openai_api_key": f"sk-{CANARY}", "auth_method": "api_key"}), "API key", id="plugin's key"),
        pytest.param(dump({"openai_codex": None}), "account 1: it is not an object", id="plugin's nothing"),
        pytest.param(
            kyoli_gam(pool_account(), pool_account("bob", refreshToken="")),
            "account 2 (b***@example.com): it has no refresh token",
            id="no refresh token",
        ),
        pytest.param(
            codex_multi_auth(pool_account(refreshToken=f"{CANARY}\r\n")), "refresh token cannot be", id="CRLF"
        ),
        pytest.param(codex_multi_auth(pool_account(accessToken={"x": CANARY})), "access token cannot be", id="object"),
        pytest.param(
            kyoli_gam(pool_account(refreshToken=f"sk-ant-ort01-{CANARY}", accessToken=f"sk-ant-oat01-{CANARY}")),
            "another service",
            id="Anthropic",
        ),
        pytest.param(
            kyoli_gam(pool_account(accessToken=OPAQUE, accountId=None)), "which ChatGPT account", id="no account"
        ),
        pytest.param(
            kyoli_gam(pool_account(accessToken=OPAQUE, accountId="a\r\nb")), "which ChatGPT account", id="bad account"
        ),
        pytest.param(first_pool(pool_account(flaggedAt=1)), "no longer works", id="flagged"),
        pytest.param(codex_multi_auth(pool_account(authInvalidatedAt=1)), "no longer works", id="invalidated"),
        pytest.param(kyoli_gam(pool_account(isAuthDisabled=True)), "no longer works", id="given up"),
    ],
)
def test_what_is_no_login_for_us_is_left_out_with_the_reason(text: bytes, said: str) -> None:
    (reason,) = [reason for reason in read_logins(text).left_out if said in reason]
    assert CANARY not in reason and "eyJ" not in reason


def test_an_account_that_no_longer_works_is_exported_but_not_imported() -> None:
    found = read_logins(export([needs_login(account("ada"), "ended", NOW), account("bob")], NOW))
    assert names(found) == ["ws-bob"]
    assert "no longer works" in found.left_out[0]


def sharing(*accounts: Object) -> Found:
    """Records of several workspaces that one login was written down for."""
    shared = {"refreshToken": tokens("ada").refresh.reveal(), "accessToken": tokens("ada").access.reveal()}
    return read_logins(oc_codex_multi_auth(*({**account, **shared} for account in accounts)))


def test_a_login_that_several_workspaces_share_serves_the_one_that_its_tokens_name() -> None:
    found = sharing(pool_account("bob", accountLabel="bobs"), pool_account("ada", accountLabel="adas"))
    assert [(one.login.claims.account_id, one.label) for one in found.logins] == [("ws-ada", "adas")]
    (reason,) = found.left_out
    assert reason.startswith("account 1: it shares the login of account 2") and "understudy login" in reason


def test_what_another_workspace_is_called_is_not_for_the_one_that_the_tokens_name() -> None:
    found = sharing(pool_account("bob", accountLabel="bobs", accountNote="bobs"))
    assert [(names(found), found.logins[0].label, found.logins[0].note)] == [(["ws-ada"], "", "")]


def test_of_two_logins_of_one_account_the_newer_counts() -> None:
    newer = tokens("ada", expires_at=NOW + 7200, mark="newer")
    later = opencode_entry("ada", access=newer.access.reveal(), refresh=newer.refresh.reveal())
    found = read_logins(codex_accounts([opencode_entry("ada")], [later]))
    assert [one.login.tokens.refresh for one in found.logins] == [newer.refresh]
    assert found.left_out == ("account 1: it is account 2 once more",)


def test_seats_of_one_workspace_are_accounts_of_their_own() -> None:
    seats = [
        pool_account(name, accessToken=jwt({"https://api.openai.com/auth": {"chatgpt_user_id": name}}), accountId="ws")
        for name in ("ada", "bob")
    ]
    assert [one.login.claims.user_id for one in read_logins(oc_codex_multi_auth(*seats)).logins] == ["ada", "bob"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(auth_json()[:200].encode(), "not JSON", id="torn"),
        pytest.param(b"\xff\xfe", "not JSON", id="not text"),
        pytest.param(b"[" * 100_000, "not JSON", id="deep"),
        pytest.param(b'{"a":' * 100_000, "not JSON", id="deep objects"),
        pytest.param(b'{"expires": ' + b"9" * 100_000 + b"}", "not JSON", id="huge number"),
        pytest.param(b'{"expires": NaN}', "not JSON", id="NaN"),
        pytest.param(b"SQLite format 3\0...", "database", id="database"),
        pytest.param(b" " * (MAX_SIZE + 1), "too large", id="huge"),
        pytest.param(b"[]", "not a login file", id="array"),
        pytest.param(b"{}", "not a login file", id="nothing"),
        pytest.param(dump({"version": 1, "accounts": [{"iban": CANARY}]}), "not a login file", id="other accounts"),
        pytest.param(dump({"version": 2, "revision": 3, "accounts": [{"id": "acct_1"}]}), "a pool itself", id="pool"),
        pytest.param(oc_codex_multi_auth(pool_account(), version=2), "not known", id="the version never described"),
        pytest.param(codex_multi_auth(pool_account(), version=4), "not known", id="a newer version"),
        pytest.param(codex_multi_auth(pool_account(), version=CANARY), "not known", id="no version"),
        pytest.param(
            first_pool(*[pool_account()] * (MOST_ACCOUNTS + 1)), f"more than {MOST_ACCOUNTS}", id="too many accounts"
        ),
        pytest.param(dump({"OPENAI_API_KEY": f"sk-{CANARY}", "auth_mode": "apikey"}), "API key", id="Codex's API key"),
        pytest.param(redacted([account()], NOW), "redacted", id="redacted export"),
        pytest.param(dump({"understudy_export": 2}), "another version", id="export of the future"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words_that_help_and_show_nothing(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read_logins(text)
    assert CANARY not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = [
    json.loads(text)
    for text in (
        auth_json(),
        opencode(),
        codex_accounts([opencode_entry()], [opencode_entry("bob")]),
        oc_codex_multi_auth(pool_account(accountTags=["a"], accountNote="b")),
        kyoli_gam(pool_account()),
        claude(),
        export([account()], NOW),
    )
]


def places(document: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value within a document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    return [at, *(place for key, value in inner for place in places(value, (*at, key)))]


def with_value(document: object, place: tuple[str | int, ...], value: object) -> object:
    if not place:
        return value
    first, *rest = place
    changed = dict(document) if isinstance(document, dict) else list(document)  # type: ignore[call-overload]
    changed[first] = with_value(changed[first], tuple(rest), value)
    return changed


@given(st.data(), ANYTHING)
def test_whatever_stands_in_a_file_it_is_read_or_refused_and_never_shown(data: st.DataObject, value: object) -> None:
    document = data.draw(st.sampled_from(DOCUMENTS))
    place = data.draw(st.sampled_from(places(document)))
    try:
        found = read_logins(dump(with_value(document, place, value)))
    except ValueError as error:
        said = str(error)
    else:
        said = f"{found!r}"
    assert CANARY not in said and "eyJ" not in said and "ada@" not in said


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_logins(data)


FOUND = FoundLogin(login("ada"), label="work", tags=("team",), note="till May", enabled=False)


def taken(accounts: tuple[Account, ...], found: FoundLogin, label: str | None = None) -> Enrolled:
    """What became of a login that could be taken in."""
    enrolled = take_in(accounts, found, "acct_1", label, now=NOW)
    assert isinstance(enrolled, Enrolled)
    return enrolled


def test_a_new_account_comes_with_what_its_program_said_of_it() -> None:
    enrolled = taken((), FOUND)
    new = enrolled.accounts[0]
    assert (enrolled.change, enrolled.account) == (Change.ADDED, new)
    assert (new.label, new.tags, new.note, new.enabled) == ("work", ("team",), "till May", False)


def test_the_users_label_goes_before_the_programs_and_a_taken_one_is_not_used() -> None:
    assert taken((), FOUND, "home").account.label == "home"
    bob = replace(account("bob"), label="Work")
    assert taken((bob,), FOUND).account.label == "plus-ada"


def test_an_account_that_is_there_keeps_what_the_user_said_of_it() -> None:
    there = replace(account("ada"), tags=("mine",), note="mine")
    newer = replace(FOUND, login=login("ada", expires_at=NOW + 7200, mark="newer"))
    enrolled = taken((there,), newer)
    kept = enrolled.account
    assert (enrolled.change, kept.label, kept.tags, kept.note, kept.enabled) == (
        *(Change.UPDATED, "ada", ("mine",), "mine", True),
    )


def test_a_disabled_account_stays_disabled() -> None:
    there = replace(account("ada"), enabled=False)
    newer = FoundLogin(login("ada", expires_at=NOW + 7200, mark="newer"))
    assert not taken((there,), newer).account.enabled


def test_a_login_that_another_account_of_the_pool_has_is_not_shared_with_it() -> None:
    bob = replace(account("bob"), tokens=FOUND.login.tokens)
    assert take_in((bob,), FOUND, "acct_1", now=NOW) == Sharing(
        "account ws-ada: it shares the login of bob, and a login serves one account; "
        "log in with `understudy login` to give it its own"
    )


def test_a_login_without_its_id_token_is_the_same_login() -> None:
    there = account("ada")
    bare = FoundLogin(replace(login("ada"), tokens=replace(there.tokens, id_token=Secret(""))))
    assert (taken((there,), bare).change, taken((there,), bare).account) == (Change.UNCHANGED, there)


def test_a_found_login_does_not_show_itself() -> None:
    shown = repr(read_logins(opencode()))
    assert CANARY not in shown and "ada@" not in shown


def test_a_refresh_token_is_kept_to_the_letter() -> None:
    (found,) = read_logins(claude(refresh_token="rt_1.-~!")).logins
    assert found.login.tokens.refresh == Secret("rt_1.-~!")

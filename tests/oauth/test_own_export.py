"""An export brings accounts elsewhere as they are; a redacted one shows how they stand, and not whose they are."""

import json
from dataclasses import replace
from typing import Any

import pytest

from support.logins import CANARY, NOW, account
from understudy.oauth.api_key import enrol_key, is_key, key_login, read_key, take_key
from understudy.oauth.enrol import Enrolled
from understudy.oauth.formats.own import export, pseudonym, redacted
from understudy.oauth.imports import read_logins, take_in
from understudy.pool.account import Account, Block
from understudy.pool.health import needs_login

ADA = replace(
    *(account("ada"),),
    tags=("team", "eu"),
    note=f"till May {CANARY}",
    enabled=False,
    blocks=(Block(NOW, "usage limit", True),),
)


KEY = f"sk-{CANARY}"


def key(text: str = KEY, label: str = "paid") -> Account:
    """An API key in the pool."""
    enrolled = enrol_key((), key_login(read_key(text)), f"acct_{label}", label, now=NOW)
    return replace(enrolled.account, tags=("spare",), note="for the night", enabled=False)


def imported(text: bytes) -> list[Account]:
    """The pool that comes of an export that is put into an empty one."""
    accounts: tuple[Account, ...] = ()
    for number, found in enumerate(read_logins(text).logins):
        take = take_key if is_key(found.login) else take_in
        enrolled = take(accounts, found, f"acct_new{number}", now=NOW)
        assert isinstance(enrolled, Enrolled)
        accounts = enrolled.accounts
    return list(accounts)


def shown(accounts: list[Account]) -> Any:
    return json.loads(redacted(accounts, NOW))


def test_what_is_exported_is_imported_as_it_was() -> None:
    bob = account("bob")
    assert imported(export([ADA, bob], NOW)) == [
        replace(ADA, id="acct_new0", blocks=(), added_at=NOW),
        replace(bob, id="acct_new1", added_at=NOW),
    ]


def test_an_account_whose_tokens_say_nothing_is_still_the_same_account() -> None:
    opaque = replace(ADA.tokens, access=ADA.tokens.refresh, id_token=ADA.tokens.refresh)
    (again,) = imported(export([replace(ADA, tokens=opaque)], NOW))
    assert (again.account_id, again.user_id, again.email, again.plan) == (
        "ws-ada",
        "user-ada",
        "ada@example.com",
        "plus",
    )
    assert again.tokens == opaque


def test_an_export_says_what_it_is_and_of_when() -> None:
    document = json.loads(export([], NOW))
    assert document == {"understudy_export": 1, "redacted": False, "exported_at": NOW, "accounts": []}


def test_a_redacted_export_tells_how_an_account_stands_and_not_whose_it_is() -> None:
    text = redacted([needs_login(ADA, "the login has expired", NOW)], NOW).decode()
    for secret in (CANARY, "eyJ", "ada@", "ws-ada", "user-ada", "till May"):
        assert secret not in text
    (one,) = json.loads(text)["accounts"]
    assert one["email"] == "a***@example.com"
    assert (one["label"], one["enabled"], one["health"]) == ("ada", False, "needs_login")
    assert (one["blocked_until"], one["block_reason"]) == (NOW, "usage limit")
    assert one["tokens"] == {"expires_at": NOW + 3600}


def test_who_is_the_same_can_be_seen_and_who_that_is_cannot() -> None:
    first, second = shown([ADA, replace(account("bob"), account_id="ws-ada")])["accounts"]
    assert first["account_id"] == second["account_id"] == pseudonym("ws-ada")
    assert first["user_id"] != second["user_id"]
    assert pseudonym("") == ""


def test_an_api_key_is_exported_and_comes_last_when_it_is_imported() -> None:
    paid, other = key(), key(f"{KEY}-2", "other")
    text = export([paid, account("ada"), replace(other, enabled=True)], NOW)
    ada, *keys = imported(text)
    assert ada.label == "ada"
    assert keys == [replace(paid, id="acct_new1"), replace(other, id="acct_new2", enabled=True)]


def test_a_redacted_export_hides_the_key_and_whose_it_is() -> None:
    text = redacted([key()], NOW).decode()
    assert CANARY not in text and key().account_id not in text
    (one,) = json.loads(text)["accounts"]
    assert (one["lane"], one["label"], one["plan"], list(one["tokens"])) == (
        "platform",
        "paid",
        "api key",
        ["expires_at"],
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"tokens": {"access": "eyJ.a.b"}}, "ChatGPT login", id="a token"),
        pytest.param({"tokens": {"access": 7}}, "there is no key", id="no text"),
        pytest.param({"tokens": None}, "there is no key", id="nothing"),
        pytest.param({"health": "needs_login"}, "it no longer works, says the file", id="dead"),
    ],
)
def test_what_is_no_key_that_works_is_left_out_with_a_reason(change: dict[str, object], reason: str) -> None:
    document = json.loads(export([account("ada"), key()], NOW))
    document["accounts"][1] |= change
    found = read_logins(json.dumps(document).encode())
    assert len(found.logins) == 1
    (left_out,) = found.left_out
    assert left_out.startswith("API key 1: ") and reason in left_out and CANARY not in left_out


def test_which_account_a_key_is_follows_from_the_key_and_not_from_the_file() -> None:
    document = json.loads(export([key()], NOW))
    document["accounts"][0] |= {"account_id": "ws-ada", "plan": "pro", "tags": ["x", 7, "two words"], "note": 7}
    (again,) = imported(json.dumps(document).encode())
    assert (again.account_id, again.plan, again.tags, again.note) == (key().account_id, "api key", ("x",), "")

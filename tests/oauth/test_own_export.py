"""An export brings accounts elsewhere as they are; a redacted one shows how they stand, and not whose they are."""

import json
from dataclasses import replace
from typing import Any

from support.logins import CANARY, NOW, account
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
    block=Block(NOW, "usage limit", True),
)


def imported(text: bytes) -> list[Account]:
    """The pool that comes of an export that is put into an empty one."""
    accounts: tuple[Account, ...] = ()
    for number, found in enumerate(read_logins(text).logins):
        enrolled = take_in(accounts, found, f"acct_new{number}", now=NOW)
        assert isinstance(enrolled, Enrolled)
        accounts = enrolled.accounts
    return list(accounts)


def shown(accounts: list[Account]) -> Any:
    return json.loads(redacted(accounts, NOW))


def test_what_is_exported_is_imported_as_it_was() -> None:
    bob = account("bob")
    assert imported(export([ADA, bob], NOW)) == [
        replace(ADA, id="acct_new0", block=None, added_at=NOW),
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

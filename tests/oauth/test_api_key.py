"""An API key is an account by itself: known by its hash, last in the pool, and never mistaken for a login."""

from dataclasses import replace

import pytest

from support.logins import CANARY, NOW, access_token, account, tokens
from understudy.oauth.api_key import enrol_key, key_login, read_key, take_key
from understudy.oauth.enrol import Change, Enrolled
from understudy.oauth.formats.found import FoundLogin
from understudy.pool.account import Account, Health, Lane
from understudy.pool.due import due
from understudy.pool.health import needs_login
from understudy.state.schema import NO_TOKENS
from understudy.wire.numbers import END_OF_TIME

KEY = f"sk-proj-{CANARY}"


def added(accounts: tuple[Account, ...] = (), text: str = KEY, label: str = "paid") -> Enrolled:
    return enrol_key(accounts, key_login(read_key(text)), f"acct_{label.casefold()}", label, now=NOW, fresh=True)


def test_a_key_is_taken_as_it_is_but_for_the_space_around_it() -> None:
    assert read_key(f" {KEY}\r\n").reveal() == KEY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "there is no key", id="nothing"),
        pytest.param(" \n", "there is no key", id="space"),
        pytest.param(access_token(), "understudy login", id="an access token"),
        pytest.param(tokens().refresh.reveal(), "understudy login", id="a refresh token"),
        pytest.param(f"sk-ant-{CANARY}", "another service", id="a key of another service"),
        pytest.param(f"sk-{CANARY} {CANARY}", "begin with sk-", id="spaces"),
        pytest.param(f"sk-{CANARY}\x1b[2J", "begin with sk-", id="a terminal's command"),
        pytest.param(f"sk-ä{CANARY}", "begin with sk-", id="letters that no key has"),
        pytest.param(f"sk-{'x' * 20_000}", "begin with sk-", id="no end"),
        pytest.param(CANARY, "begin with sk-", id="anything"),
    ],
)
def test_what_is_no_key_is_refused_in_words_without_it(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_key(text)
    assert CANARY not in str(caught.value)


def test_a_new_key_comes_last_and_has_all_that_an_account_has() -> None:
    ada = account("ada")
    result = added((ada,))
    assert result.change is Change.ADDED
    assert result.accounts == (ada, result.account)
    assert (result.account.id, result.account.label, result.account.plan) == ("acct_paid", "paid", "api key")
    assert (result.account.lane, result.account.enabled, result.account.added_at) == (Lane.PLATFORM, True, NOW)
    assert CANARY not in repr(result.account)


def test_the_same_key_is_the_same_account_and_another_is_another() -> None:
    first = added()
    stopped = replace(first.account, enabled=False, health=Health.NEEDS_LOGIN, health_reason="refused")
    again = added((stopped, account("ada")), label="renamed")
    assert (again.change, [one.label for one in again.accounts]) == (Change.UPDATED, ["renamed", "ada"])
    assert (again.account.enabled, again.account.health) == (True, Health.OK)
    other = added(first.accounts, f"{KEY}-2", "other")
    assert len({one.account_id for one in other.accounts}) == 2
    assert all(len(one.account_id) == len("platform-") + 12 for one in other.accounts)


def test_a_label_that_means_another_account_is_refused() -> None:
    with pytest.raises(ValueError, match="another account is called ADA"):
        added((account("ada"),), label="ADA")


def test_a_key_does_not_end_and_is_never_due() -> None:
    key = added().account
    assert key.tokens.expires_at == END_OF_TIME - 1
    assert due((key,), NOW) == due((key,), END_OF_TIME - 400) == ()
    assert due((needs_login(replace(key, tokens=NO_TOKENS), "gone", NOW),), NOW) == ()


def test_of_a_file_the_label_the_tags_and_the_rest_count_for_a_new_key_alone() -> None:
    found = FoundLogin(key_login(read_key(KEY)), "spare", ("x",), "for the night", enabled=False)
    new = take_key((account("ada"),), found, "acct_new", now=NOW)
    assert (new.account.label, new.account.tags, new.account.note, new.account.enabled) == (
        "spare",
        ("x",),
        "for the night",
        False,
    )
    known = added(label="paid")
    again = take_key(known.accounts, found, "acct_new", now=NOW)
    assert (again.change, again.accounts) == (Change.UNCHANGED, known.accounts)


def test_a_label_of_a_file_that_is_taken_gives_way_and_the_users_own_does_not() -> None:
    found = FoundLogin(key_login(read_key(KEY)), "ada")
    assert take_key((account("ada"),), found, "acct_new", now=NOW).account.label == "api"
    assert take_key((account("ada"),), found, "acct_new", "mine", now=NOW).account.label == "mine"


def test_a_key_whose_entry_in_the_keychain_is_gone_is_put_right_by_the_file() -> None:
    lost = needs_login(replace(added().account, tokens=NO_TOKENS), "gone", NOW)
    found = FoundLogin(key_login(read_key(KEY)))
    again = take_key((lost,), found, "acct_new", now=NOW)
    assert (again.change, again.account.health, again.account.tokens) == (
        Change.UPDATED,
        Health.OK,
        key_login(read_key(KEY)).tokens,
    )

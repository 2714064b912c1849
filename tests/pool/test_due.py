"""Refreshed ahead of time are accounts that can serve, whose token ends soon, and that need not wait."""

from dataclasses import replace

from support.logins import NOW, account
from understudy.pool.account import Account
from understudy.pool.due import due
from understudy.pool.health import needs_login
from understudy.pool.refreshes import failed, sending


def ending(name: str, left: float) -> Account:
    return account(name, expires_at=NOW + left)


def test_an_account_is_due_when_less_than_five_minutes_of_its_token_are_left() -> None:
    soon, later = ending("soon", 299), ending("later", 300)
    assert due((later, soon), NOW) == (soon,)


def test_one_whose_token_has_expired_is_due_and_what_ends_first_comes_first() -> None:
    soon, sooner, over = ending("soon", 200), ending("sooner", 100), ending("over", -86400)
    assert due((soon, sooner, over), NOW) == (over, sooner, soon)


def test_an_account_that_is_disabled_or_needs_a_login_is_left_alone() -> None:
    disabled = replace(ending("disabled", 100), enabled=False)
    dead = needs_login(ending("dead", 100), "the login has expired", NOW)
    assert due((disabled, dead), NOW) == ()


def test_an_account_that_has_to_wait_is_not_due_before_its_time() -> None:
    soon = ending("soon", 200)
    busy = replace(soon, refreshes=sending(soon.refreshes, NOW))
    troubled = replace(soon, refreshes=failed(soon.refreshes, "the login server answered 503", NOW))
    assert due((busy, troubled), NOW + 29) == ()
    assert due((busy, troubled), NOW + 30) == (troubled,)
    assert due((busy, troubled), NOW + 60) == (busy, troubled)

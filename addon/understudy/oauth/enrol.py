"""Puts a login into the pool: as the account it belongs to, or as a new one."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from understudy.oauth.claims import Claims
from understudy.oauth.codex_auth import Login
from understudy.pool.account import Account, Health
from understudy.pool.health import renewed

_LABEL = re.compile(r"(?!acct_)[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class Change(Enum):
    """What a login meant to the pool."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """The pool's own tokens are newer: the login's refresh token is spent, and would have cost us the account."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The pool after a login was put into it, the account it became, and what that changed."""

    accounts: tuple[Account, ...]
    account: Account
    change: Change


def is_label(text: str) -> bool:
    """Whether `text` may be a label: up to 32 of ASCII letters, digits, `.`, `_` and `-`, and nothing like our ids."""
    return _LABEL.fullmatch(text) is not None


def enrol(accounts: tuple[Account, ...], login: Login, new_id: str, label: str | None = None) -> Enrolled:
    """`accounts` with `login` in it. `new_id`: the id that a new account gets; `label`: what the user wants it called.

    An account is its (account id, user id), or (account id, e-mail) where a user id is not known, or its account id
    alone where the tokens say nothing else. One that is there
    keeps its id, place and label; a disabled one stays disabled. Raises ValueError, in words for the user, where the
    label is not to be had.
    """
    known = next((account for account in accounts if _is_same(account, login.claims)), None)
    if label is not None:
        _check_label(label, [account for account in accounts if account is not known])
    if known is None:
        account = _with_claims(_new(accounts, login, new_id, label), login.claims)
        return Enrolled((*accounts, account), account, Change.ADDED)
    change = _change(known, login)
    account = known if label is None else replace(known, label=label)
    if change is Change.UPDATED:
        account = _with_claims(renewed(account, login.tokens), login.claims)
    return Enrolled(tuple(account if a is known else a for a in accounts), account, change)


def _change(known: Account, login: Login) -> Change:
    if known.tokens == login.tokens:
        return Change.UNCHANGED
    # Tokens rotate, and a later access token ends later: what ends before ours was given out before ours.
    older = login.tokens.expires_at < known.tokens.expires_at
    return Change.KEPT if older and known.health is Health.OK else Change.UPDATED


def _is_same(account: Account, claims: Claims) -> bool:
    if account.account_id != claims.account_id:
        return False
    if account.user_id and claims.user_id:
        return account.user_id == claims.user_id
    # Tokens that name neither user nor e-mail are told apart by the workspace alone.
    return _folded(account.email) == _folded(claims.email) and (bool(claims.email) or not account.user_id)


def _folded(email: str) -> str:
    return email.strip().casefold()


def _with_claims(account: Account, claims: Claims) -> Account:
    return replace(
        account,
        user_id=claims.user_id or account.user_id,
        email=claims.email or account.email,
        plan=claims.plan or account.plan,
        fedramp=claims.fedramp,
    )


def _new(accounts: Collection[Account], login: Login, new_id: str, label: str | None) -> Account:
    claims = login.claims
    return Account(
        id=new_id,
        label=label or _free_label(claims, accounts),
        account_id=claims.account_id,
        user_id=claims.user_id,
        tokens=login.tokens,
    )


def _free_label(claims: Claims, accounts: Collection[Account]) -> str:
    """`plus-ada` of a Plus account of `ada@example.com`, `plus-ada-2` where that is taken.

    Three letters of the address: a label comes to stand in logs and in what hosts are told.
    """
    plan = re.split(r"[^a-z0-9]", claims.plan)[0][:10]
    name = re.sub(r"[^a-z0-9]", "", claims.email.partition("@")[0].casefold())[:3]
    base = "-".join(part for part in (plan, name) if part) or "account"
    taken = _taken(accounts)
    return next(label for n in range(1, len(taken) + 2) if (label := base if n == 1 else f"{base}-{n}") not in taken)


def _check_label(label: str, others: Collection[Account]) -> None:
    if not is_label(label):
        raise ValueError(f"not a label: {label!r} (up to 32 letters, digits, '.', '_' and '-')")
    if label.casefold() in _taken(others):
        raise ValueError(f"another account is called {label} already; choose another label")


def _taken(accounts: Collection[Account]) -> set[str]:
    """What a label must not read like: the labels of others, and ids that would mean another account."""
    return {name.casefold() for account in accounts for name in (account.label, account.id, account.account_id)}

"""Puts a login into the pool: as the account it belongs to, or as a new one."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from understudy.oauth.claims import Claims, hints
from understudy.oauth.codex_auth import Login
from understudy.pool.account import Account, Health, Tokens
from understudy.pool.health import renewed
from understudy.pool.identity import is_same
from understudy.pool.labels import check_label, taken


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


def enrol(
    accounts: tuple[Account, ...],
    login: Login,
    new_id: str,
    label: str | None = None,
    *,
    now: float,
    fresh: bool = False,
) -> Enrolled:
    """`accounts` with `login` in it. `new_id`: the id that a new account gets; `label`: what the user wants it called;
    `now`: epoch seconds; `fresh`: the user has just logged in, which also enables the account again.

    An account is its (account id, user id), or (account id, e-mail) where a user id is not known, or its account id
    alone where the tokens say nothing else. One that is there keeps its id, place and label; without `fresh` a
    disabled one stays disabled. Raises ValueError, in words for the user, where the label is not to be had.
    """
    known = next((account for account in accounts if is_same(account, login.claims)), None)
    if label is not None:
        check_label(label, [account for account in accounts if account is not known])
    if known is None:
        account = _with_claims(replace(_new(accounts, login, new_id, label), added_at=now), login.claims)
        return Enrolled((*accounts, account), account, Change.ADDED)
    change = Change.UPDATED if fresh else _change(known, login)
    account = replace(known, label=label or known.label, enabled=known.enabled or fresh)
    if change is Change.UPDATED:
        account = _with_claims(renewed(account, login.tokens, now), login.claims)
    return Enrolled(tuple(account if a is known else a for a in accounts), account, change)


def _change(known: Account, login: Login) -> Change:
    # Not every program keeps the id token, which says nothing that we do not know by then.
    if (known.tokens.access, known.tokens.refresh) == (login.tokens.access, login.tokens.refresh):
        return Change.UNCHANGED
    older = not _is_later(login.tokens, known.tokens)
    return Change.KEPT if older and known.health is Health.OK else Change.UPDATED


def _is_later(given: Tokens, ours: Tokens) -> bool:
    """Whether `given` were given out after `ours`. Tokens rotate: of two in one second ours may well be the later."""
    issued, ours_issued = hints(given.access).issued_at, hints(ours.access).issued_at
    if issued is not None and ours_issued is not None:
        return issued > ours_issued
    # Of equal lives the later one ends later.
    return given.expires_at > ours.expires_at


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
    used = taken(accounts)
    return next(label for n in range(1, len(used) + 2) if (label := base if n == 1 else f"{base}-{n}") not in used)

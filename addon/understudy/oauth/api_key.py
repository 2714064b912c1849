"""An API key of the OpenAI Platform as an account of the pool: nothing of it is ever renewed, and every use is paid."""

import hashlib
from dataclasses import replace

from understudy.oauth.claims import Claims
from understudy.oauth.codex_auth import Login
from understudy.oauth.enrol import Change, Enrolled, enrol
from understudy.oauth.formats.found import FoundLogin
from understudy.pool.account import Account, Lane, Tokens
from understudy.pool.labels import taken
from understudy.wire.numbers import END_OF_TIME
from understudy.wire.secret import Secret
from understudy.wire.text import is_token

PLAN = "api key"
_OF_LOGINS = ("eyJ", "rt_")
"""How ChatGPT's tokens begin."""
_OF_OTHERS = ("sk-ant-", "sk-or-")


def read_key(text: str) -> Secret:
    """The key in what the user has given. Raises ValueError, in words for the user that hold nothing of it."""
    key = text.strip()
    if not key:
        raise ValueError("there is no key")
    if key.startswith(_OF_LOGINS):
        raise ValueError("that is of a ChatGPT login, and no API key; to add a ChatGPT account: understudy login")
    if key.startswith(_OF_OTHERS):
        raise ValueError("that is a key of another service than OpenAI")
    if not key.startswith("sk-") or not is_token(key):
        raise ValueError("that is no API key of OpenAI: those begin with sk- and have no spaces")
    return Secret(key)


def key_login(key: Secret) -> Login:
    """The key in the place of a login. The same key is the same account: `platform-` and 12 hex digits of its hash."""
    account_id = f"platform-{hashlib.sha256(key.reveal().encode()).hexdigest()[:12]}"
    return Login(Tokens(key, Secret(""), Secret(""), END_OF_TIME - 1), Claims(account_id, plan=PLAN))


def is_key(login: Login) -> bool:
    """Whether it is `key_login`'s."""
    return not login.tokens.refresh


def enrol_key(
    accounts: tuple[Account, ...], login: Login, new_id: str, label: str | None, *, now: float, fresh: bool = False
) -> Enrolled:
    """As `enrol`, for `key_login`'s login. A new account comes last."""
    enrolled = enrol(accounts, login, new_id, label, now=now, fresh=fresh)
    return _with(enrolled, replace(enrolled.account, lane=Lane.PLATFORM))


def take_key(
    accounts: tuple[Account, ...], found: FoundLogin, new_id: str, label: str | None = None, *, now: float
) -> Enrolled:
    """As `take_in`, for a key."""
    enrolled = enrol_key(accounts, found.login, new_id, label, now=now)
    if enrolled.change is not Change.ADDED:
        return enrolled
    is_free = found.label and found.label.casefold() not in taken(accounts)
    named = found.label if is_free and label is None else enrolled.account.label
    account = replace(enrolled.account, label=named, tags=found.tags, note=found.note, enabled=found.enabled)
    return _with(enrolled, account)


def _with(enrolled: Enrolled, account: Account) -> Enrolled:
    accounts = tuple(account if other.id == account.id else other for other in enrolled.accounts)
    return replace(enrolled, accounts=accounts, account=account)

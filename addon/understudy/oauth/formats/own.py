"""Understudy's own export: written in full to move accounts, or redacted to show how they stand."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from understudy.oauth.claims import mask_email
from understudy.oauth.formats.collect import collect
from understudy.oauth.formats.found import Found
from understudy.pool.account import Account

VERSION = 1
_MARK = "understudy_export"


def export(accounts: Sequence[Account], now: float) -> bytes:
    """`{"understudy_export": 1, "redacted": false, "exported_at", "accounts": [{"label", "account_id", "user_id",
    "email", "plan", "enabled", "tags", "note", ..., "tokens": {"access", "refresh", "id_token", "expires_at"}}]}`.

    `now` and all times: epoch seconds. The tokens are in it.
    """
    return _document([_account(account) for account in accounts], now, redacted=False)


def redacted(accounts: Sequence[Account], now: float) -> bytes:
    """The same for others to see: no token, no note, e-mail addresses masked, ChatGPT's ids under pseudonyms.

    An id has the same pseudonym in every export. Labels and tags stay: log lines name them.
    """
    return _document([_redacted(account) for account in accounts], now, redacted=True)


def read(document: Mapping[str, object]) -> Found | None:
    """What `export` wrote. Raises ValueError for another version, and for what has no tokens in it."""
    if {"version", "revision", "accounts"} <= document.keys():
        raise ValueError("it is a pool itself, or a backup of one; import what `understudy accounts export` writes")
    if _MARK not in document:
        return None
    if document[_MARK] != VERSION:
        raise ValueError("another version of Understudy exported it; import it with that one")
    if document.get("redacted") is True:
        raise ValueError("it is a redacted export: the tokens were taken out of it")
    accounts = document.get("accounts")
    return collect("Understudy", [_record(account) for account in accounts] if isinstance(accounts, list) else [])


def is_export(document: object) -> bool:
    """Whether it is an export, of whichever version, redacted or not."""
    return isinstance(document, dict) and _MARK in document


def _document(accounts: list[dict[str, object]], now: float, *, redacted: bool) -> bytes:
    document = {_MARK: VERSION, "redacted": redacted, "exported_at": now, "accounts": accounts}
    return json.dumps(document, indent=2, allow_nan=False).encode() + b"\n"


def _account(account: Account) -> dict[str, object]:
    tokens = account.tokens
    return _standing(account) | {
        "account_id": account.account_id,
        "user_id": account.user_id,
        "email": account.email,
        "note": account.note,
        "tokens": {
            "access": tokens.access.reveal(),
            "refresh": tokens.refresh.reveal(),
            "id_token": tokens.id_token.reveal(),
            "expires_at": tokens.expires_at,
        },
    }


def _redacted(account: Account) -> dict[str, object]:
    return _standing(account) | {
        "account_id": pseudonym(account.account_id),
        "user_id": pseudonym(account.user_id),
        "email": mask_email(account.email),
        "tokens": {"expires_at": account.tokens.expires_at},
    }


def _standing(account: Account) -> dict[str, object]:
    block = account.block
    return {
        "id": account.id,
        "label": account.label,
        "plan": account.plan,
        "fedramp": account.fedramp,
        "enabled": account.enabled,
        "tags": list(account.tags),
        "health": account.health.value,
        "health_reason": account.health_reason,
        "blocked_until": block.until if block else None,
        "block_reason": block.reason if block else "",
        "added_at": account.added_at,
        "last_used_at": account.last_used_at,
    }


def pseudonym(name: str) -> str:
    """A name for `name` that does not tell it: ids are too random to be found by trying. Empty stays empty."""
    return f"~{hashlib.sha256(name.encode()).hexdigest()[:10]}" if name else ""


def _record(account: object) -> object:
    """The account with its tokens beside the rest, as other programs have them."""
    tokens = account.get("tokens") if isinstance(account, dict) else None
    return {**account, **tokens} if isinstance(account, dict) and isinstance(tokens, dict) else account

"""Understudy's own export: written in full to move accounts, or redacted to show how they stand."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from understudy.oauth.api_key import key_login, read_key
from understudy.oauth.claims import mask_email
from understudy.oauth.formats.collect import collect
from understudy.oauth.formats.found import Found, FoundLogin
from understudy.oauth.formats.records import label_from
from understudy.pool.account import Account, Health, Lane
from understudy.pool.edits import LONGEST_NOTE, MOST_TAGS
from understudy.pool.labels import is_label
from understudy.wire.text import safe_text

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
    """What `export` wrote; API keys come last, as in the pool that they are put into.

    Raises ValueError for another version, and for what has no tokens in it.
    """
    if {"version", "revision", "accounts"} <= document.keys():
        raise ValueError("it is a pool itself, or a backup of one; import what `understudy accounts export` writes")
    if _MARK not in document:
        return None
    if document[_MARK] != VERSION:
        raise ValueError("another version of Understudy exported it; import it with that one")
    if document.get("redacted") is True:
        raise ValueError("it is a redacted export: the tokens were taken out of it")
    accounts = document.get("accounts")
    records = accounts if isinstance(accounts, list) else []
    found = collect("Understudy", [_record(account) for account in records if not _is_of_key(account)])
    return _with_keys(found, [account for account in records if _is_of_key(account)])


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
        "lane": account.lane.value,
        "reserve_percent": account.reserve_percent,
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


def _is_of_key(account: object) -> bool:
    return isinstance(account, dict) and account.get("lane") == Lane.PLATFORM


def _with_keys(found: Found, records: Sequence[Mapping[str, object]]) -> Found:
    keys: list[FoundLogin] = []
    left_out: list[str] = []
    for number, record in enumerate(records, 1):
        try:
            keys.append(_key(record))
        except ValueError as error:
            left_out.append(f"API key {number}: {error}")
    return Found(found.program, (*found.logins, *keys), (*found.left_out, *left_out))


def _key(record: Mapping[str, object]) -> FoundLogin:
    """Raises ValueError, in words that hold nothing of the record."""
    if record.get("health") == Health.NEEDS_LOGIN.value:
        raise ValueError("it no longer works, says the file")
    tokens, tags, note = (record.get(name) for name in ("tokens", "tags", "note"))
    access = tokens.get("access") if isinstance(tokens, dict) else None
    return FoundLogin(
        key_login(read_key(access if isinstance(access, str) else "")),
        label=label_from(record.get("label")),
        tags=tuple(tag for tag in tags if isinstance(tag, str) and is_label(tag))[:MOST_TAGS]
        if isinstance(tags, list)
        else (),
        note=safe_text(note, LONGEST_NOTE) if isinstance(note, str) else "",
        enabled=record.get("enabled") is not False,
    )

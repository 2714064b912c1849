"""Reads an account as other programs write it down. They differ in names alone, and no name has two meanings."""

import re
from collections.abc import Mapping
from dataclasses import replace

from understudy.oauth.claims import Claims, login_claims
from understudy.oauth.codex_auth import Login
from understudy.oauth.formats.found import FoundLogin
from understudy.pool.account import Tokens
from understudy.pool.edits import LONGEST_NOTE, MOST_TAGS
from understudy.pool.labels import is_label
from understudy.wire.numbers import END_OF_TIME, read_time
from understudy.wire.secret import Secret
from understudy.wire.text import is_id, is_token, safe_text

LOG_IN = "log in with `understudy login`"
ITS_OWN = f"a login serves one account; {LOG_IN} to give it its own"

_NAMES = {
    "access": ("access", "accessToken", "access_token"),
    "refresh": ("refresh", "refreshToken", "refresh_token"),
    "id": ("id_token",),
    "expires": ("expires", "expiresAt", "expires_at"),
    "account": ("accountId", "account_id"),
    "label": ("label", "accountLabel"),
    "tags": ("tags", "accountTags"),
    "note": ("note", "accountNote"),
}
_GIVEN_UP = ("flaggedAt", "authInvalidatedAt", "isAuthDisabled")


def read_record(record: Mapping[str, object]) -> FoundLogin:
    """The login in one record. What its tokens say counts before what stands beside them.

    Times may be in seconds or in milliseconds. Raises ValueError, in words that hold nothing of the record.
    """
    if any(record.get(mark) for mark in _GIVEN_UP) or record.get("health") == "needs_login":
        raise ValueError(f"its login no longer works, says the file; {LOG_IN}")
    access, refresh = _token(record, "access"), _token(record, "refresh")
    id_token = _token(record, "id") if _value(record, "id") else Secret("")
    claims = _with_said(login_claims(access, id_token), record)
    if not claims.account_id:
        raise ValueError("it does not say which ChatGPT account it is for")
    return FoundLogin(
        Login(Tokens(access, refresh, id_token, _expires_at(claims, record)), claims),
        label=label_from(_value(record, "label")),
        tags=_tags(_value(record, "tags")),
        note=_text(_value(record, "note"), LONGEST_NOTE),
        enabled=record.get("enabled") is not False,
    )


def account_named(record: Mapping[str, object]) -> str:
    """The ChatGPT account that the record says it is for; empty where it says none."""
    return _id(_value(record, "account"))


def label_from(text: object) -> str:
    """A label made of `text`: `Work-EU` of `Work (EU)`; empty where that cannot be.

    An e-mail address becomes none: labels come to stand in logs.
    """
    if not isinstance(text, str) or "@" in text:
        return ""
    label = re.sub(r"[^A-Za-z0-9._-]+", "-", text[:200]).strip("-._")[:32].rstrip("-._")
    return label if is_label(label) else ""


def _with_said(claims: Claims, record: Mapping[str, object]) -> Claims:
    return replace(
        claims,
        account_id=claims.account_id or account_named(record),
        user_id=claims.user_id or _id(record.get("user_id")),
        email=claims.email or _text(record.get("email"), 320),
        plan=claims.plan or _text(record.get("plan"), 40).lower(),
    )


def _expires_at(claims: Claims, record: Mapping[str, object]) -> float:
    """When the access token ends; one that nothing says the end of is taken to have ended, and refreshed."""
    if claims.expires_at is not None:
        return claims.expires_at
    said = read_time(_value(record, "expires")) or 0.0
    return said if said < END_OF_TIME else 0.0


def _value(record: Mapping[str, object], kind: str) -> object:
    return next((record[name] for name in _NAMES[kind] if record.get(name)), None)


def _token(record: Mapping[str, object], kind: str) -> Secret:
    value = _value(record, kind)
    if value is None:
        raise ValueError(f"it has no {kind} token")
    if not isinstance(value, str) or not is_token(value):
        raise ValueError(f"its {kind} token cannot be one")
    if value.startswith("sk-"):
        raise ValueError("it is an API key or the login of another service, and no ChatGPT login")
    return Secret(value)


def _id(value: object) -> str:
    return value if isinstance(value, str) and is_id(value) else ""


def _text(value: object, limit: int) -> str:
    return safe_text(value, limit).strip() if isinstance(value, str) else ""


def _tags(value: object) -> tuple[str, ...]:
    labels = [label_from(tag).lower() for tag in value[:100]] if isinstance(value, list) else []
    return tuple(dict.fromkeys(label for label in labels if label))[:MOST_TAGS]

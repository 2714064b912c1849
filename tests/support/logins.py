"""Logins for tests: tokens that are obviously fake and easy to find where they must not be."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from understudy.oauth.claims import Claims
from understudy.oauth.codex_auth import Login
from understudy.pool.account import Account, Tokens
from understudy.wire.secret import Secret

CANARY = "canary-of-tests"
NOW = 1_800_000_000.0


def jwt(claims: Mapping[str, object], mark: str = "x") -> str:
    """An unsigned JWT with these claims; the canary and the mark stand, readable, in its signature's place."""
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    head, body = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = f"{CANARY}-{mark}"
    return f"{head}.{body}.{signature}{'_' * (-len(signature) % 4)}"


def access_token(name: str = "ada", *, expires_at: float = NOW + 3600, mark: str = "x", **auth: object) -> str:
    """An access token of ChatGPT's shape for the account `ws-{name}` of the user `user-{name}`."""
    about = {
        "chatgpt_account_id": f"ws-{name}",
        "chatgpt_user_id": f"user-{name}",
        "chatgpt_plan_type": "plus",
        **auth,
    }
    profile = {"email": f"{name}@example.com"}
    claims = {"https://api.openai.com/auth": about, "https://api.openai.com/profile": profile, "exp": int(expires_at)}
    return jwt(claims, f"access-{name}-{mark}")


def tokens(name: str = "ada", *, expires_at: float = NOW + 3600, mark: str = "x") -> Tokens:
    """A whole set of tokens."""
    return Tokens(
        access=Secret(access_token(name, expires_at=expires_at, mark=mark)),
        refresh=Secret(f"rt_{CANARY}-refresh-{name}-{mark}"),
        id_token=Secret(jwt({"email": f"{name}@example.com"}, f"id-{name}-{mark}")),
        expires_at=float(int(expires_at)),
    )


def login(
    name: str = "ada", *, expires_at: float = NOW + 3600, mark: str = "x", claims: Mapping[str, str] | None = None
) -> Login:
    """A login as it is read from a file; `claims` differ from what is usual."""
    about = {"account_id": f"ws-{name}", "user_id": f"user-{name}", "email": f"{name}@example.com", "plan": "plus"}
    about |= claims or {}
    return Login(
        tokens(name, expires_at=expires_at, mark=mark),
        Claims(about["account_id"], about["user_id"], about["email"], about["plan"], expires_at=expires_at),
    )


def account(name: str = "ada", *, expires_at: float = NOW + 3600, mark: str = "x") -> Account:
    """An account of the pool."""
    return Account(
        id=f"acct_{name}",
        label=name,
        account_id=f"ws-{name}",
        user_id=f"user-{name}",
        tokens=tokens(name, expires_at=expires_at, mark=mark),
        email=f"{name}@example.com",
        plan="plus",
    )


def auth_json(name: str = "ada", *, expires_at: float = NOW + 3600, mark: str = "x") -> str:
    """The text of Codex's `auth.json` for a login."""
    given = tokens(name, expires_at=expires_at, mark=mark)
    named = {
        "id_token": given.id_token.reveal(),
        "access_token": given.access.reveal(),
        "refresh_token": given.refresh.reveal(),
        "account_id": f"ws-{name}",
    }
    file = {"OPENAI_API_KEY": None, "tokens": named, "last_refresh": "2026-01-01T00:00:00Z"}
    return json.dumps(file, indent=2)

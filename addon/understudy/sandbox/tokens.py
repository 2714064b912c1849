"""Mints the sandbox's tokens, and writes them as the official Codex login file.

All of them carry `CANARY` in plain sight, so that a search through dumps and logs finds a leaked one.
"""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from understudy.sandbox.scenario import Identity

CANARY = "understudy-sandbox-canary"
CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
"""The public client id of Codex, which every Codex login uses."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What one answer of the token endpoint hands out (RFC 6749, 5.1). `expires_at`: epoch seconds, of `access`."""

    access: str
    refresh: str
    id_token: str
    expires_at: float
    generation: int

    @property
    def strings(self) -> tuple[str, ...]:
        """All three, and each one's canary by itself, so that a piece of a token is found too."""
        return (self.access, self.refresh, self.id_token, *(t.rsplit(".", 1)[1] for t in (self.access, self.id_token)))


def mint(identity: Identity, *, issuer: str, generation: int, nonce: str, life: float, now: float) -> TokenSet:
    """The `generation`-th tokens of a login, good for `life` seconds. `nonce` (hex) makes them unlike any others."""
    mark = f"{identity.label}-{generation}-{nonce}"
    claims = _claims(identity, issuer, now, now + life)
    return TokenSet(
        access=_jwt({**claims, "aud": ["https://api.openai.com/v1"], "jti": mark}, f"access-{mark}"),
        refresh=f"rt_{CANARY}-refresh-{mark}",
        id_token=_jwt({**claims, "aud": [CLIENT_ID], "email": identity.email}, f"id-{mark}"),
        expires_at=now + life,
        generation=generation,
    )


def login_file(identity: Identity, tokens: TokenSet, now: float) -> str:
    """The text of Codex's `auth.json` for a login: `{auth_mode, OPENAI_API_KEY, tokens{...}, last_refresh}`."""
    body = {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": tokens.id_token,
            "access_token": tokens.access,
            "refresh_token": tokens.refresh,
            "account_id": identity.account_id,
        },
        "last_refresh": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(body, indent=2) + "\n"


def _claims(identity: Identity, issuer: str, now: float, expires_at: float) -> dict[str, object]:
    auth: dict[str, object] = {
        "chatgpt_account_id": identity.account_id,
        "chatgpt_plan_type": identity.plan,
        "chatgpt_user_id": identity.user_id,
        "user_id": identity.user_id,
        "organizations": [{"id": f"org-{identity.label}", "is_default": True, "role": "owner", "title": "Personal"}],
    }
    if identity.fedramp:
        auth["chatgpt_account_is_fedramp"] = True
    return {
        "iss": issuer,
        "sub": f"auth0|{identity.user_id}",
        "iat": int(now),
        "exp": int(expires_at),
        "https://api.openai.com/auth": auth,
        "https://api.openai.com/profile": {"email": identity.email, "email_verified": True},
    }


def _jwt(claims: dict[str, object], mark: str) -> str:
    """An unsigned JWT (RFC 7519, 6.1) whose third part says what it is, in base64url characters that decode."""
    signature = f"{CANARY}-{mark}"
    padding = "_" * (-len(signature) % 4)
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.{signature}{padding}"


def _part(value: dict[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()

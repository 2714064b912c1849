"""What a login's tokens say of themselves: claims, read without proof, as labels and routing hints only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import jwt

from understudy.wire.numbers import END_OF_TIME
from understudy.wire.secret import Secret
from understudy.wire.text import is_id, is_token, safe_text

_AUTH = "https://api.openai.com/auth"
_PROFILE = "https://api.openai.com/profile"


@dataclass(frozen=True, slots=True)
class Claims:
    """What ChatGPT's tokens say of an account; empty or None where they do not say it.

    `account_id` and `user_id` have the form of ids. `expires_at`, `issued_at`: epoch seconds, of the token that was
    read.
    """

    account_id: str = ""
    user_id: str = ""
    email: str = field(default="", repr=False)
    plan: str = ""
    fedramp: bool = False
    expires_at: float | None = None
    issued_at: float | None = None


def read_claims(token: Secret) -> Claims:
    """The claims of an id token or an access token of ChatGPT; its signature is the backend's to check, not ours.

    Claims `https://api.openai.com/auth`: `chatgpt_account_id`, `chatgpt_user_id` (or `user_id`),
    `chatgpt_plan_type`, `chatgpt_account_is_fedramp`; `email` or `https://api.openai.com/profile`: `email`; `exp`,
    `iat`.
    A claim of the wrong form counts as absent. Raises ValueError where the token is no JWT.
    """
    text = token.reveal()
    if not is_token(text):
        raise ValueError("not a token")
    try:
        claims = jwt.decode(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise ValueError("not a JWT") from None
    auth, profile = _object(claims.get(_AUTH)), _object(claims.get(_PROFILE))
    return Claims(
        account_id=_id(auth.get("chatgpt_account_id")),
        user_id=_id(auth.get("chatgpt_user_id")) or _id(auth.get("user_id")),
        email=_text(claims.get("email"), 320) or _text(profile.get("email"), 320),
        plan=_text(auth.get("chatgpt_plan_type"), 40).lower(),
        fedramp=auth.get("chatgpt_account_is_fedramp") is True,
        expires_at=_time(claims.get("exp")),
        issued_at=_time(claims.get("iat")),
    )


def hints(token: Secret) -> Claims:
    """The claims of a token, none where it is no JWT."""
    try:
        return read_claims(token)
    except ValueError:
        return Claims()


def login_claims(access: Secret, id_token: Secret) -> Claims:
    """What a login's tokens say together. The access token is what the backend sees, so what it says counts first.

    When the access token ends is its own matter: an id token lives an hour, an access token days.
    """
    claims, said = hints(access), hints(id_token)
    return replace(
        claims,
        account_id=claims.account_id or said.account_id,
        user_id=claims.user_id or said.user_id,
        email=said.email or claims.email,
        plan=claims.plan or said.plan,
        fedramp=claims.fedramp or said.fedramp,
    )


def mask_email(email: str) -> str:
    """`ada@example.com` as `a***@example.com`: enough for its owner to tell it from another. Empty stays empty."""
    local, at, domain = safe_text(email.strip(), 320).rpartition("@")
    return f"{local[:1]}***@{domain}" if at and domain else ""


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str:
    return value if isinstance(value, str) and is_id(value) else ""


def _text(value: object, limit: int) -> str:
    return safe_text(value, limit).strip() if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is converted: float() fails for a huge number.
    return float(value) if 0 <= value < END_OF_TIME else None

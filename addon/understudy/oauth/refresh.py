"""The refresh grant (RFC 6749, 6) as ChatGPT's login server takes it: the request, and what its answer means."""

import json
from dataclasses import dataclass

from understudy.oauth.claims import Claims, is_token, read_claims
from understudy.oauth.request import CLIENT_ID, OAuthRequest, endpoint
from understudy.pool.account import Tokens
from understudy.wire.jsontext import loads
from understudy.wire.secret import Secret

DEFAULT_LIFE = 3600.0
"""Seconds that an access token is taken to live where neither it nor the answer says so."""

_PERMANENT = {
    "refresh_token_reused": "its refresh token was used by another program",
    "refresh_token_expired": "the login has expired",
    "refresh_token_invalidated": "the login was ended elsewhere",
    "invalid_grant": "the login is no longer valid",
    "token_invalidated": "the login was ended elsewhere",
    "token_expired": "the login has expired",
    "app_session_terminated": "the login was ended elsewhere",
    "account_session_expired": "the login has expired",
    "account_deactivated": "ChatGPT has deactivated the account",
    "account_suspended": "ChatGPT has suspended the account",
    "account_deleted": "the account was deleted",
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """The login no longer works, and asking again will not help. `message`: our own words, nothing of the answer's."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Transient:
    """No new tokens this time; the login may be as good as ever. `reason`: our own words."""

    reason: str


def refresh_request(issuer: str, refresh: Secret) -> OAuthRequest:
    """`POST {issuer}/oauth/token` with a JSON body: `{"client_id", "grant_type": "refresh_token", "refresh_token"}`.

    Raises ValueError where the token would go out in the clear.
    """
    grant = {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": refresh.reveal()}
    headers = (("content-type", "application/json"), ("accept", "application/json"))
    return OAuthRequest("POST", endpoint(issuer, "/oauth/token"), headers, json.dumps(grant).encode())


def read_refresh(status: int, body: bytes, tokens: Tokens, now: float) -> Tokens | Rejected | Transient:
    """What the answer to a refresh of `tokens` means. `now`: epoch seconds.

    Success is 2xx and `{"id_token"?, "access_token"?, "refresh_token"?, "expires_in"?}`: what is absent stays as it
    was. A 401, or one of the codes that end a login in `error.code`, `error` or `code`, is for good; all else is not.
    """
    answer = _object(body)
    if not 200 <= status < 300:
        return _refusal(status, answer)
    if answer is None:
        return Transient("the login server's answer is unreadable")
    given = [answer.get(name) or "" for name in ("access_token", "refresh_token", "id_token")]
    if not any(given):
        return Transient("the login server's answer has no tokens")
    # What is no token cannot be sent, and must not be stored.
    texts = [value for value in given if isinstance(value, str) and (not value or is_token(value))]
    if len(texts) != 3:
        return Transient("the login server's answer has an unusable token")
    access, refresh, id_token = (Secret(text) for text in texts)
    if access and _of_another_account(access, tokens):
        return Rejected("account_mismatch", "the login server answered with another account's tokens")
    return Tokens(
        access=access or tokens.access,
        refresh=refresh or tokens.refresh,
        id_token=id_token or tokens.id_token,
        expires_at=_end(access, answer.get("expires_in"), now) if access else tokens.expires_at,
    )


def _object(body: bytes) -> dict[str, object] | None:
    try:
        answer = loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(status: int, answer: dict[str, object] | None) -> Rejected | Transient:
    code = _code(answer or {})
    if code in _PERMANENT:
        return Rejected(code, _PERMANENT[code])
    if status == 401:
        return Rejected("unauthorized", "the login server refused the login (401)")
    return Transient(f"the login server answered {status}")


def _code(answer: dict[str, object]) -> str:
    error = answer.get("error")
    candidates = (error.get("code") if isinstance(error, dict) else error, answer.get("code"))
    return next((code.lower() for code in candidates if isinstance(code, str)), "")


def _claims(token: Secret) -> Claims:
    try:
        return read_claims(token)
    except ValueError:
        return Claims()


def _of_another_account(access: Secret, tokens: Tokens) -> bool:
    new, old = _claims(access).account_id, _claims(tokens.access).account_id
    return bool(new and old and new != old)


def _end(access: Secret, expires_in: object, now: float) -> float:
    """When the access token ends: its own `exp` (ChatGPT's tokens have one), else `expires_in` seconds from now."""
    said = _claims(access).expires_at
    if said is not None:
        return said
    plausible = isinstance(expires_in, int | float) and 0 < expires_in <= 366 * 86400
    return now + (float(expires_in) if plausible and isinstance(expires_in, int | float) else DEFAULT_LIFE)

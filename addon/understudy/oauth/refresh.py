"""The refresh grant (RFC 6749, 6) as ChatGPT's login server takes it: the request, and what its answer means."""

import json
from dataclasses import dataclass

from understudy.oauth.answer import error_code, read_object
from understudy.oauth.claims import hints
from understudy.oauth.request import CLIENT_ID, OAuthRequest, endpoint
from understudy.pool.account import Tokens
from understudy.wire.numbers import read_retry_after
from understudy.wire.secret import Secret
from understudy.wire.text import is_token

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
_LOOKS_SPENT = frozenset(
    {
        "refresh_token_reused",
        "refresh_token_invalidated",
        "invalid_grant",
        "token_invalidated",
        "token_expired",
        "unauthorized",
    }
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The login no longer works, and asking again will not help. `message`: our own words, nothing of the answer's."""

    code: str
    message: str

    @property
    def looks_spent(self) -> bool:
        """Whether a refresh token that was used before is refused like this."""
        return self.code in _LOOKS_SPENT


@dataclass(frozen=True, slots=True)
class Transient:
    """No new tokens this time; the login may be as good as ever. `reason`: our own words.

    `perhaps_spent`: the tokens may have been exchanged, and what for did not reach us. `asked`: seconds of pause that
    the login server asks for.
    """

    reason: str
    perhaps_spent: bool = False
    asked: float = 0.0


Outcome = Tokens | Rejected | Transient


def refresh_request(issuer: str, refresh: Secret) -> OAuthRequest:
    """`POST {issuer}/oauth/token` with a JSON body: `{"client_id", "grant_type": "refresh_token", "refresh_token"}`.

    Raises ValueError where the token would go out in the clear.
    """
    grant = {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": refresh.reveal()}
    headers = (("content-type", "application/json"), ("accept", "application/json"))
    return OAuthRequest("POST", endpoint(issuer, "/oauth/token"), headers, json.dumps(grant).encode())


def read_refresh(status: int, body: bytes, tokens: Tokens, now: float, retry_after: str = "") -> Outcome:
    """What the answer to a refresh of `tokens` means. `now`: epoch seconds; `retry_after`: the answer's field.

    Success is 2xx and `{"id_token"?, "access_token"?, "refresh_token"?, "expires_in"?}`: what is absent stays as it
    was. A 401, or one of the codes that end a login in `error.code`, `error` or `code`, is for good; all else is not.
    """
    answer = read_object(body)
    if not 200 <= status < 300:
        return _refusal(status, answer, read_retry_after(retry_after, now) or 0.0)
    if answer is None:
        return Transient("the login server's answer is unreadable", perhaps_spent=True)
    given = [answer.get(name) or "" for name in ("access_token", "refresh_token", "id_token")]
    if not any(given):
        return Transient("the login server's answer has no tokens", perhaps_spent=True)
    # What is no token cannot be sent, and must not be stored.
    texts = [value for value in given if isinstance(value, str) and (not value or is_token(value))]
    if len(texts) != 3:
        return Transient("the login server's answer has an unusable token", perhaps_spent=True)
    access, refresh, id_token = (Secret(text) for text in texts)
    if access and _of_another_account(access, tokens):
        return Transient("the login server answered with another account's tokens", perhaps_spent=True)
    return Tokens(
        access=access or tokens.access,
        refresh=refresh or tokens.refresh,
        id_token=id_token or tokens.id_token,
        expires_at=access_end(access, answer.get("expires_in"), now) if access else tokens.expires_at,
    )


def access_end(access: Secret, expires_in: object, now: float) -> float:
    """When the access token ends: its own `exp` (ChatGPT's tokens have one), else `expires_in` seconds from now."""
    said = hints(access).expires_at
    if said is not None:
        return said
    plausible = isinstance(expires_in, int | float) and 0 < expires_in <= 366 * 86400
    return now + (float(expires_in) if plausible and isinstance(expires_in, int | float) else DEFAULT_LIFE)


def _refusal(status: int, answer: dict[str, object] | None, asked: float) -> Rejected | Transient:
    code = error_code(answer or {})
    if code in _PERMANENT:
        return Rejected(code, _PERMANENT[code])
    if status == 401:
        return Rejected("unauthorized", "the login server refused the login (401)")
    return Transient(f"the login server answered {status}", asked=asked)


def _of_another_account(access: Secret, tokens: Tokens) -> bool:
    new, old = hints(access).account_id, hints(tokens.access).account_id
    return bool(new and old and new != old)

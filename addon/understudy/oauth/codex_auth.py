"""Reads the login file of the official Codex programs, `~/.codex/auth.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from understudy.oauth.claims import Claims, login_claims
from understudy.pool.account import Tokens
from understudy.wire.jsontext import loads
from understudy.wire.numbers import read_time
from understudy.wire.secret import Secret
from understudy.wire.text import is_id, is_token

LIFE_WITHOUT_EXP = 8 * 86400.0
"""Seconds after its last refresh that Codex goes on using an access token that does not say when it ends."""
EXPECTED = "expected the auth.json that `codex login` writes, with a ChatGPT login in it"


@dataclass(frozen=True, slots=True)
class Login:
    """One ChatGPT login: its tokens, and what they say of the account."""

    tokens: Tokens
    claims: Claims


def read_auth_json(text: bytes | str) -> Login:
    """The login in the text of a Codex `auth.json`. Raises as `read_auth_file` does, and where it is no JSON object."""
    try:
        file = loads(text)
    except ValueError:
        raise ValueError(f"it is not JSON; {EXPECTED}") from None
    if not isinstance(file, dict):
        raise ValueError(f"it is not a login file; {EXPECTED}")
    return read_auth_file(file)


def read_auth_file(file: Mapping[str, object]) -> Login:
    """The login in what a Codex `auth.json` holds.

    `{"tokens": {"id_token", "access_token", "refresh_token", "account_id"?}, "OPENAI_API_KEY"?, "last_refresh"?}`,
    pretty-printed JSON. Expired tokens are as good as any. Raises ValueError in words for the user that hold nothing
    of the file.
    """
    tokens = file.get("tokens")
    if not isinstance(tokens, dict):
        other = " (an API key is no ChatGPT login)" if file.get("OPENAI_API_KEY") else ""
        raise ValueError(f"it holds no ChatGPT login{other}: run `codex login` and choose ChatGPT, then import again")
    access, refresh = _token(tokens, "access_token"), _token(tokens, "refresh_token")
    id_token = _token(tokens, "id_token") if tokens.get("id_token") else Secret("")
    claims = _claims(access, id_token, tokens.get("account_id"))
    return Login(Tokens(access, refresh, id_token, _end(claims, file.get("last_refresh"))), claims)


def _end(claims: Claims, last_refresh: object) -> float:
    """When the access token ends: by its `exp`; one without is taken for good as long as Codex takes it to be."""
    if claims.expires_at is not None:
        return claims.expires_at
    refreshed_at = read_time(last_refresh)
    return 0.0 if refreshed_at is None else refreshed_at + LIFE_WITHOUT_EXP


def _token(tokens: Mapping[str, object], name: str) -> Secret:
    value = tokens.get(name)
    if not isinstance(value, str) or not is_token(value):
        raise ValueError(f"it has no usable {name}; {EXPECTED}: run `codex login`, then import again")
    return Secret(value)


def _claims(access: Secret, id_token: Secret, account_id: object) -> Claims:
    """What the tokens say; which account it is, where they do not say it, is what the file says."""
    claims = login_claims(access, id_token)
    named = account_id if isinstance(account_id, str) and is_id(account_id) else ""
    if not claims.account_id and not named:
        raise ValueError(f"it does not say which ChatGPT account it is for; {EXPECTED}")
    return replace(claims, account_id=claims.account_id or named)

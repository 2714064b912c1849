"""A request to the login server, or to the backend about an account, as a value that shows none of its secrets."""

from dataclasses import dataclass, field

from understudy.pool.account import Account
from understudy.wire.provider import Provider, read_provider
from understudy.wire.reply import Headers
from understudy.wire.text import is_id

ISSUER = "https://auth.openai.com"
CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
"""The public client id of the Codex programs (RFC 6749, 2.1: no secret)."""


@dataclass(frozen=True, slots=True)
class OAuthRequest:
    """What is to be sent. The body, or a header field, holds tokens or codes, so they are not shown."""

    method: str
    url: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


def endpoint(issuer: str, path: str) -> str:
    """The URL of `path` at the issuer. Raises ValueError unless that is https, or http on loopback."""
    server = read_provider(issuer)
    return f"{server.scheme}://{server.authority}{server.path}{path}"


def as_account(backend: Provider, path: str, account: Account, version: str) -> OAuthRequest:
    """`GET path` at the backend's own origin, which is https or on loopback, as the account. `version`: our own.

    Raises ValueError for an account id that is none.
    """
    if not is_id(account.account_id):
        raise ValueError("the account's id has characters that no id has")
    headers = (
        ("authorization", f"Bearer {account.tokens.access.reveal()}"),
        ("chatgpt-account-id", account.account_id),
        *((("x-openai-fedramp", "true"),) if account.fedramp else ()),
        ("accept", "application/json"),
        ("originator", "understudy"),
        ("user-agent", f"understudy/{version}"),
    )
    return OAuthRequest("GET", f"{backend.scheme}://{backend.authority}{path}", headers, b"")

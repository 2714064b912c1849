"""A request to the login server, as a value that shows none of its secrets."""

from dataclasses import dataclass, field

from understudy.wire.provider import read_provider
from understudy.wire.reply import Headers

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

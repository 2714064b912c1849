"""Token revocation (RFC 7009) as ChatGPT's login server takes it: the request, and whether it worked."""

import json

from understudy.oauth.refresh import Transient
from understudy.oauth.request import CLIENT_ID, OAuthRequest, endpoint
from understudy.wire.secret import Secret

TIMEOUT = 10.0
"""Seconds that the Codex CLI waits for the answer."""


def revoke_request(issuer: str, refresh: Secret) -> OAuthRequest:
    """`POST {issuer}/oauth/revoke` with JSON: `{"token", "token_type_hint": "refresh_token", "client_id"}`.

    Raises ValueError where the token would go out in the clear.
    """
    asked = {"token": refresh.reveal(), "token_type_hint": "refresh_token", "client_id": CLIENT_ID}
    headers = (("content-type", "application/json"), ("accept", "application/json"))
    return OAuthRequest("POST", endpoint(issuer, "/oauth/revoke"), headers, json.dumps(asked).encode())


def read_revoke(status: int) -> Transient | None:
    """None where the token is good no more (which a token that was not good before is too: RFC 7009, 2.2)."""
    return None if 200 <= status < 300 else Transient(f"the login server answered {status}")

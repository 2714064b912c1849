"""Complete answers in the shapes the real backend uses: `{"detail": ...}`, OpenAI's error object, HTML, nothing."""

import json
from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, header fields and the whole body."""

    status: int
    body: bytes = b""
    headers: Pairs = ()


def json_reply(status: int, value: object, headers: Pairs = ()) -> Reply:
    """`value` as JSON."""
    return Reply(status, json.dumps(value).encode(), (("content-type", "application/json"), *headers))


def detail(status: int, value: object) -> Reply:
    """`{"detail": value}`, how the backend's own layer refuses."""
    return json_reply(status, {"detail": value})


def html(status: int, text: str, headers: Pairs = ()) -> Reply:
    """A page, as what stands before the backend answers."""
    return Reply(status, text.encode(), (("content-type", "text/html; charset=UTF-8"), *headers))


def error_reply(
    status: int,
    message: str,
    *,
    code: str | None = None,
    type: str = "invalid_request_error",
    param: str | None = None,
    headers: Pairs = (),
) -> Reply:
    """OpenAI's error object: `{"error": {"message", "type", "param", "code"}}`."""
    error = {"message": message, "type": type, "param": param, "code": code}
    return json_reply(status, {"error": error}, headers)


UNAUTHORIZED = detail(401, "Unauthorized")
UNPARSEABLE_TOKEN = detail(401, "Could not parse your authentication token. Please try signing in again.")
EXPIRED_TOKEN = error_reply(
    401, "Provided authentication token is expired. Please try signing in again.", code="token_expired"
)
NOT_FOUND = detail(404, "Not Found")

_INVALIDATED = "Your authentication token has been invalidated. Please try signing in again."
_REVOKED = "Encountered invalidated oauth token for user, failing request"


def revoked_token(code: str) -> Reply:
    """401 for a token whose login is gone; `code` is token_invalidated or token_revoked."""
    message = _REVOKED if code == "token_revoked" else _INVALIDATED
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
    return json_reply(401, {"error": error, "status": 401})

"""Answers that we give in the backend's place, and errors of any shape put into OpenAI's."""

import json
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
"""Header fields in wire order; names are compared without regard to case (RFC 9110, 5.1)."""


def header(headers: Headers, name: str) -> str | None:
    """The first value of the field `name`, without regard to case, or None."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer to the host: status code, header fields, body."""

    status: int
    headers: Headers
    body: bytes


def error_object(message: str, type: str, code: str | None = None, param: str | None = None) -> dict[str, object]:
    """OpenAI's error object: `{"error": {"message", "type", "param", "code"}}` (platform API reference, errors)."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def openai_error(
    status: int, message: str, *, type: str, code: str | None = None, param: str | None = None, headers: Headers = ()
) -> Reply:
    """A reply with OpenAI's error object as its JSON body."""
    body = json.dumps(error_object(message, type, code, param)).encode()
    return Reply(status, (("content-type", "application/json"), *headers), body)

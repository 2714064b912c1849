"""What comes in, for every endpoint that takes requests with a body: read, written down, answered."""

import json
import secrets
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp

from understudy.sandbox.coding import decode_body
from understudy.sandbox.exchange import Exchange
from understudy.sandbox.journal import Journal, Record
from understudy.sandbox.performance import Pairs, Performance

RECORD = "understudy.record"
"""Key of the request's journal record in its ASGI scope."""


class Intake:
    """Keeps the journal for the endpoints."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def answer(self, record: Record, performance: Performance) -> ASGIApp:
        """The application that plays `performance`."""
        return Exchange(performance, self._journal, record)

    def note(self, record: Record, **changes: Any) -> None:
        """Changes the request's entry."""
        self._journal.note(record, replace(record.entry, **changes))

    def name(self, record: Record, account: str | None, token: str, words: str) -> None:
        """Whose token came, and what it is worth; `words` stand for it from now on."""
        headers = tuple((n, words if n.lower() == "authorization" else v) for n, v in record.entry.headers)
        self.note(record, account=account, token=token, headers=headers)

    async def content(self, request: Request) -> bytes:
        """The request's whole body, as it came."""
        content = await request.body()
        self.note(request.scope[RECORD], content=content)
        return content

    def read_json(self, request: Request, content: bytes) -> object:
        """The body, decoded and parsed. Raises ValueError or RecursionError where it is no JSON."""
        content = decode_body(content, request.headers.get("content-encoding", ""))
        body = json.loads(content, parse_constant=_refuse_constant)
        model = body.get("model") if isinstance(body, dict) else None
        self.note(request.scope[RECORD], content=content, body=body, model=model if isinstance(model, str) else "")
        return body


def bearer_token(connection: HTTPConnection) -> str | None:
    """The one bearer token that came; None where there is none, or more than one."""
    fields = connection.headers.getlist("authorization")
    return fields[0].removeprefix("Bearer ") if len(fields) == 1 and fields[0].startswith("Bearer ") else None


def front_headers(now: float) -> Pairs:
    """What the servers before the backend add to every answer; nothing of it but the request ids is for the host."""
    ray = secrets.token_hex(8)
    return (
        ("date", formatdate(now, usegmt=True)),
        ("server", "cloudflare"),
        ("cf-ray", f"{ray}-SBX"),
        ("set-cookie", f"__cf_bm=understudy-sandbox-cookie-{ray}; path=/; HttpOnly; Secure"),
        ("x-request-id", f"req_{secrets.token_hex(16)}"),
        ("x-oai-request-id", f"oai_{secrets.token_hex(8)}"),
        ("openai-processing-ms", "42"),
        ("x-openai-proxy-wasm", "v0.1"),
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON (RFC 8259, 6)")

"""The Codex backend's endpoints: Responses, models, usage. Strict about who asks and what is asked."""

import json
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from understudy.sandbox import replies
from understudy.sandbox.coding import MAX_BODY, decode_body
from understudy.sandbox.exchange import Exchange
from understudy.sandbox.journal import Record
from understudy.sandbox.performance import Pairs, Performance, Scene, complete, stage
from understudy.sandbox.quota import usage
from understudy.sandbox.replies import Reply
from understudy.sandbox.validate import LITE_HEADER, refusal
from understudy.sandbox.world import Member, World

RECORD = "understudy.record"
"""Key of the request's journal record in its ASGI scope."""

MODELS_ETAG = 'W/"sandbox-models-1"'


@dataclass(frozen=True, slots=True)
class Caller:
    """An account whose good token came."""

    member: Member
    access: str


class Backend:
    """The endpoints below `/backend-api`; each returns an ASGI application that answers."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def responses(self, request: Request) -> ASGIApp:
        """`POST codex/responses`."""
        record: Record = request.scope[RECORD]
        content = await self._content(request)
        now = time.time()
        caller = self._admit(request, now)
        if isinstance(caller, Reply):
            return self.answer(record, complete(caller, front_headers()))
        body = self._read_body(request, content)
        if isinstance(body, Reply):
            return self.answer(record, complete(body, front_headers()))
        return self._act(caller, body, record, now)

    async def models(self, request: Request) -> ASGIApp:
        """`GET codex/models`, with its ETag."""
        caller = self._admit(request, time.time())
        if isinstance(caller, Reply):
            reply = caller
        elif request.headers.get("if-none-match") == MODELS_ETAG:
            reply = Reply(304, headers=(("etag", MODELS_ETAG),))
        else:
            models = [model_info(name.rstrip("*")) for name in self._world.scenario.models]
            reply = replies.json_reply(200, {"models": models}, (("etag", MODELS_ETAG),))
        return self.answer(request.scope[RECORD], complete(reply, front_headers()))

    async def usage(self, request: Request) -> ASGIApp:
        """`GET wham/usage`."""
        now = time.time()
        caller = self._admit(request, now)
        if isinstance(caller, Reply):
            reply = caller
        else:
            who = caller.member.identity
            reply = replies.json_reply(200, usage(caller.member.quota.at(now), who.account_id, who.user_id, now))
        return self.answer(request.scope[RECORD], complete(reply, front_headers()))

    async def unknown(self, request: Request) -> ASGIApp:
        """Any other path: journalled all the same, with the whole body."""
        if RECORD not in request.scope:
            return Response(status_code=404)
        await self._content(request)
        return self.answer(request.scope[RECORD], complete(replies.NOT_FOUND, front_headers()))

    def answer(self, record: Record, performance: Performance) -> ASGIApp:
        """The application that plays `performance`."""
        return Exchange(performance, self._world.journal, record)

    def _note(self, record: Record, **changes: Any) -> None:
        self._world.journal.note(record, replace(record.entry, **changes))

    async def _content(self, request: Request) -> bytes:
        content = await request.body()
        self._note(request.scope[RECORD], content=content)
        return content

    def _act(self, caller: Caller, body: dict[str, object], record: Record, now: float) -> ASGIApp:
        """Takes the account's next step and plays it."""
        member = caller.member
        step, resets_at = member.take(now)
        member.charge(step, resets_at, now)
        self._world.suffer(step, caller.access)
        asked = member.ask(body, len(record.entry.content), now)
        self._note(record, step=step.do, response_id=asked.response_id)
        headers = (*front_headers(), ("x-codex-turn-state", f"ts-{asked.response_id[5:21]}"), _MODELS_FIELD)
        scene = Scene(asked, member.quota, now, resets_at, headers, member.spec.headers)
        return self.answer(record, stage(step, scene))

    def _admit(self, request: Request, now: float) -> Caller | Reply:
        """Who asks. The journal learns whose token came, and never the token."""
        record: Record = request.scope[RECORD]
        fields = request.headers.getlist("authorization")
        if len(fields) != 1 or not fields[0].startswith("Bearer "):
            return replies.UNAUTHORIZED
        access = fields[0].removeprefix("Bearer ")
        bearer = self._world.issuer.bearer(access, now)
        if bearer is None:
            self._name(record, None, "unknown", "<unknown token>")
            return replies.UNPARSEABLE_TOKEN
        words = f"<{bearer.label}: access token {bearer.generation}, {bearer.state}>"
        self._name(record, bearer.label, bearer.state, words)
        if bearer.state == "expired":
            return replies.EXPIRED_TOKEN
        if bearer.state == "dead":
            return replies.revoked_token("token_invalidated") if bearer.revoked else replies.EXPIRED_TOKEN
        member = self._world.members[bearer.label]
        return _wrong_account(request, member) or Caller(member, access)

    def _name(self, record: Record, account: str | None, token: str, words: str) -> None:
        headers = tuple((n, words if n.lower() == "authorization" else v) for n, v in record.entry.headers)
        self._note(record, account=account, token=token, headers=headers)

    def _read_body(self, request: Request, content: bytes) -> dict[str, object] | Reply:
        """The request's JSON object, if the backend takes it."""
        if len(content) > MAX_BODY:
            return replies.detail(413, "Request body too large")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return replies.detail(400, "Unsupported content type")
        try:
            content = decode_body(content, request.headers.get("content-encoding", ""))
            body = json.loads(content, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return replies.detail(400, "Invalid JSON body")
        self._note(request.scope[RECORD], content=content, body=body)
        lite = request.headers.get(LITE_HEADER) == "true"
        refused = refusal(body, models=self._world.scenario.models, lite_header=lite)
        return refused if refused is not None else body


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON (RFC 8259, 6)")


def _wrong_account(request: Request, member: Member) -> Reply | None:
    """The refusal where the account id or the FedRAMP header is not the token's. The real wording is not known."""
    if request.headers.getlist("chatgpt-account-id") != [member.identity.account_id]:
        return replies.detail(403, "ChatGPT-Account-ID does not match the account of the token")
    if member.identity.fedramp and request.headers.get("x-openai-fedramp") != "true":
        return replies.detail(403, "X-OpenAI-Fedramp is required for this account")
    return None


_MODELS_FIELD = ("x-models-etag", MODELS_ETAG)


def front_headers() -> Pairs:
    """What the servers before the backend add to every answer; nothing of it but the request ids is for the host."""
    ray = secrets.token_hex(8)
    return (
        ("server", "cloudflare"),
        ("cf-ray", f"{ray}-SBX"),
        ("set-cookie", f"__cf_bm=understudy-sandbox-cookie-{ray}; path=/; HttpOnly; Secure"),
        ("x-request-id", f"req_{secrets.token_hex(16)}"),
        ("x-oai-request-id", f"oai_{secrets.token_hex(8)}"),
        ("openai-processing-ms", "42"),
        ("x-openai-proxy-wasm", "v0.1"),
    )


def model_info(slug: str) -> dict[str, object]:
    """One model in the shape of `GET codex/models`."""
    name = slug.rstrip("-")
    return {
        "slug": name,
        "display_name": name,
        "description": "A model of the sandbox.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": e, "description": e} for e in ("low", "medium", "high")],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": "",
        "supports_reasoning_summaries": True,
        "default_reasoning_summary": "auto",
        "support_verbosity": True,
        "default_verbosity": "medium",
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10000},
        "supports_parallel_tool_calls": True,
        "context_window": 272000,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        "prefer_websockets": False,
    }

"""The Codex backend's endpoints: Responses, models, usage. Strict about who asks and what is asked."""

import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from understudy.sandbox import replies
from understudy.sandbox.catalogue import etag_of, model_info
from understudy.sandbox.coding import MAX_BODY
from understudy.sandbox.intake import RECORD, Intake, bearer_token, front_headers
from understudy.sandbox.journal import Record
from understudy.sandbox.member import Act, Member, next_of
from understudy.sandbox.meters import usage
from understudy.sandbox.performance import Scene, complete, stage
from understudy.sandbox.refusals import whole_reply
from understudy.sandbox.replies import Reply
from understudy.sandbox.steps import UsageAnswer, UsageStep
from understudy.sandbox.validate import LITE_HEADER, refusal
from understudy.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Caller:
    """An account whose good token came, and the moment it did: epoch seconds of the account's servers' clock."""

    member: Member
    access: str
    now: float


class Backend:
    """The endpoints below `/backend-api`; each returns an ASGI application that answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intake = Intake(world.journal)

    async def responses(self, request: Request) -> ASGIApp:
        """`POST codex/responses`."""
        content = await self._intake.content(request)
        caller = self._admit(request)
        if isinstance(caller, Reply):
            return self._refuse(request, caller)
        body = self._read_body(request, content, caller.member)
        if isinstance(body, Reply):
            return self._refuse(request, body, caller.now)
        return self._act(caller, body, request.scope[RECORD])

    async def models(self, request: Request) -> ASGIApp:
        """`GET codex/models`, with its ETag."""
        caller = self._admit(request)
        if isinstance(caller, Reply):
            return self._refuse(request, caller)
        models = caller.member.models
        etag = ("etag", etag_of(models))
        reply = replies.json_reply(200, {"models": [model_info(name) for name in models]}, (etag,))
        if request.headers.get("if-none-match") == etag[1]:
            reply = Reply(304, headers=(etag,))
        return self._refuse(request, reply, caller.now)

    async def usage(self, request: Request) -> ASGIApp:
        """`GET wham/usage`, by the account's own list of steps."""
        record: Record = request.scope[RECORD]
        caller = self._admit(request)
        if isinstance(caller, Reply):
            return self._refuse(request, caller)
        step = next_of(caller.member.usage_steps)
        self._world.suffer(step, caller.access)
        self._intake.note(record, step=f"usage: {step.do}")
        changes = tuple((name, value) for name, value in step.headers.items() if value is not None)
        headers = (*front_headers(caller.now), *changes)
        return self._intake.answer(record, complete(_usage_reply(step, caller), headers, wait=step.wait))

    async def unknown(self, request: Request) -> ASGIApp:
        """Any other path: journalled all the same, with the whole body."""
        if RECORD not in request.scope:
            return Response(status_code=404)
        await self._intake.content(request)
        return self._refuse(request, replies.NOT_FOUND)

    def _refuse(self, request: Request, reply: Reply, now: float | None = None) -> ASGIApp:
        headers = front_headers(time.time() if now is None else now)
        return self._intake.answer(request.scope[RECORD], complete(reply, headers))

    def _act(self, caller: Caller, body: dict[str, object], record: Record) -> ASGIApp:
        """Takes the account's next step and plays it, unless the request itself is answered with a failure."""
        member, now, items = caller.member, caller.now, body["input"]
        refused = self._world.reader(member.prompts.mark).refusal(items if isinstance(items, list) else ())
        act = member.act(str(body["model"]), now) if refused is None else Act(refused, 0, member.quota.at(now))
        self._world.suffer(act.step, caller.access)
        asked = member.ask(body, len(record.entry.content), act, now)
        self._intake.note(record, step=act.step.do if refused is None else "", response_id=asked.response_id)
        state = ("x-codex-turn-state", f"ts-{asked.response_id[5:21]}")
        headers = (*front_headers(now), state, ("x-models-etag", etag_of(member.models)))
        scene = Scene(asked, act.quota, now, act.resets_at, headers, member.spec.headers)
        return self._intake.answer(record, stage(act.step, scene))

    def _admit(self, request: Request) -> Caller | Reply:
        """Who asks. The journal learns whose token came, and never the token."""
        record: Record = request.scope[RECORD]
        now = time.time()
        access = bearer_token(request)
        if access is None:
            return replies.UNAUTHORIZED
        bearer = self._world.issuer.bearer(access, now)
        if bearer is None:
            self._intake.name(record, None, "unknown", "<unknown token>")
            return replies.UNPARSEABLE_TOKEN
        words = f"<{bearer.label}: access token {bearer.generation}, {bearer.state}>"
        self._intake.name(record, bearer.label, bearer.state, words)
        if bearer.state == "expired":
            return replies.EXPIRED_TOKEN
        if bearer.state == "dead":
            return replies.revoked_token("token_invalidated") if bearer.revoked else replies.EXPIRED_TOKEN
        member = self._world.members[bearer.label]
        return _wrong_account(request, member) or Caller(member, access, member.clock(now))

    def _read_body(self, request: Request, content: bytes, member: Member) -> dict[str, object] | Reply:
        """The request's JSON object, if the backend takes it."""
        if len(content) > MAX_BODY:
            return replies.detail(413, "Request body too large")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return replies.detail(400, "Unsupported content type")
        try:
            body = self._intake.read_json(request, content)
        except (ValueError, RecursionError):
            return replies.detail(400, "Invalid JSON body")
        if not isinstance(body, dict):
            return replies.detail(400, "Invalid JSON body")
        lite = request.headers.get(LITE_HEADER) == "true"
        refused = refusal(body, models=member.models, lite_header=lite)
        return body if refused is None else refused


def _usage_reply(step: UsageStep, caller: Caller) -> Reply:
    if not isinstance(step, UsageAnswer):
        return whole_reply(step, "")
    member, who = caller.member, caller.member.identity
    quota = member.quota.at(caller.now)
    return replies.json_reply(200, usage(quota, who.account_id, who.user_id, member.spec.reset_credits, caller.now))


def _wrong_account(request: Request, member: Member) -> Reply | None:
    """The refusal where the account id or the FedRAMP header is not the token's. The real wording is not known."""
    if request.headers.getlist("chatgpt-account-id") != [member.identity.account_id]:
        return replies.detail(403, "ChatGPT-Account-ID does not match the account of the token")
    if member.identity.fedramp and request.headers.get("x-openai-fedramp") != "true":
        return replies.detail(403, "X-OpenAI-Fedramp is required for this account")
    return None

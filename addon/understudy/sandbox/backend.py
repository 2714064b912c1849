"""The Codex backend's endpoints: Responses, compaction, models, the account's own affairs. Strict about who asks."""

import time

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from understudy.sandbox import replies
from understudy.sandbox.account import Account
from understudy.sandbox.catalogue import etag_of, model_info
from understudy.sandbox.coding import MAX_BODY
from understudy.sandbox.intake import RECORD, Intake, bearer_token, front_headers
from understudy.sandbox.journal import Record
from understudy.sandbox.member import Member, next_of
from understudy.sandbox.meters import usage
from understudy.sandbox.performance import Performance, complete
from understudy.sandbox.profile import accounts_check, user_settings
from understudy.sandbox.prompts import Call
from understudy.sandbox.refusals import whole_reply
from understudy.sandbox.replies import Reply
from understudy.sandbox.steps import UsageAnswer, UsageStep
from understudy.sandbox.stream import Form
from understudy.sandbox.validate import LITE_HEADER
from understudy.sandbox.world import World


class Backend:
    """The endpoints below `/backend-api`; each returns an ASGI application that answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intake = Intake(world.journal)

    async def responses(self, request: Request) -> ASGIApp:
        """`POST codex/responses`."""
        return await self._call(request, Form.REPLY)

    async def compact(self, request: Request) -> ASGIApp:
        """`POST codex/responses/compact`."""
        return await self._call(request, Form.COMPACTION)

    async def models(self, request: Request) -> ASGIApp:
        """`GET codex/models`, with its ETag."""
        account = self.admit(request)
        if isinstance(account, Performance):
            return self._answer(request, account)
        models = account.member.models
        etag = ("etag", etag_of(models))
        sockets = self._world.scenario.websocket
        infos = [model_info(name, sockets=sockets) for name in models]
        reply = replies.json_reply(200, {"models": infos}, (etag,))
        if request.headers.get("if-none-match") == etag[1]:
            reply = Reply(304, headers=(etag,))
        return self._answer(request, account.decline(reply))

    async def usage(self, request: Request) -> ASGIApp:
        """`GET wham/usage`, by the account's own list of steps."""
        account = self.admit(request)
        if isinstance(account, Performance):
            return self._answer(request, account)
        step, now = next_of(account.member.usage_steps), account.now
        self._world.suffer(step, account.access)
        self._intake.note(request.scope[RECORD], step=f"usage: {step.do}")
        changes = tuple((name, value) for name, value in step.headers.items() if value is not None)
        headers = (*front_headers(now), *changes)
        return self._answer(request, complete(_usage_reply(step, account.member, now), headers, wait=step.wait))

    async def accounts(self, request: Request) -> ASGIApp:
        """`GET wham/accounts/check`: the account, and where its backend is."""
        account = self.admit(request)
        if isinstance(account, Performance):
            return self._answer(request, account)
        origin = self._world.scenario.workspace_origin or f"https://{request.headers.get('host', '')}"
        reply = replies.json_reply(200, accounts_check(account.member.identity, origin))
        return self._answer(request, account.decline(reply))

    async def settings(self, request: Request) -> ASGIApp:
        """`GET wham/settings/user`."""
        account = self.admit(request)
        if isinstance(account, Performance):
            return self._answer(request, account)
        return self._answer(request, account.decline(replies.json_reply(200, user_settings())))

    async def unknown(self, request: Request) -> ASGIApp:
        """Any other path: journalled all the same, with the whole body."""
        if RECORD not in request.scope:
            return Response(status_code=404)
        await self._intake.content(request)
        return self._answer(request, complete(replies.NOT_FOUND, front_headers(time.time())))

    def admit(self, connection: HTTPConnection) -> Account | Performance:
        """Who asks, or the refusal. The journal learns whose token came, and never the token."""
        access = bearer_token(connection)
        owner = replies.UNAUTHORIZED if access is None else self._owner(access, connection)
        return complete(owner, front_headers(time.time())) if isinstance(owner, Reply) else owner

    async def _call(self, request: Request, form: Form) -> ASGIApp:
        content = await self._intake.content(request)
        account = self.admit(request)
        if isinstance(account, Performance):
            return self._answer(request, account)
        body = self._read_body(request, content)
        if isinstance(body, Reply):
            return self._answer(request, account.decline(body))
        record: Record = request.scope[RECORD]
        call = Call(body, len(record.entry.content), form)
        refused = account.refusal(call, lite=request.headers.get(LITE_HEADER) == "true")
        return self._answer(request, account.perform(call, record) if refused is None else account.decline(refused))

    def _answer(self, request: Request, performance: Performance) -> ASGIApp:
        return self._intake.answer(request.scope[RECORD], performance)

    def _owner(self, access: str, connection: HTTPConnection) -> Account | Reply:
        """Whose token it is, where it is good for this request."""
        record: Record = connection.scope[RECORD]
        bearer = self._world.issuer.bearer(access, time.time())
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
        return _wrong_account(connection, member) or Account(self._world, self._intake, member, access)

    def _read_body(self, request: Request, content: bytes) -> dict[str, object] | Reply:
        """The request's JSON object, if the backend takes it for one."""
        if len(content) > MAX_BODY:
            return replies.detail(413, "Request body too large")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return replies.detail(400, "Unsupported content type")
        try:
            body = self._intake.read_json(request, content)
        except (ValueError, RecursionError):
            return replies.detail(400, "Invalid JSON body")
        return body if isinstance(body, dict) else replies.detail(400, "Invalid JSON body")


def _usage_reply(step: UsageStep, member: Member, now: float) -> Reply:
    if not isinstance(step, UsageAnswer):
        return whole_reply(step, "")
    who, quota = member.identity, member.quota.at(now)
    return replies.json_reply(200, usage(quota, who.account_id, who.user_id, member.spec.reset_credits, now))


def _wrong_account(connection: HTTPConnection, member: Member) -> Reply | None:
    """The refusal where the account id or the FedRAMP header is not the token's. The real wording is not known."""
    if connection.headers.getlist("chatgpt-account-id") != [member.identity.account_id]:
        return replies.detail(403, "ChatGPT-Account-ID does not match the account of the token")
    if member.identity.fedramp and connection.headers.get("x-openai-fedramp") != "true":
        return replies.detail(403, "X-OpenAI-Fedramp is required for this account")
    return None

"""The OpenAI Platform's Responses API, for keys: what it takes of a request is what the public reference says."""

import time
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp

from understudy.sandbox.intake import RECORD, Intake, bearer_token, front_headers
from understudy.sandbox.journal import Record
from understudy.sandbox.member import next_of
from understudy.sandbox.performance import Pairs, Performance, Scene, complete, stage
from understudy.sandbox.prompts import Call
from understudy.sandbox.quota import Quota
from understudy.sandbox.replies import Reply, error_reply
from understudy.sandbox.scenario import Credits
from understudy.sandbox.steps import Answer, EarlyFailure, PlatformStep
from understudy.sandbox.stream import Form
from understudy.sandbox.world import KeyHolder, World

PARAMETERS = frozenset(
    {
        "background",
        "client_metadata",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
NO_KEY = error_reply(401, "You didn't provide an API key.")
CHATGPT_TOKEN = error_reply(
    401, "You have insufficient permissions for this operation. Missing scopes: api.responses.write."
)
WRONG_KEY = error_reply(401, "Incorrect API key provided.", code="invalid_api_key")
# The Platform itself would not mind; but whoever sends this has confused the two sides.
CHATGPT_HEADER = error_reply(400, "ChatGPT-Account-ID is no header field of this API.", code="unknown_header")
NO_JSON = error_reply(400, "We could not parse the JSON body of your request.")

_NO_QUOTA = Quota("", (), Credits())


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is one of the scenario's."""

    world: World
    intake: Intake
    holder: KeyHolder

    def refusal(self, call: Call, *, lite: bool) -> Reply | None:
        """Why the Platform does not take this request; None where it does."""
        for name in call.body:
            if name not in PARAMETERS:
                return error_reply(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
        for name in ("model", "input"):
            if not call.body.get(name) and not (name == "input" and call.form is Form.PREWARM):
                message = f"Missing required parameter: '{name}'."
                return error_reply(400, message, code="missing_required_parameter", param=name)
        return None

    def perform(self, call: Call, record: Record) -> Performance:
        """The answer by the key's next step, unless the request itself is answered with a failure."""
        step: PlatformStep | EarlyFailure | None = self.world.reader(self.holder.prompts.mark).refusal(call.items)
        if step is None and call.form is Form.PREWARM:
            step = Answer()
        elif step is None:
            step = next_of(self.holder.steps)
            self.intake.note(record, step=step.do)
        return self._stage(step, call, record)

    def greet(self, record: Record) -> Performance:
        """The answer to a WebSocket's handshake, by the next step if that is for one."""
        if not self.holder.steps[0].handshake:
            return Performance(200, _headers(time.time()))
        step = next_of(self.holder.steps)
        self.intake.note(record, step=step.do)
        performance = self._stage(step, Call({"model": "", "stream": True}, 0), record)
        return replace(performance, headers=_headers(time.time())) if performance.status == 200 else performance

    def decline(self, reply: Reply) -> Performance:
        """A refusal, with the header fields of every answer."""
        return complete(reply, front_headers(time.time()))

    def _stage(self, step: PlatformStep | EarlyFailure, call: Call, record: Record) -> Performance:
        now = time.time()
        asked = self.holder.prompts.ask(call, step, {}, now)
        self.intake.note(record, response_id=asked.response_id)
        return stage(step, Scene(asked, _NO_QUOTA, now, 0, _headers(now), {}))


class Platform:
    """The endpoints below `/v1`; each returns an ASGI application that answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intake = Intake(world.journal)

    async def responses(self, request: Request) -> ASGIApp:
        """`POST /v1/responses`: one JSON object, or events where the request says `stream`."""
        return await self._call(request, Form.REPLY)

    async def compact(self, request: Request) -> ASGIApp:
        """`POST /v1/responses/compact`."""
        return await self._call(request, Form.COMPACTION)

    async def unknown(self, request: Request) -> ASGIApp:
        """Any other path: journalled all the same, with the whole body."""
        await self._intake.content(request)
        message = f"Invalid URL ({request.method} {request.url.path})"
        reply = complete(error_reply(404, message), front_headers(time.time()))
        return self._intake.answer(request.scope[RECORD], reply)

    def admit(self, connection: HTTPConnection) -> Key | Performance:
        """Whose key came, or the refusal. The journal learns that, and never the key."""
        holder = self._holder(connection)
        if isinstance(holder, Reply):
            return complete(holder, front_headers(time.time()))
        return Key(self._world, self._intake, holder)

    async def _call(self, request: Request, form: Form) -> ASGIApp:
        record: Record = request.scope[RECORD]
        content = await self._intake.content(request)
        key = self.admit(request)
        if isinstance(key, Performance):
            return self._intake.answer(record, key)
        body = self._read_body(request, content)
        if isinstance(body, Reply):
            return self._intake.answer(record, key.decline(body))
        call = Call(body, len(record.entry.content), form)
        refused = key.refusal(call, lite=False)
        return self._intake.answer(record, key.perform(call, record) if refused is None else key.decline(refused))

    def _holder(self, connection: HTTPConnection) -> KeyHolder | Reply:
        record: Record = connection.scope[RECORD]
        key = bearer_token(connection)
        if key is None:
            return NO_KEY
        holder, bearer = self._world.holders.get(key), self._world.issuer.bearer(key, time.time())
        if bearer is not None:
            words = f"<{bearer.label}: access token {bearer.generation}, {bearer.state}>"
            self._intake.name(record, bearer.label, bearer.state, words)
            return CHATGPT_TOKEN
        if holder is None:
            self._intake.name(record, None, "unknown", "<unknown token>")
            return WRONG_KEY
        self._intake.name(record, holder.label, "good", f"<{holder.label}: API key>")
        return CHATGPT_HEADER if "chatgpt-account-id" in connection.headers else holder

    def _read_body(self, request: Request, content: bytes) -> dict[str, object] | Reply:
        try:
            body = self._intake.read_json(request, content)
        except (ValueError, RecursionError):
            return NO_JSON
        return body if isinstance(body, dict) else NO_JSON


def _headers(now: float) -> Pairs:
    return (*front_headers(now), ("openai-version", "2020-10-01"), ("openai-organization", "org-sandbox"))

"""The OpenAI Platform's Responses API, for keys: what it takes of a request is what the public reference says."""

import time

from starlette.requests import Request
from starlette.types import ASGIApp

from understudy.sandbox.intake import RECORD, Intake, bearer_token, front_headers
from understudy.sandbox.journal import Record
from understudy.sandbox.member import next_of
from understudy.sandbox.performance import Scene, complete, stage
from understudy.sandbox.quota import Quota
from understudy.sandbox.replies import Reply, error_reply
from understudy.sandbox.scenario import Credits
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


class Platform:
    """`POST /v1/responses`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intake = Intake(world.journal)

    async def responses(self, request: Request) -> ASGIApp:
        """An answer by the key's next step: one JSON object, or events where the request says `stream`."""
        record: Record = request.scope[RECORD]
        content = await self._intake.content(request)
        now = time.time()
        holder = self._admit(request, record, now)
        if isinstance(holder, Reply):
            return self._intake.answer(record, complete(holder, front_headers(now)))
        body = self._read_body(request, content)
        if isinstance(body, Reply):
            return self._intake.answer(record, complete(body, front_headers(now)))
        return self._act(holder, body, record, now)

    def _admit(self, request: Request, record: Record, now: float) -> KeyHolder | Reply:
        """Whose key came. The journal learns that, and never the key."""
        key = bearer_token(request)
        if key is None:
            return NO_KEY
        holder, bearer = self._world.holders.get(key), self._world.issuer.bearer(key, now)
        if bearer is not None:
            words = f"<{bearer.label}: access token {bearer.generation}, {bearer.state}>"
            self._intake.name(record, bearer.label, bearer.state, words)
            return CHATGPT_TOKEN
        if holder is None:
            self._intake.name(record, None, "unknown", "<unknown token>")
            return WRONG_KEY
        self._intake.name(record, holder.label, "good", f"<{holder.label}: API key>")
        return CHATGPT_HEADER if "chatgpt-account-id" in request.headers else holder

    def _read_body(self, request: Request, content: bytes) -> dict[str, object] | Reply:
        try:
            body = self._intake.read_json(request, content)
        except (ValueError, RecursionError):
            return NO_JSON
        if not isinstance(body, dict):
            return NO_JSON
        for name in body:
            if name not in PARAMETERS:
                return error_reply(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
        for name in ("model", "input"):
            if not body.get(name):
                message = f"Missing required parameter: '{name}'."
                return error_reply(400, message, code="missing_required_parameter", param=name)
        return body

    def _act(self, holder: KeyHolder, body: dict[str, object], record: Record, now: float) -> ASGIApp:
        items = body["input"]
        refused = self._world.reader(holder.prompts.mark).refusal(items if isinstance(items, list) else ())
        step = next_of(holder.steps) if refused is None else refused
        asked = holder.prompts.ask(body, len(record.entry.content), step, {}, now)
        self._intake.note(record, step=step.do if refused is None else "", response_id=asked.response_id)
        headers = (*front_headers(now), ("openai-version", "2020-10-01"), ("openai-organization", "org-sandbox"))
        return self._intake.answer(record, stage(step, Scene(asked, _NO_QUOTA, now, 0, headers, {})))

"""The endpoints of OpenAI's API that are answered on this machine: models, counts of tokens, traces, and the usage."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from understudy import __version__
from understudy.oauth.answer import read_object
from understudy.oauth.client import NoAnswer, NotSent, send
from understudy.oauth.usage import usage_request
from understudy.pool.account import Account, Lane
from understudy.pool.choose import Exhausted
from understudy.proxy import refusals
from understudy.proxy.catalogue import Catalogue, Known
from understudy.proxy.options import Settings
from understudy.wire.coding import RequestRefused
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.estimate import input_tokens
from understudy.wire.models import codex_list, openai_list, openai_model, union
from understudy.wire.reply import Headers, Reply, openai_error
from understudy.wire.text import safe_text

ESTIMATE = "x-understudy-estimate"
"""Tells the host that a count of tokens is an estimate."""
USAGE_LIFETIME = 10.0
"""Seconds for which an account's usage is answered from memory."""
USAGE_TIMEOUT = 10.0
"""Seconds that ChatGPT has to tell it."""

_JSON = ("content-type", "application/json")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request: see `LocalAnswers.answer`."""

    endpoint: Endpoint
    headers: Headers
    body: bytes
    accounts: Sequence[Account]
    now: float


class LocalAnswers:
    """Answers requests that no account carries out. `settings` may be set at any time."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings = settings
        self._catalogue = catalogue
        self._usage: dict[str, tuple[float, bytes]] = {}
        """By account id: when it was told, and what."""
        self._answers: dict[Op, Callable[[_Asked], Awaitable[Reply]]] = {
            Op.MODELS: self._models,
            Op.MODEL: self._model,
            Op.INPUT_TOKENS: self._input_tokens,
            Op.TRACES: self._traces,
            Op.USAGE: self._usage_of,
        }

    def knows(self, op: Op) -> bool:
        """Whether it is one of those that are answered here."""
        return op in self._answers

    async def answer(
        self, endpoint: Endpoint, headers: Headers, body: bytes, accounts: Sequence[Account], now: float
    ) -> Reply:
        """The answer to a request for one of the five. `now`: epoch seconds. `body`: decoded.

        `accounts`: those that may serve, in pool order; for Op.USAGE the one that serves, first of all.
        """
        return await self._answers[endpoint.op](_Asked(endpoint, headers, body, accounts, now))

    # Models

    async def _models(self, asked: _Asked) -> Reply:
        version = _client_version(asked.endpoint)
        known = await self._lists(asked, version or "")
        if not known:
            return _no_models(asked)
        as_codex = asked.endpoint.codex or version is not None
        return _unless_known(asked.headers, *(_as_codex(known) if as_codex else _as_openai(known)))

    async def _model(self, asked: _Asked) -> Reply:
        """The model that the host asks for, be it that another one serves in its place."""
        known = await self._lists(asked)
        if not known:
            return _no_models(asked)
        name = asked.endpoint.ids[0]
        served = self.settings.models.alias(name)
        if all(info.slug != served for one in known for info in one.models):
            message = f"The model '{safe_text(name)}' does not exist"
            return openai_error(404, message, type="invalid_request_error", code="model_not_found", param="model")
        return Reply(200, (_JSON,), openai_model(name))

    async def _lists(self, asked: _Asked, client_version: str = "") -> list[Known]:
        backend, route = self.settings.backend, self.settings.route
        found = await self._catalogue.lists(asked.accounts, backend, route, asked.now, client_version)
        return list(found.values())

    # Others

    async def _input_tokens(self, asked: _Asked) -> Reply:
        try:
            count = await asyncio.to_thread(input_tokens, asked.body)
        except RequestRefused as refused:
            return refused.reply
        content = b'{"object":"response.input_tokens","input_tokens":%d}' % count
        return Reply(200, (_JSON, (ESTIMATE, "true")), content)

    async def _traces(self, asked: _Asked) -> Reply:
        """They go nowhere. The Agents SDK is content with any status below 300."""
        return Reply(204, (), b"")

    async def _usage_of(self, asked: _Asked) -> Reply:
        """What ChatGPT says of the first account's quota, as it says it."""
        now = asked.now
        account = next((account for account in asked.accounts if account.lane is Lane.CODEX), None)
        if account is None:
            return refusals.no_account(Exhausted(()), now)
        told_at, told = self._usage.get(account.id, (0.0, b""))
        if 0 <= now - told_at < USAGE_LIFETIME:
            return Reply(200, (_JSON,), told)
        if account.tokens.expires_at <= now:
            return _no_usage(503, f"the access token of {account.label} is renewed when it next serves")
        try:
            request = usage_request(self.settings.backend, account, __version__)
            status, told = await send(request, self.settings.route, USAGE_TIMEOUT, peer="ChatGPT")
        except (NotSent, NoAnswer, ValueError) as error:
            return _no_usage(502, str(error))
        if status != 200 or read_object(told) is None:
            return _no_usage(502, f"ChatGPT answered {status} for {account.label}")
        self._usage[account.id] = now, told
        return Reply(200, (_JSON,), told)


def _client_version(endpoint: Endpoint) -> str | None:
    """The version that the host names, or None."""
    versions = endpoint.parameters.get("client_version")
    return versions[0] if versions else None


def _as_codex(known: Sequence[Known]) -> tuple[bytes, str]:
    """Codex's list, with its ETag: the first account's own where no other adds to it."""
    first, models = known[0], union(one.models for one in known)
    if len(models) > len(first.models):
        content = codex_list(models)
        return content, _etag(content)
    content = first.copy.body.encode()
    return content, first.copy.etag or _etag(content)


def _as_openai(known: Sequence[Known]) -> tuple[bytes, str]:
    content = openai_list(union(one.models for one in known))
    return content, _etag(content)


def _etag(content: bytes) -> str:
    return f'"understudy-{sha256(content).hexdigest()[:32]}"'


def _unless_known(headers: Headers, content: bytes, etag: str) -> Reply:
    """A 304 where the host has it already (RFC 9110, 13.1.2), else the whole."""
    known = [tag.strip() for name, value in headers if name.lower() == "if-none-match" for tag in value.split(",")]
    if "*" in known or etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in known):
        return Reply(304, (("etag", etag),), b"")
    return Reply(200, (_JSON, ("etag", etag)), content)


def _no_models(asked: _Asked) -> Reply:
    if not asked.accounts:
        return refusals.no_account(Exhausted(()), asked.now)
    message = f"No ChatGPT account has told which models there are. {refusals.DETAILS}"
    return openai_error(503, message, type=refusals.TYPE, code="understudy_no_models")


def _no_usage(status: int, why: str) -> Reply:
    return openai_error(status, f"The usage is not known: {why}.", type=refusals.TYPE, code="understudy_no_usage")

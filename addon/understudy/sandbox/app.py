"""The sandbox's ASGI application: the routes, the journal around them, and the pages for people and scripts."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.sandbox.authorize import AuthorizePage
from understudy.sandbox.backend import Backend
from understudy.sandbox.caller import Door
from understudy.sandbox.device import DeviceLogin
from understudy.sandbox.exchange import opened
from understudy.sandbox.intake import RECORD
from understudy.sandbox.journal import Journal
from understudy.sandbox.member import Member
from understudy.sandbox.oauth import TokenEndpoint
from understudy.sandbox.platform import Platform
from understudy.sandbox.replies import Reply, detail
from understudy.sandbox.scenario import read_steps
from understudy.sandbox.sockets import Sockets
from understudy.sandbox.world import World

Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def build_app(world: World) -> ASGIApp:
    """The application: issuer at `/`, backend at `/backend-api`, the Platform at `/v1`, our own pages at `/sandbox`."""
    backend, platform, desk = Backend(world), Platform(world), Desk(world)
    tokens, authorize, device = TokenEndpoint(world), AuthorizePage(world), DeviceLogin(world)
    pages: list[tuple[str, str, Endpoint]] = [
        ("GET", "/oauth/authorize", authorize.show),
        ("POST", "/oauth/authorize", authorize.decide),
        ("POST", "/oauth/token", tokens.token),
        ("POST", "/oauth/revoke", tokens.revoke),
        ("POST", "/api/accounts/deviceauth/usercode", device.begin),
        ("POST", "/api/accounts/deviceauth/token", device.poll),
        ("GET", "/codex/device", device.show),
        ("POST", "/codex/device", device.decide),
        ("POST", "/backend-api/codex/responses", backend.responses),
        ("POST", "/backend-api/codex/responses/compact", backend.compact),
        ("GET", "/backend-api/codex/models", backend.models),
        ("GET", "/backend-api/wham/accounts/check", backend.accounts),
        ("GET", "/backend-api/wham/settings/user", backend.settings),
        ("GET", "/backend-api/wham/usage", backend.usage),
        ("GET", "/backend-api/codex/usage", backend.usage),
        ("GET", "/sandbox/journal", desk.journal),
        ("DELETE", "/sandbox/journal", desk.forget),
        ("POST", "/sandbox/reset", desk.reset),
        ("PUT", "/sandbox/steps/{label}", desk.steps),
        ("POST", "/sandbox/lift/{label}", desk.lift),
    ]
    doors: dict[str, Door] = {"/backend-api/codex/responses": backend}
    if world.scenario.api_keys:
        pages.append(("POST", "/v1/responses", platform.responses))
        pages.append(("POST", "/v1/responses/compact", platform.compact))
        doors["/v1/responses"] = platform

    async def unknown(request: Request, _: Exception) -> ASGIApp:
        of_platform = bool(world.scenario.api_keys) and request.url.path.startswith("/v1/")
        return await (platform if of_platform else backend).unknown(request)

    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for method, path, endpoint in pages],
        exception_handlers={404: cast(Any, unknown), 405: cast(Any, unknown)},
    )
    app.router.redirect_slashes = False
    sockets = Sockets(doors if world.scenario.websocket else {}, world.journal, world.scenario.websocket_life)
    return Journalled(app, sockets, world.journal)


class Journalled:
    """Opens a journal entry for every request but those to the sandbox's own pages."""

    def __init__(self, app: ASGIApp, sockets: ASGIApp, journal: Journal) -> None:
        self._app = app
        self._sockets = sockets
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        # Starlette wants lower-case names (ASGI, HTTP connection scope); the journal keeps what came.
        lower = {**scope, "headers": [(name.lower(), value) for name, value in scope["headers"]]}
        if scope["path"].startswith("/sandbox/"):
            await self._app(lower, receive, send)
            return
        record = self._journal.open(lambda number: opened(scope, number))
        if scope["type"] == "websocket":
            await self._sockets({**lower, RECORD: record}, receive, send)
            return
        try:
            await self._app({**lower, RECORD: record}, receive, send)
        except ClientDisconnect:
            now = time.monotonic()
            gone = replace(record.entry, cancelled_at=now, finished_at=now, ending="cancelled")
            self._journal.note(record, gone)


class Desk:
    """The sandbox's own pages: the journal, a fresh start, other steps for an account."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def journal(self, request: Request) -> ASGIApp:
        """`GET /sandbox/journal`: `{"entries": [...]}`."""
        return Response(self._world.journal.to_json(), media_type="application/json")

    async def forget(self, request: Request) -> ASGIApp:
        """`DELETE /sandbox/journal`: an empty journal; logins and steps stay as they are."""
        self._world.journal.clear()
        return Response(status_code=204)

    async def reset(self, request: Request) -> ASGIApp:
        """`POST /sandbox/reset`: the scenario from its beginning, with new logins."""
        self._world.reset(time.time())
        return Response(status_code=204)

    async def steps(self, request: Request) -> ASGIApp:
        """`PUT /sandbox/steps/LABEL` with a JSON list of steps."""
        member = self._member(request)
        if isinstance(member, Reply):
            return _plain(member)
        try:
            member.play(read_steps(await request.json()))
        except ValueError as error:
            return _plain(detail(400, str(error)))
        return Response(status_code=204)

    async def lift(self, request: Request) -> ASGIApp:
        """`POST /sandbox/lift/LABEL`: the account's windows are emptied now, whatever reset it has named."""
        member = self._member(request)
        if isinstance(member, Reply):
            return _plain(member)
        member.lift(member.clock(time.time()))
        return Response(status_code=204)

    def _member(self, request: Request) -> Member | Reply:
        label = request.path_params["label"]
        missing = detail(404, f"no such account; there are {', '.join(self._world.members)}")
        return self._world.members.get(label, missing)


def _plain(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))

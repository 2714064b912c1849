"""The issuer's login by device code: two endpoints for the device, one page for its user."""

import time
from dataclasses import replace

from starlette.requests import Request
from starlette.types import ASGIApp

from understudy.sandbox.exchange import Exchange
from understudy.sandbox.forms import read_form, shown
from understudy.sandbox.intake import RECORD
from understudy.sandbox.journal import Record
from understudy.sandbox.pages import choose_page, code_page, message_page
from understudy.sandbox.performance import complete
from understudy.sandbox.replies import NOT_FOUND, Reply, error_reply, json_reply
from understudy.sandbox.signin import Waiting
from understudy.sandbox.tokens import CLIENT_ID
from understudy.sandbox.world import World


class DeviceLogin:
    """Answers devices, and users that were sent to `/codex/device`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def begin(self, request: Request) -> ASGIApp:
        """`POST .../usercode` with `{"client_id"}`: `{"device_auth_id", "user_code", "interval"}`."""
        form, spec = await self._form(request), self._world.scenario.device
        if not spec.enabled:
            return self._answer(request, NOT_FOUND)
        if form.get("client_id") != CLIENT_ID:
            return self._answer(request, error_reply(400, "Invalid client specified.", code="invalid_client"))
        device = self._world.signin.begin(spec, time.time())
        # The real server writes the interval as a string.
        given = {"device_auth_id": device.id, "user_code": device.user_code, "interval": f"{device.interval:g}"}
        return self._answer(request, json_reply(200, given))

    async def poll(self, request: Request) -> ASGIApp:
        """`POST .../token` with `{"device_auth_id", "user_code"}`. The journal's step says what came of it."""
        word, reply = self._world.signin.poll(await self._form(request), time.time())
        record: Record = request.scope[RECORD]
        self._world.journal.note(record, replace(record.entry, step=word))
        return self._answer(request, reply)

    async def show(self, request: Request) -> ASGIApp:
        """`GET /codex/device`: asks for the code."""
        return self._answer(request, code_page())

    async def decide(self, request: Request) -> ASGIApp:
        """`POST /codex/device` with `user_code`, and, in a second step, `choice=account:LABEL` or `deny`."""
        form = await self._form(request)
        code, choice = str(form.get("user_code")), str(form.get("choice", ""))
        device = self._world.signin.find(code, time.time())
        if device is None:
            return self._answer(request, code_page("This code is wrong, or too old."))
        if not choice:
            everyone = [member.identity for member in self._world.members.values()]
            return self._answer(request, choose_page(everyone, [("deny", "Deny")], [("user_code", code)]))
        return self._answer(request, self._decided(device, choice))

    def _decided(self, device: Waiting, choice: str) -> Reply:
        label = choice.removeprefix("account:")
        device.denied = choice == "deny"
        if not device.denied and label not in self._world.members:
            return message_page(400, "Authentication error", "There is no such account.")
        if not device.denied:
            redirect, expires_at = (
                f"{self._world.issuer.url}/deviceauth/callback",
                time.time() + self._world.scenario.code_life,
            )
            self._world.signin.agree(device, label, redirect, expires_at)
        return message_page(200, "Done", "You can go back to your device.")

    async def _form(self, request: Request) -> dict[str, object]:
        """The request's members, for the journal too; none where it has none."""
        form = read_form(await request.body(), request.headers.get("content-type", "")) or {}
        record: Record = request.scope[RECORD]
        self._world.journal.note(record, replace(record.entry, body=shown(form)))
        return form

    def _answer(self, request: Request, reply: Reply) -> ASGIApp:
        return Exchange(complete(reply), self._world.journal, request.scope[RECORD])

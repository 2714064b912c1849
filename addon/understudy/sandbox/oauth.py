"""The issuer's endpoints for programs: `POST /oauth/token` with a refresh or a code, and `POST /oauth/revoke`."""

import json
import time
from dataclasses import replace

from starlette.requests import Request
from starlette.types import ASGIApp

from understudy.sandbox.exchange import Exchange
from understudy.sandbox.forms import read_form, shown
from understudy.sandbox.intake import RECORD
from understudy.sandbox.issuer import Grant
from understudy.sandbox.journal import Record
from understudy.sandbox.performance import Ending, Performance, complete
from understudy.sandbox.replies import Reply, error_reply, json_reply
from understudy.sandbox.steps import RefuseRefresh, Rotate, Status, TokenStep
from understudy.sandbox.tokens import CLIENT_ID, TokenSet
from understudy.sandbox.world import World


class TokenEndpoint:
    """Answers refresh grants by the account's token steps, and codes with a new login."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def token(self, request: Request) -> ASGIApp:
        """`POST /oauth/token`, in JSON or as a form."""
        record, form = await self._form(request)
        if isinstance(form, Reply):
            return self._answer(record, complete(form))
        if form.get("grant_type") == "authorization_code":
            return self._answer(record, complete(self._redeem(record, form)))
        return self._answer(record, self._refresh(record, form))

    async def revoke(self, request: Request) -> ASGIApp:
        """`POST /oauth/revoke`. A token that is unknown is no error (RFC 7009, 2.2)."""
        record, form = await self._form(request)
        if isinstance(form, Reply):
            return self._answer(record, complete(form))
        if form.get("token_type_hint") == "refresh_token" and form.get("client_id") != CLIENT_ID:
            return self._answer(record, complete(error_reply(401, "Invalid client.", code="invalid_client")))
        self._name(record, self._world.issuer.revoke(str(form.get("token"))), "revoke")
        return self._answer(record, complete(json_reply(200, {})))

    def _redeem(self, record: Record, form: dict[str, object]) -> Reply:
        """A code for a login's first tokens."""
        now = time.time()
        code = self._world.signin.redeem(form, now)
        if isinstance(code, Reply):
            return code
        self._name(record, code.label, "login")
        tokens = self._world.issuer.log_in(code.label, now, revoke=self._world.scenario.login_revokes)
        return json_reply(200, _granted(tokens, Rotate(), now))

    def _refresh(self, record: Record, form: dict[str, object]) -> Performance:
        """Reuse is looked at before any step: no fault of a scenario excuses it."""
        grant = self._world.issuer.read_grant(form)
        if isinstance(grant, Reply):
            return complete(grant)
        label = grant.login.identity.label
        step = self._world.members[label].take_token_step()
        self._name(record, label, step.do)
        return self._perform(step, grant)

    def _perform(self, step: TokenStep, grant: Grant) -> Performance:
        match step:
            case Rotate():
                now = time.time()
                tokens = self._world.issuer.rotate(grant, now, keep_refresh="refresh_token" in step.omit)
                if step.lost:
                    return Performance(None, wait=step.wait, ending=Ending.RST)
                reply = json_reply(200, _granted(tokens, step, now))
            case RefuseRefresh():
                reply = error_reply(step.status, "Please try signing in again.", code=step.code)
            case Status():
                body = step.body.encode() if isinstance(step.body, str) else json.dumps(step.body).encode()
                reply = Reply(step.status, body)
        return complete(reply, tuple((n, v) for n, v in step.headers.items() if v is not None), wait=step.wait)

    async def _form(self, request: Request) -> tuple[Record, dict[str, object] | Reply]:
        """The request's members, which the journal gets without their secrets."""
        record: Record = request.scope[RECORD]
        form = read_form(await request.body(), request.headers.get("content-type", ""))
        if form is None:
            return record, error_reply(400, "The request body is neither JSON nor a form.", code="invalid_request")
        told = shown(form)
        for name in {"refresh_token", "token"} & form.keys():
            told[name] = self._world.issuer.describe_refresh(str(form[name]))
        self._world.journal.note(record, replace(record.entry, body=told))
        return record, form

    def _name(self, record: Record, label: str | None, step: str) -> None:
        self._world.journal.note(record, replace(record.entry, step=step, account=label))

    def _answer(self, record: Record, performance: Performance) -> ASGIApp:
        return Exchange(performance, self._world.journal, record)


def _granted(tokens: TokenSet, step: Rotate, now: float) -> dict[str, object]:
    members: dict[str, object] = {
        "access_token": tokens.access,
        "refresh_token": tokens.refresh,
        "id_token": tokens.id_token,
        "token_type": "Bearer",
        "expires_in": int(tokens.expires_at - now),
        "scope": "openid profile email offline_access",
    }
    return {name: value for name, value in members.items() if name not in step.omit}

"""The issuer's endpoint: `POST /oauth/token` with a refresh grant, in JSON as Codex sends it or as a form."""

import json
import time
from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp

from understudy.sandbox.backend import RECORD
from understudy.sandbox.exchange import Exchange
from understudy.sandbox.issuer import Grant
from understudy.sandbox.journal import Record
from understudy.sandbox.performance import Ending, Performance, complete
from understudy.sandbox.replies import Reply, error_reply, json_reply
from understudy.sandbox.scenario import RefuseRefresh, Rotate, Status, TokenStep
from understudy.sandbox.tokens import TokenSet
from understudy.sandbox.world import World

TOKEN_FIELDS = ("refresh_token", "code", "code_verifier", "subject_token", "token")


class TokenEndpoint:
    """Answers refresh grants by the account's token steps."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def token(self, request: Request) -> ASGIApp:
        """`POST /oauth/token`. Reuse is looked at before any step: no fault of a scenario excuses it."""
        record: Record = request.scope[RECORD]
        content = await request.body()
        form = _read_form(content, request.headers.get("content-type", ""))
        if form is None:
            reply = error_reply(400, "The request body is neither JSON nor a form.", code="invalid_request")
            return self._answer(record, complete(reply))
        self._journal(record, form)
        grant = self._world.issuer.read_grant(form)
        if isinstance(grant, Reply):
            return self._answer(record, complete(grant))
        step = self._world.members[grant.login.identity.label].take_token_step()
        self._world.journal.note(record, replace(record.entry, step=step.do, account=grant.login.identity.label))
        return self._answer(record, self._perform(step, grant))

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

    def _journal(self, record: Record, form: dict[str, object]) -> None:
        """The request without its secrets."""
        shown = {name: "<hidden>" if name in TOKEN_FIELDS else value for name, value in form.items()}
        refresh = form.get("refresh_token")
        if isinstance(refresh, str):
            shown["refresh_token"] = self._world.issuer.describe_refresh(refresh)
        self._world.journal.note(record, replace(record.entry, body=shown))

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


def _read_form(content: bytes, content_type: str) -> dict[str, object] | None:
    """The members of a token request; None where it is neither of the two encodings."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(content.decode(), keep_blank_values=True))
        form = json.loads(content) if kind == "application/json" else None
    except (ValueError, RecursionError):
        return None
    return form if isinstance(form, dict) else None

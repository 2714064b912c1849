"""The issuer's authorize page: `GET /oauth/authorize` asks which account, `POST` to the same address sends back."""

import re
import time
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.types import ASGIApp

from understudy.sandbox.exchange import Exchange
from understudy.sandbox.forms import read_form
from understudy.sandbox.intake import RECORD
from understudy.sandbox.pages import choose_page, message_page
from understudy.sandbox.performance import complete
from understudy.sandbox.replies import Reply
from understudy.sandbox.scenario import Identity
from understudy.sandbox.tokens import CLIENT_ID
from understudy.sandbox.world import World

REGISTERED = ("http://localhost:1455/auth/callback", "http://localhost:1457/auth/callback")
"""The redirect URIs of Codex's client id."""
ERRORS = {
    "deny": ("access_denied", "The user denied the request."),
    "not_entitled": ("access_denied", "Workspace is not entitled: missing_codex_entitlement"),
}
MORE = (("deny", "Deny"), ("not_entitled", "Not entitled to Codex"))

_ANY_PORT = re.compile(r"http://localhost:\d{1,5}/auth/callback")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class AuthorizePage:
    """Answers browsers that a login has sent here."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def show(self, request: Request) -> ASGIApp:
        """`GET /oauth/authorize`: one button for every account of the scenario that may be chosen."""
        asked = _asked(request)
        wrong = self._wrong(asked)
        page = choose_page(self._accounts(asked), MORE) if wrong is None else _wrong_page(wrong)
        return self._answer(request, page)

    async def decide(self, request: Request) -> ASGIApp:
        """`POST /oauth/authorize` with `choice=account:LABEL`, `deny` or `not_entitled`: 302 to the `redirect_uri`."""
        asked = _asked(request)
        form = read_form(await request.body(), request.headers.get("content-type", "")) or {}
        wrong = self._wrong(asked)
        if wrong is not None:
            return self._answer(request, _wrong_page(wrong))
        return self._answer(request, self._decided(asked, str(form.get("choice"))))

    def _decided(self, asked: dict[str, str], choice: str) -> Reply:
        if choice in ERRORS:
            error, description = ERRORS[choice]
            return _back(asked, error=error, error_description=description)
        label = choice.removeprefix("account:")
        if label not in (who.label for who in self._accounts(asked)):
            return _wrong_page("choice")
        expires_at = time.time() + self._world.scenario.code_life
        code = self._world.signin.grant(label, asked["code_challenge"], asked["redirect_uri"], expires_at)
        return _back(asked, code=code, scope=asked.get("scope", ""))

    def _accounts(self, asked: dict[str, str]) -> list[Identity]:
        """Those of the workspaces that are allowed: ids, joined by commas; all of them where none is named."""
        allowed = asked.get("allowed_workspace_id", "")
        everyone = [member.identity for member in self._world.members.values()]
        return [who for who in everyone if not allowed or who.account_id in allowed.split(",")]

    def _wrong(self, asked: dict[str, str]) -> str | None:
        """The first parameter that is not as it has to be."""
        redirect, any_port = asked.get("redirect_uri", ""), self._world.scenario.login_any_port
        right = {
            "response_type": asked.get("response_type") == "code",
            "client_id": asked.get("client_id") == CLIENT_ID,
            "redirect_uri": redirect in REGISTERED or (any_port and _ANY_PORT.fullmatch(redirect) is not None),
            "scope": {"openid", "offline_access"} <= set(asked.get("scope", "").split()),
            "code_challenge": _CHALLENGE.fullmatch(asked.get("code_challenge", "")) is not None,
            "code_challenge_method": asked.get("code_challenge_method") == "S256",
            "state": bool(asked.get("state")),
        }
        return next((name for name, is_right in right.items() if not is_right), None)

    def _answer(self, request: Request, reply: Reply) -> ASGIApp:
        return Exchange(complete(reply), self._world.journal, request.scope[RECORD])


def _asked(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.url.query, keep_blank_values=True))


def _wrong_page(name: str) -> Reply:
    return message_page(400, "Authentication error", f"The request is wrong: {name}")


def _back(asked: dict[str, str], **members: str) -> Reply:
    """The browser goes back to the program (RFC 6749, 4.1.2)."""
    location = f"{asked['redirect_uri']}?{urlencode(members | {'state': asked['state']})}"
    return Reply(302, headers=(("location", location), ("cache-control", "no-store")))

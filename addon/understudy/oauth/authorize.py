"""The authorization request (RFC 6749, 4.1.1) as the Codex CLI makes it, and what comes back by the browser."""

import hmac
from urllib.parse import parse_qs, urlencode

from understudy.oauth.pkce import Attempt
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID, endpoint
from understudy.wire.secret import Secret
from understudy.wire.text import is_token

CALLBACK_PATH = "/auth/callback"
SCOPE = "openid profile email offline_access api.connectors.read api.connectors.invoke"
MAX_CALLBACK = 16 * 1024
"""Characters of a query that is looked into."""


def redirect_uri(port: int) -> str:
    """Where the browser is sent in the end. The host has to be `localhost`: so it is registered for the client id."""
    return f"http://localhost:{port}{CALLBACK_PATH}"


def authorize_url(issuer: str, redirect: str, attempt: Attempt, workspace: str | None = None) -> str:
    """`{issuer}/oauth/authorize` with the Codex CLI's parameters in its order.

    `workspace`: account id of the one to log in to (`allowed_workspace_id`). Raises ValueError for a bad issuer.
    """
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect,
        "scope": SCOPE,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
        "state": attempt.state.reveal(),
        "originator": "understudy",
    }
    if workspace is not None:
        parameters["allowed_workspace_id"] = workspace
    return f"{endpoint(issuer, '/oauth/authorize')}?{urlencode(parameters)}"


def read_callback(query: str, state: Secret) -> Secret | Refused:
    """The code in the query of a callback, `code=...&state=...`, or `error=...&error_description=...&state=...`.

    Without the right state nothing else in it is looked at: any web page can send a browser here.
    """
    given = parse_qs(query, errors="replace") if len(query) <= MAX_CALLBACK else {}
    if not _is_state(_only(given, "state"), state):
        return Refused(Reason.WRONG_STATE)
    error = _only(given, "error")
    if error:
        return Refused(_reason(error, _only(given, "error_description")))
    return _code(_only(given, "code"))


def read_pasted(text: str, state: Secret) -> Secret | Refused:
    """The code in what a user pastes: the callback's URL, its query, or the code alone.

    A code alone comes without a state; that it belongs to this login is then for the PKCE verifier to show.
    """
    pasted = text.strip()
    if "://" in pasted or "?" in pasted:
        pasted = pasted.partition("#")[0].partition("?")[2]
    elif "=" not in pasted.rstrip("="):
        return _code(pasted)
    return read_callback(pasted, state)


def _only(given: dict[str, list[str]], name: str) -> str:
    """The parameter, or nothing where it came twice (RFC 6749, 3.1: it must not)."""
    values = given.get(name, [])
    return values[0] if len(values) == 1 else ""


def _is_state(given: str, state: Secret) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), state.reveal().encode())


def _reason(error: str, description: str) -> Reason:
    if error != "access_denied":
        return Reason.OTHER
    # So ChatGPT says that a workspace has no Codex (Codex CLI, login/src/server.rs).
    return Reason.NOT_ENTITLED if "missing_codex_entitlement" in description.lower() else Reason.DENIED


def _code(text: str) -> Secret | Refused:
    return Secret(text) if is_token(text) else Refused(Reason.NO_CODE)

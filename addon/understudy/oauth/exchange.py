"""The code grant (RFC 6749, 4.1.3) as ChatGPT's login server takes it: the request, and what its answer means."""

from urllib.parse import urlencode

from understudy.oauth.answer import error_code, read_object
from understudy.oauth.claims import login_claims
from understudy.oauth.codex_auth import Login
from understudy.oauth.refresh import Transient, access_end
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID, OAuthRequest, endpoint
from understudy.pool.account import Tokens
from understudy.wire.secret import Secret
from understudy.wire.text import is_token

FORM = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))


def exchange_request(issuer: str, code: Secret, redirect: str, verifier: Secret) -> OAuthRequest:
    """`POST {issuer}/oauth/token` with a form. `redirect`: the very `redirect_uri` that the code was asked for with.

    Raises ValueError where the code would go out in the clear.
    """
    grant = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect,
        "client_id": CLIENT_ID,
        "code_verifier": verifier.reveal(),
    }
    return OAuthRequest("POST", endpoint(issuer, "/oauth/token"), FORM, urlencode(grant).encode())


def read_exchange(status: int, body: bytes, now: float) -> Login | Refused | Transient:
    """What the answer to a code means. `now`: epoch seconds.

    Success is 2xx and `{"access_token", "refresh_token", "id_token"?, "expires_in"?}`. A code is good for one use,
    so that after anything else the login has to be started anew.
    """
    answer = read_object(body)
    if status in (408, 429) or not 200 <= status < 500:
        return Transient(f"the login server answered {status}")
    if status >= 300:
        return Refused(Reason.CODE_SPENT if error_code(answer or {}) == "invalid_grant" else Reason.OTHER)
    return _login(answer or {}, now)


def _login(answer: dict[str, object], now: float) -> Login | Refused | Transient:
    access, refresh, id_token = (_token(answer, name) for name in ("access_token", "refresh_token", "id_token"))
    if access is None or refresh is None or id_token is None or not access or not refresh:
        return Transient("the login server's answer has no usable tokens")
    claims = login_claims(access, id_token)
    if not claims.account_id:
        return Refused(Reason.NO_ACCOUNT)
    return Login(Tokens(access, refresh, id_token, access_end(access, answer.get("expires_in"), now)), claims)


def _token(answer: dict[str, object], name: str) -> Secret | None:
    """The token; an empty one where there is none, None where what is there is no token."""
    value = answer.get(name) or ""
    return Secret(value) if isinstance(value, str) and (not value or is_token(value)) else None

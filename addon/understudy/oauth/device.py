"""The device login of ChatGPT, in the manner of RFC 8628: a code that is typed into a browser anywhere."""

import json
import math
import re
from dataclasses import dataclass
from enum import Enum

from understudy.oauth.answer import error_code, read_object
from understudy.oauth.refresh import Transient
from understudy.oauth.refused import Reason, Refused
from understudy.oauth.request import CLIENT_ID, OAuthRequest, endpoint
from understudy.wire.secret import Secret
from understudy.wire.text import is_token

LIFE = 900.0
"""Seconds after which the Codex CLI gives a code up."""
DEFAULT_INTERVAL = 5.0
MAX_INTERVAL = 60.0
SLOWER = 5.0
"""Seconds that `slow_down` adds to the interval (RFC 8628, 3.5)."""

_JSON = (("content-type", "application/json"), ("accept", "application/json"))
_USER_CODE = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)*")
_FINAL = {"access_denied": Reason.DENIED, "expired_token": Reason.EXPIRED}


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device login that was begun. `user_code` is for the user to type; `interval`: seconds between two polls."""

    id: Secret
    user_code: str
    interval: float


@dataclass(frozen=True, slots=True)
class Granted:
    """The user has agreed: a code to exchange, and the PKCE verifier, which here the login server makes."""

    code: Secret
    verifier: Secret


class Waiting(Enum):
    """The user has not decided yet."""

    PENDING = "pending"
    SLOW_DOWN = "slow_down"
    """And we ask too often."""


def device_page(issuer: str) -> str:
    """The page to type the code into. Raises ValueError for a bad issuer."""
    return endpoint(issuer, "/codex/device")


def device_redirect(issuer: str) -> str:
    """The `redirect_uri` to exchange a granted code with; nobody is ever sent there."""
    return endpoint(issuer, "/deviceauth/callback")


def begin_request(issuer: str) -> OAuthRequest:
    """`POST {issuer}/api/accounts/deviceauth/usercode`: `{"client_id"}`. Raises ValueError for a bad issuer."""
    return _post(issuer, "usercode", {"client_id": CLIENT_ID})


def read_begin(status: int, body: bytes) -> DeviceCode | Refused | Transient:
    """The code that was given: 2xx and `{"device_auth_id", "user_code" or "usercode", "interval": "5"}`."""
    if status == 404:
        return Refused(Reason.NOT_ENABLED)
    if not 200 <= status < 300:
        return _trouble(status)
    answer = read_object(body) or {}
    identifier, code = answer.get("device_auth_id"), answer.get("user_code") or answer.get("usercode")
    if not _is_token(identifier) or not isinstance(code, str) or len(code) > 20 or not _USER_CODE.fullmatch(code):
        return Transient("the login server's answer has no usable code")
    return DeviceCode(Secret(str(identifier)), code, _interval(answer.get("interval")))


def poll_request(issuer: str, device: DeviceCode) -> OAuthRequest:
    """`POST {issuer}/api/accounts/deviceauth/token`: `{"device_auth_id", "user_code"}`. Raises ValueError."""
    return _post(issuer, "token", {"device_auth_id": device.id.reveal(), "user_code": device.user_code})


def read_poll(status: int, body: bytes) -> Granted | Waiting | Refused | Transient:
    """What a poll says. 2xx: `{"authorization_code", "code_verifier", ...}`; 403 and 404: not yet.

    RFC 8628's codes go before the status: `slow_down`, `access_denied`, `expired_token`.
    """
    answer = read_object(body) or {}
    code = error_code(answer)
    if 200 <= status < 300:
        return _granted(answer)
    if code in _FINAL:
        return Refused(_FINAL[code])
    if code == "slow_down" or status == 429:
        return Waiting.SLOW_DOWN
    return Waiting.PENDING if status in (403, 404) or code == "authorization_pending" else _trouble(status)


def _post(issuer: str, name: str, body: dict[str, str]) -> OAuthRequest:
    url = endpoint(issuer, f"/api/accounts/deviceauth/{name}")
    return OAuthRequest("POST", url, _JSON, json.dumps(body).encode())


def _granted(answer: dict[str, object]) -> Granted | Transient:
    code, verifier = answer.get("authorization_code"), answer.get("code_verifier")
    if not _is_token(code) or not _is_token(verifier):
        return Transient("the login server's answer has no usable code")
    return Granted(Secret(str(code)), Secret(str(verifier)))


def _trouble(status: int) -> Refused | Transient:
    final = 400 <= status < 500 and status not in (408, 429)
    return Refused(Reason.OTHER) if final else Transient(f"the login server answered {status}")


def _is_token(value: object) -> bool:
    return isinstance(value, str) and is_token(value)


def _interval(value: object) -> float:
    """The interval, which comes as a string, within what can be meant: 1 to 60 seconds."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else DEFAULT_INTERVAL
    except (ValueError, OverflowError):
        return DEFAULT_INTERVAL
    return min(max(seconds, 1.0), MAX_INTERVAL) if not math.isnan(seconds) else DEFAULT_INTERVAL

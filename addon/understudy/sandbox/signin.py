"""The issuer's memory of logins on their way: authorization codes, and devices that wait for their code to be entered.

Codes are good for one exchange, by whoever has the PKCE verifier (RFC 7636) and names the same `redirect_uri`.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from understudy.sandbox.replies import Reply, error_reply, json_reply
from understudy.sandbox.scenario import Device
from understudy.sandbox.tokens import CANARY, CLIENT_ID

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""What user codes are made of (RFC 8628, 6.1): no vowels, no words."""


@dataclass(frozen=True, slots=True)
class Code:
    """What an authorization code stands for. `expires_at`: epoch seconds."""

    label: str
    challenge: str
    redirect_uri: str
    expires_at: float


@dataclass(slots=True)
class Waiting:
    """A device that waits. `answer`: a code, its challenge and verifier, once the user has agreed."""

    id: str
    user_code: str
    expires_at: float
    interval: float
    slow_downs: int
    polled_at: float | None = None
    denied: bool = False
    answer: dict[str, str] | None = None


@dataclass(slots=True)
class SignIn:
    """All codes and devices. Times are epoch seconds."""

    _codes: dict[str, Code] = field(default_factory=dict)
    _devices: dict[str, Waiting] = field(default_factory=dict)
    _made: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Back to the beginning: nobody is on the way. What was made may leak all the same."""
        self._codes.clear()
        self._devices.clear()

    def secrets(self) -> tuple[str, ...]:
        """Every code, device id and verifier there ever was."""
        return tuple(self._made)

    def grant(self, label: str, challenge: str, redirect_uri: str, expires_at: float) -> str:
        """A code for an account."""
        code = self._make("ac")
        self._codes[code] = Code(label, challenge, redirect_uri, expires_at)
        return code

    def redeem(self, form: dict[str, object], now: float) -> Code | Reply:
        """What the code of a token request (RFC 6749, 4.1.3) stands for, or the refusal. It is spent either way."""
        if form.get("client_id") != CLIENT_ID:
            return _refusal("invalid_client", "Invalid client specified.", 401)
        code = self._codes.pop(str(form.get("code")), None)
        if code is None or code.expires_at <= now:
            return _refusal("invalid_grant", "The authorization code is unknown, used or expired.")
        if form.get("redirect_uri") != code.redirect_uri:
            return _refusal("invalid_grant", "The redirect_uri is not the one the code was asked for with.")
        if challenge_of(str(form.get("code_verifier"))) != code.challenge:
            return _refusal("invalid_grant", "The code_verifier does not match the code_challenge.")
        return code

    def begin(self, spec: Device, now: float) -> Waiting:
        """A device that begins to wait."""
        letters = "".join(secrets.choice(LETTERS) for _ in range(8))
        code = f"{letters[:4]}-{letters[4:]}"
        device = Waiting(self._make("da"), code, now + spec.life, spec.interval, spec.slow_downs)
        self._devices[device.id] = device
        return device

    def find(self, user_code: str, now: float) -> Waiting | None:
        """The device that waits for this code, entered in any case; None where none does, or none any longer."""
        wanted = user_code.strip().upper()
        found = (device for device in self._devices.values() if device.user_code == wanted)
        return next((device for device in found if device.expires_at > now and device.answer is None), None)

    def agree(self, device: Waiting, label: str, redirect_uri: str, expires_at: float) -> None:
        """The user has chosen an account for a device. It is the issuer that makes the verifier here."""
        verifier = self._make("verifier")
        challenge = challenge_of(verifier)
        code = self.grant(label, challenge, redirect_uri, expires_at)
        device.answer = {"authorization_code": code, "code_challenge": challenge, "code_verifier": verifier}

    def poll(self, form: dict[str, object], now: float) -> tuple[str, Reply]:
        """How it stands with a device, in a word and as the answer. RFC 8628's codes where the wait is no plain one."""
        device = self._devices.get(str(form.get("device_auth_id")))
        if device is None or form.get("user_code") != device.user_code:
            return "unknown", error_reply(404, "Unknown device.", code="deviceauth_authorization_unknown")
        last, device.polled_at = device.polled_at, now
        if device.denied:
            return "denied", _refusal("access_denied", "The user denied the request.")
        if device.answer is not None:
            del self._devices[device.id]
            return "granted", json_reply(200, device.answer)
        if device.expires_at <= now:
            return "expired", _refusal("expired_token", "The code has expired.")
        if device.slow_downs > 0 or (last is not None and now - last < 0.9 * device.interval):
            device.slow_downs -= 1
            return "slow_down", _refusal("slow_down", "Poll less often.")
        return "pending", error_reply(403, "The user has not decided yet.", code="deviceauth_authorization_pending")

    def _make(self, kind: str) -> str:
        """A secret with the canary in it; as a verifier it has the length and the letters of RFC 7636, 4.1."""
        made = f"{kind}_{CANARY}-{secrets.token_hex(16)}"
        self._made.append(made)
        return made


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636, 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode(errors="replace")).digest()).rstrip(b"=").decode()


def _refusal(error: str, description: str, status: int = 400) -> Reply:
    """RFC 6749, 5.2."""
    return json_reply(status, {"error": error, "error_description": description})

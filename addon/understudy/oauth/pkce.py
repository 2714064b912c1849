"""The secrets of one login attempt: the PKCE verifier (RFC 7636) and the `state` that its answer has to bring back."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from understudy.wire.secret import Secret

RANDOM_BYTES = 96
"""How many an attempt is made of: 64 for the verifier and 32 for the state, as the Codex CLI has them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a login; each has its own."""

    verifier: Secret
    state: Secret

    @property
    def challenge(self) -> str:
        """The S256 challenge (RFC 7636, 4.2), which may be seen by anyone."""
        return _base64url(hashlib.sha256(self.verifier.reveal().encode()).digest())


def new_attempt(random: bytes) -> Attempt:
    """The attempt made of `random`, `RANDOM_BYTES` of them. Raises ValueError where there are fewer or more."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an attempt is made of {RANDOM_BYTES} random bytes")
    return Attempt(verifier=Secret(_base64url(random[:64])), state=Secret(_base64url(random[64:])))


def _base64url(data: bytes) -> str:
    """Without padding, as RFC 7636, appendix A, has it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()

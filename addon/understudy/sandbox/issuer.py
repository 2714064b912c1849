"""The OAuth issuer's memory: logins, their rotating refresh tokens, and which access tokens are good.

Refresh tokens are single-use. One that comes a second time revokes its login, as auth.openai.com may do.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from understudy.sandbox.replies import Reply, error_reply
from understudy.sandbox.scenario import AccountSpec, Identity
from understudy.sandbox.tokens import CLIENT_ID, TokenSet, mint

REUSED = (
    "Your refresh token has already been used to generate a new access token. Please try signing in again.",
    "refresh_token_reused",
)
INVALIDATED = ("Your refresh token has been invalidated. Please try signing in again.", "refresh_token_invalidated")
UNKNOWN = ("Could not validate your token. Please try signing in again.", "token_expired")


@dataclass(slots=True)
class Login:
    """One login and all the tokens it ever had. `spent`: refresh tokens already used; `dead`: access tokens refused."""

    identity: Identity
    spec: AccountSpec
    tokens: TokenSet
    history: list[TokenSet] = field(default_factory=list)
    spent: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose access token came, and what it is worth: good, expired, dead."""

    label: str
    generation: int
    state: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A refresh request that was understood, and the login it is about."""

    login: Login
    refresh: str


@dataclass(slots=True)
class Issuer:
    """All logins. `url` goes into the tokens as `iss`; `nonce` makes tokens of two sandboxes differ."""

    url: str
    nonce: Callable[[], str] = lambda: secrets.token_hex(6)
    logins: dict[str, Login] = field(default_factory=dict)
    _minted: list[str] = field(default_factory=list)

    def add(self, identity: Identity, spec: AccountSpec, now: float) -> None:
        """Logs an account in: its first tokens are minted. A new login takes the place of the old one."""
        life = spec.access_life if spec.first_life is None else spec.first_life
        tokens = self._mint(identity, 1, life, now)
        self.logins[identity.label] = Login(identity, spec, tokens, [tokens])

    def bearer(self, access: str, now: float) -> Bearer | None:
        """What is known of an access token; None where it was not minted here."""
        for label, login in self.logins.items():
            for tokens in login.history:
                if tokens.access == access:
                    dead = login.revoked or access in login.dead
                    state = "dead" if dead else "expired" if tokens.expires_at <= now else "good"
                    return Bearer(label, tokens.generation, state)
        return None

    def refuse_access(self, access: str) -> None:
        """From now on this access token is dead; its login is not."""
        for login in self.logins.values():
            if any(tokens.access == access for tokens in login.history):
                login.dead.add(access)

    def describe_refresh(self, refresh: str) -> str:
        """Whose refresh token it is, in words that give nothing away."""
        for label, login in self.logins.items():
            for tokens in login.history:
                if tokens.refresh == refresh:
                    return f"<{label}: refresh token {tokens.generation}>"
        return "<unknown refresh token>"

    def read_grant(self, form: dict[str, object]) -> Grant | Reply:
        """The refresh that `form` asks for (RFC 6749, 6), or the refusal. Reuse revokes the login at once."""
        if form.get("grant_type") != "refresh_token":
            return error_reply(400, "Unsupported grant type.", code="unsupported_grant_type")
        if form.get("client_id") != CLIENT_ID:
            return error_reply(401, "Invalid client specified.", code="invalid_client")
        refresh = form.get("refresh_token")
        if not isinstance(refresh, str) or not refresh:
            message = "Invalid 'refresh_token': empty string. Expected a string with minimum length 1."
            return error_reply(400, message, code="empty_string", param="refresh_token")
        for login in self.logins.values():
            if refresh in login.spent:
                login.revoked = True
                return error_reply(401, REUSED[0], code=REUSED[1])
            if refresh == login.tokens.refresh:
                return error_reply(401, INVALIDATED[0], code=INVALIDATED[1]) if login.revoked else Grant(login, refresh)
        return error_reply(401, UNKNOWN[0], code=UNKNOWN[1])

    def rotate(self, grant: Grant, now: float, *, keep_refresh: bool = False) -> TokenSet:
        """New tokens for a login; the refresh token that asked for them is spent, unless it is to be kept."""
        login = grant.login
        generation = login.tokens.generation + 1
        life = login.spec.access_life
        tokens = self._mint(login.identity, generation, life, now)
        if keep_refresh:
            tokens = TokenSet(tokens.access, grant.refresh, tokens.id_token, tokens.expires_at, generation)
        else:
            login.spent.add(grant.refresh)
        login.tokens = tokens
        login.history.append(tokens)
        return tokens

    def secrets(self) -> tuple[str, ...]:
        """Every token string there ever was, and the canaries within them."""
        return tuple(self._minted)

    def _mint(self, identity: Identity, generation: int, life: float, now: float) -> TokenSet:
        tokens = mint(identity, issuer=self.url, generation=generation, nonce=self.nonce(), life=life, now=now)
        self._minted.extend(tokens.strings)
        return tokens

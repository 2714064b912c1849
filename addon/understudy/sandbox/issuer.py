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
    """Whose access token came, and what it is worth: good, expired, dead. `revoked`: its whole login is dead."""

    label: str
    generation: int
    state: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A refresh request that was understood, and the login it is about."""

    login: Login
    refresh: str


@dataclass(slots=True)
class Issuer:
    """All logins. `url` goes into the tokens as `iss`; `nonce` makes tokens of two sandboxes differ.

    `logins`: the latest of every account, by its label.
    """

    url: str
    nonce: Callable[[], str] = lambda: secrets.token_hex(6)
    logins: dict[str, Login] = field(default_factory=dict)
    _all: list[Login] = field(default_factory=list)
    _minted: list[str] = field(default_factory=list)

    def add(self, identity: Identity, spec: AccountSpec, now: float) -> None:
        """An account at the scenario's beginning: one login, with its first tokens. Earlier ones are forgotten."""
        self._all = [login for login in self._all if login.identity.label != identity.label]
        life = spec.access_life if spec.first_life is None else spec.first_life
        self._log_in(identity, spec, life, now)

    def log_in(self, label: str, now: float, *, revoke: bool = False) -> TokenSet:
        """One more login of an account: a token family of its own. `revoke`: it ends the earlier ones."""
        latest = self.logins[label]
        for login in self._of(label):
            login.revoked = login.revoked or revoke
        return self._log_in(latest.identity, latest.spec, latest.spec.access_life, now)

    def revoke(self, token: str) -> str | None:
        """Ends the login that a token belongs to (RFC 7009). The account's label, None where the token is unknown."""
        for login in self._all:
            if any(token in (tokens.refresh, tokens.access) for tokens in login.history):
                login.revoked = True
                return login.identity.label
        return None

    def bearer(self, access: str, now: float) -> Bearer | None:
        """What is known of an access token; None where it was not minted here."""
        for login in self._all:
            for tokens in login.history:
                if tokens.access == access:
                    dead = login.revoked or access in login.dead
                    state = "dead" if dead else "expired" if tokens.expires_at <= now else "good"
                    return Bearer(login.identity.label, tokens.generation, state, login.revoked)
        return None

    def refuse_access(self, access: str) -> None:
        """From now on this access token is dead; its login is not."""
        for login in self._all:
            if any(tokens.access == access for tokens in login.history):
                login.dead.add(access)

    def describe_refresh(self, refresh: str) -> str:
        """Whose refresh token it is, in words that give nothing away."""
        for login in self._all:
            for tokens in login.history:
                if tokens.refresh == refresh:
                    return f"<{login.identity.label}: refresh token {tokens.generation}>"
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
        for login in self._all:
            if refresh in login.spent:
                login.revoked = True
                return error_reply(401, REUSED[0], code=REUSED[1])
            if refresh == login.tokens.refresh:
                return error_reply(401, INVALIDATED[0], code=INVALIDATED[1]) if login.revoked else Grant(login, refresh)
        return error_reply(401, UNKNOWN[0], code=UNKNOWN[1])

    def rotate(self, grant: Grant, now: float, *, keep_refresh: bool = False) -> TokenSet:
        """New tokens for a login; the refresh token that asked for them is spent, unless it is to be kept."""
        login = grant.login
        tokens = self._mint(login.identity, login.spec.access_life, now)
        if keep_refresh:
            tokens = TokenSet(tokens.access, grant.refresh, tokens.id_token, tokens.expires_at, tokens.generation)
        else:
            login.spent.add(grant.refresh)
        login.tokens = tokens
        login.history.append(tokens)
        return tokens

    def secrets(self) -> tuple[str, ...]:
        """Every token string there ever was, and the canaries within them."""
        return tuple(self._minted)

    def _of(self, label: str) -> list[Login]:
        return [login for login in self._all if login.identity.label == label]

    def _log_in(self, identity: Identity, spec: AccountSpec, life: float, now: float) -> TokenSet:
        tokens = self._mint(identity, life, now)
        self.logins[identity.label] = Login(identity, spec, tokens, [tokens])
        self._all.append(self.logins[identity.label])
        return tokens

    def _mint(self, identity: Identity, life: float, now: float) -> TokenSet:
        """Tokens with the account's next number, over all of its logins."""
        generation = sum(len(login.history) for login in self._of(identity.label)) + 1
        tokens = mint(identity, issuer=self.url, generation=generation, nonce=self.nonce(), life=life, now=now)
        self._minted.extend(tokens.strings)
        return tokens

"""What a provider's error codes and words mean, as tables: another provider is another map, not another branch."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from understudy.wire.answer import ErrorWords


class Kind(Enum):
    """What happened to an attempt. The value is in words for people, `code` is for machines."""

    USAGE_LIMIT = "usage limit"
    """The account's plan is used up."""
    SHORT_LIMIT = "short limit"
    """A limit that ends within seconds, and says so."""
    BURST = "burst"
    """Too much at once; it says nothing of a quota."""
    UNAUTHORIZED = "unauthorized"
    """The access token was not taken; a new one may be."""
    REVOKED = "revoked"
    """The login itself is gone: trying on, here or with other accounts, would do harm."""
    WORKSPACE_GONE = "workspace gone"
    """The workspace of this account is deactivated, and no other of the same user is."""
    NOT_ENTITLED = "not entitled"
    """This account may not use this model."""
    CHALLENGE = "challenge"
    """Stopped before it reached the backend, because of where it came from; no account is at fault."""
    STALE_REASONING = "stale reasoning"
    """The request holds ciphertext that the backend cannot read."""
    OVERLOADED = "overloaded"
    """The model is; with another account it would be so, too."""
    SERVER_ERROR = "server error"
    TRANSPORT = "transport"
    """No complete answer came."""
    EMPTY = "empty"
    """A stream that ended before it began."""
    REDIRECT = "redirect"
    """The backend wants the request elsewhere, where no token may go."""
    REFUSED = "refused"
    """The request itself is at fault; another account would say the same."""

    @property
    def code(self) -> str:
        """A stable name: `usage_limit`, `workspace_gone`, ..."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error is. `reason`: words of our own."""

    kind: Kind
    reason: str
    status: int
    """That of an answer in its own right. 429 is also what the host is told where the backend had another: Codex
    understands a limit, and that a plan has no Codex, there alone.
    """


@dataclass(frozen=True, slots=True)
class Words:
    """What a message means that has these words, in answers of these statuses alone: it may quote the request."""

    pattern: re.Pattern[str]
    statuses: frozenset[int]
    meaning: Meaning


WITHIN = 200
"""In a table of statuses: an error within the stream of a 200."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorMap:
    """What a provider's errors mean."""

    codes: Mapping[str, Meaning]
    """By `code`, or else by `type`."""
    words: tuple[Words, ...]
    """For what has no code that we know: the first that fits counts."""
    server_errors: frozenset[str]
    """Codes of a failing backend; as a type, only of what has no code: refusals are of the type `server_error`, too."""
    renewable: bool
    """Whether a new token may be taken where one was not: an API key is refused once and for all."""

    def of_answer(self, error: ErrorWords, status: int) -> Meaning:
        """What an answer of 400 or more means. A 5xx is the backend's fault, whatever it says of the account."""
        named = self._named(error, status)
        if status >= 500:
            return OVERLOADED if status == 529 or named is OVERLOADED else SERVER_ERROR
        return named or self._final(_BY_STATUS.get(status) or Meaning(Kind.REFUSED, "request refused", status))

    def of_failure(self, error: ErrorWords) -> Meaning | None:
        """What a failure within the stream of a 200 means; None where it is the request that is at fault."""
        named = self._named(error, WITHIN)
        if named is None and (error.code or error.type) in self.server_errors:
            return SERVER_ERROR
        return named

    def _named(self, error: ErrorWords, status: int) -> Meaning | None:
        found = self.codes.get(error.code) or self.codes.get(error.type) or self._worded(error.message, status)
        return self._final(found) if found else None

    def _final(self, meaning: Meaning) -> Meaning:
        return KEY_REFUSED if meaning.kind is Kind.UNAUTHORIZED and not self.renewable else meaning

    def _worded(self, message: str, status: int) -> Meaning | None:
        said = message[:_LONGEST_MESSAGE]
        fitting = (row.meaning for row in self.words if status in row.statuses and row.pattern.search(said))
        return next(fitting, None)


_LONGEST_MESSAGE = 4000

USED_UP = Meaning(Kind.USAGE_LIMIT, "usage limit", 429)
RATE_LIMIT = Meaning(Kind.BURST, "rate limit", 429)
"""A limit that is named; its kind depends on when it ends."""
BURST = Meaning(Kind.BURST, "burst", 429)
"""A 429 that names no limit."""
UNAUTHORIZED = Meaning(Kind.UNAUTHORIZED, "unauthorized", 401)
KEY_REFUSED = Meaning(Kind.REVOKED, "key refused", 401)
OVERLOADED = Meaning(Kind.OVERLOADED, "overloaded", 503)
SERVER_ERROR = Meaning(Kind.SERVER_ERROR, "server error", 500)
_NO_QUOTA = Meaning(Kind.USAGE_LIMIT, "quota used up", 429)
_NOT_PAID = Meaning(Kind.USAGE_LIMIT, "payment required", 429)
_BILLING = Meaning(Kind.USAGE_LIMIT, "billing limit", 429)
_REVOKED = Meaning(Kind.REVOKED, "login revoked", 401)
_DEACTIVATED = Meaning(Kind.REVOKED, "account deactivated", 401)
_WORKSPACE_GONE = Meaning(Kind.WORKSPACE_GONE, "workspace deactivated", 402)
_NO_CODEX = Meaning(Kind.NOT_ENTITLED, "plan without Codex", 429)
_NO_MODEL = Meaning(Kind.NOT_ENTITLED, "model not for this account", 400)
_STALE = Meaning(Kind.STALE_REASONING, "stale reasoning", 400)

_BY_STATUS = {
    401: UNAUTHORIZED,
    402: _NOT_PAID,
    403: Meaning(Kind.REFUSED, "forbidden", 403),
    404: Meaning(Kind.REFUSED, "not found", 404),
    429: BURST,
}
"""What an answer means that does not say it."""


def _words(pattern: str, statuses: Iterable[int], meaning: Meaning) -> Words:
    return Words(re.compile(pattern, re.IGNORECASE | re.DOTALL), frozenset(statuses), meaning)


_LOST = r"\b(?:token|login|session|account|user|key)\b[^.]{0,80}\bha(?:s|ve) been (?:deleted or )?"
_SHARED_CODES = {
    "insufficient_quota": _NO_QUOTA,
    "rate_limit_exceeded": RATE_LIMIT,
    "account_deactivated": _DEACTIVATED,
    "model_not_found": Meaning(Kind.NOT_ENTITLED, "model not for this account", 404),
    "invalid_encrypted_content": _STALE,
    **dict.fromkeys(("server_is_overloaded", "server_overloaded", "overloaded_error", "slow_down"), OVERLOADED),
}
_SHARED_WORDS = (
    _words(_LOST + r"(?:invalidated|revoked|deactivated)|invalidated oauth token", (401, 403), _REVOKED),
    # A 403 says of features, too, that they "have been disabled".
    _words(_LOST + r"disabled|\baccount is (?:deactivated|disabled)", (401,), _REVOKED),
    _words(
        r"\bencrypted (?:function output )?content\b.{0,300}\b(?:could not be|did not match)", (400, WITHIN), _STALE
    ),
    _words(r"\bmodel is (?:currently )?(?:at capacity|overloaded)", (429, *range(500, 600), WITHIN), OVERLOADED),
    _words(r"\b(?:engine|server|service)s? (?:is|are) (?:currently )?overloaded", range(500, 600), OVERLOADED),
)
_SERVER_ERRORS = frozenset({"server_error", "internal_server_error", "internal_error"})

CODEX_ERRORS = ErrorMap(
    codes=_SHARED_CODES
    | {
        "usage_limit_reached": USED_UP,
        "usage_not_included": _NO_CODEX,
        "token_expired": UNAUTHORIZED,
        "token_invalidated": _REVOKED,
        "token_revoked": _REVOKED,
        "user_deactivated": _DEACTIVATED,
        "deactivated_workspace": _WORKSPACE_GONE,
        "model_not_supported_with_chatgpt_account": _NO_MODEL,
    },
    words=(
        *_SHARED_WORDS,
        _words(r"model is not supported when using codex with a chatgpt account", (400, 403, 404, WITHIN), _NO_MODEL),
        _words(
            r"\busage limit\b.{0,40}\b(?:reached|exceeded)|\bhit your usage limit", (403, 404, 429, WITHIN), USED_UP
        ),
    ),
    server_errors=_SERVER_ERRORS,
    renewable=True,
)
"""ChatGPT's backend for Codex."""

PLATFORM_ERRORS = ErrorMap(
    codes=_SHARED_CODES
    | {
        "billing_hard_limit_reached": _BILLING,
        "billing_not_active": _BILLING,
        "invalid_api_key": KEY_REFUSED,
    },
    words=_SHARED_WORDS,
    server_errors=_SERVER_ERRORS,
    renewable=False,
)
"""OpenAI's platform (platform documentation, "Error codes")."""

"""How an attempt ended, as one value out of a small closed set: all that the replay policy needs to know."""

import json
import re
from dataclasses import dataclass
from enum import Enum

from understudy.wire.answer import ErrorWords, error_of, read_error
from understudy.wire.coding import MIB
from understudy.wire.jsontext import loads
from understudy.wire.numbers import number, read_reset, read_retry_after, read_retry_after_ms
from understudy.wire.quota import MAIN_LIMIT, exhausted, from_headers, full_windows
from understudy.wire.reply import Headers, Reply, header, openai_error
from understudy.wire.response import translate_error
from understudy.wire.sse import Event

LONGEST_SHORT_LIMIT = 5.0
"""Seconds: what ends within them is waited for on the same account."""
DEFAULT_REST = 300.0
"""Seconds that an account rests after a usage limit that does not say when it ends."""


class Kind(Enum):
    """What happened to an attempt."""

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
    SERVER_ERROR = "server error"
    TRANSPORT = "transport"
    """No complete answer came."""
    REDIRECT = "redirect"
    """The backend wants the request elsewhere, where no token may go."""
    REFUSED = "refused"
    """The request itself is at fault; another account would say the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `reason` is made of our own words, so it can go into logs and comments."""

    kind: Kind
    status: int | None
    """HTTP status; None where there was no answer."""
    reason: str
    resets_at: float | None = None
    """USAGE_LIMIT: when it ends, in epoch seconds."""
    authoritative: bool = False
    """Whether the backend named `resets_at`; otherwise it is a guess of ours."""
    retry_after: float | None = None
    """SHORT_LIMIT: seconds to wait."""
    reply: Reply | None = None
    """What the host gets if this is the last word."""


def from_response(status: int, headers: Headers, body: bytes, now: float) -> Outcome:
    """From a complete answer (`body` decoded) that is no event stream; `now`: epoch seconds."""
    if status < 200 or 300 <= status < 400:
        return _redirect(status)
    if status < 300:
        message = f"The backend answered {status}, but not with a stream of events."
        return Outcome(Kind.SERVER_ERROR, status, "no event stream", reply=_bad_gateway(message))
    reply = translate_error(status, headers, body)
    error = _error(body)
    if status == 429:
        return _limit(status, error, headers, now, reply)
    if status == 401:
        if error.code in _REVOKED_CODES or _REVOKED_TEXT.search(error.message):
            return Outcome(Kind.REVOKED, status, "login revoked", reply=reply)
        return Outcome(Kind.UNAUTHORIZED, status, "unauthorized", reply=reply)
    if status >= 500:
        overloaded = status in (503, 529) or _is_overload(error)
        return Outcome(Kind.SERVER_ERROR, status, "overloaded" if overloaded else "server error", reply=reply)
    return Outcome(Kind.REFUSED, status, _REFUSALS.get(status, "request refused"), reply=reply)


def from_failure(event: Event, headers: Headers, now: float) -> Outcome | None:
    """From a `response.failed` or `error` event that came before any output, inside a 200 with these `headers`.

    None where another attempt would not help (a prompt too long, content that is not allowed, ...): the host gets the
    answer as it is.
    """
    error = error_of(event)
    if error.code in _LIMITS or error.type in _LIMITS:
        return _limit(429, error, headers, now, _reply(429, error))
    if _is_overload(error):
        return Outcome(Kind.SERVER_ERROR, 503, "overloaded", reply=_reply(503, error))
    if (error.code or error.type) in _SERVER_ERRORS:
        return Outcome(Kind.SERVER_ERROR, 500, "server error", reply=_reply(500, error))
    return None


def transport(reason: str) -> Outcome:
    """No complete answer: the connection failed, broke off or fell silent. `reason`: short words of our own."""
    return Outcome(Kind.TRANSPORT, None, reason, reply=_bad_gateway(f"The backend gave no complete answer: {reason}."))


_LONGEST_ERROR = MIB
_USAGE_LIMITS = {
    "usage_limit_reached": "usage limit",
    "usage_not_included": "plan without Codex",
    "insufficient_quota": "quota used up",
}
_RATE_LIMIT = "rate_limit_exceeded"
_LIMITS = frozenset({*_USAGE_LIMITS, _RATE_LIMIT})
_OVERLOADS = frozenset({"server_is_overloaded", "server_overloaded", "overloaded_error", "slow_down"})
_SERVER_ERRORS = frozenset({"server_error", "internal_server_error", "internal_error"})
_REVOKED_CODES = frozenset(
    {"token_invalidated", "token_revoked", "account_deactivated", "deactivated_workspace", "user_deactivated"}
)
_REVOKED_TEXT = re.compile(
    r"has been (?:invalidated|revoked|deactivated|disabled)|invalidated oauth token|account is deactivated",
    re.IGNORECASE,
)
_AT_CAPACITY = re.compile(r"model is at capacity", re.IGNORECASE)
_TRY_AGAIN = re.compile(r"try again in\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s\b|seconds?)", re.IGNORECASE)
_REFUSALS = {402: "payment required", 403: "forbidden", 404: "not found"}


def _limit(status: int, error: ErrorWords, headers: Headers, now: float, reply: Reply) -> Outcome:
    """One of the three kinds of a 429: the plan's limit, one that ends in seconds, or a burst."""
    named = next((_USAGE_LIMITS[word] for word in (error.code, error.type) if word in _USAGE_LIMITS), None)
    resets_at, full = _known_reset(error, headers, now)
    delay = None if resets_at is None else round(resets_at - now, 3)  # 5 s stay 5 s through the sum with `now`
    if named or full or (delay is not None and delay > LONGEST_SHORT_LIMIT):
        known = resets_at is not None and resets_at > now
        return Outcome(
            Kind.USAGE_LIMIT,
            status,
            named or ("rate limit" if error.code == _RATE_LIMIT else "usage limit"),
            resets_at=resets_at if known else now + DEFAULT_REST,
            authoritative=known,
            reply=reply,
        )
    if delay:
        return Outcome(Kind.SHORT_LIMIT, status, "short limit", retry_after=delay, reply=reply)
    return Outcome(Kind.BURST, status, "burst", reply=reply)


def _known_reset(error: ErrorWords, headers: Headers, now: float) -> tuple[float | None, bool]:
    """When the limit ends as far as anything says so, and whether the quota fields show a window used up.

    The body knows which limit was met, the quota fields know the windows, Retry-After is for all the world.
    """
    limit_id = (header(headers, "x-codex-active-limit") or MAIN_LIMIT).lower().replace("-", "_")
    snapshot = from_headers(headers, now)
    full = snapshot is not None and bool(full_windows(snapshot, limit_id))
    body = read_reset(error.body.get("resets_at"), error.body.get("resets_in_seconds"), now)
    candidates = (
        body,
        exhausted(snapshot, now, limit_id) if snapshot else None,
        _after(_retry_after(headers, now), now),
        _after(_named_in(error.message), now),
    )
    return next((moment for moment in candidates if moment is not None and moment > now), None), full


def _after(seconds: float | None, now: float) -> float | None:
    return None if seconds is None else now + seconds


def _retry_after(headers: Headers, now: float) -> float | None:
    milliseconds = read_retry_after_ms(header(headers, "retry-after-ms") or "")
    return milliseconds if milliseconds is not None else read_retry_after(header(headers, "retry-after") or "", now)


def _named_in(message: str) -> float | None:
    """The delay in "Rate limit reached for ... Please try again in 11.054s."; Codex reads it there as well."""
    found = _TRY_AGAIN.search(message[:2000])
    if found is None:
        return None
    amount = number(found[1])
    return amount / 1000 if amount is not None and found[2].lower() == "ms" else amount


def _error(body: bytes) -> ErrorWords:
    """The error of a complete answer: an OpenAI error object, or FastAPI's `detail`."""
    try:
        value = loads(body) if len(body) <= _LONGEST_ERROR else None
    except ValueError:
        value = None
    given = value.get("error") or value.get("detail") if isinstance(value, dict) else None
    if isinstance(given, str):
        return ErrorWords("", "", given)
    return read_error(given if isinstance(given, dict) else {})


def _is_overload(error: ErrorWords) -> bool:
    return bool({error.code, error.type} & _OVERLOADS) or _AT_CAPACITY.search(error.message) is not None


def _reply(status: int, error: ErrorWords) -> Reply:
    """A failure within a stream as the error answer that it is."""
    return translate_error(status, (), json.dumps({"error": error.body}).encode())


def _redirect(status: int) -> Outcome:
    message = "The backend answered with a redirect. Requests that carry a login are not sent elsewhere."
    reply = openai_error(502, message, type="server_error", code="blocked_outbound_redirect")
    return Outcome(Kind.REDIRECT, status, "redirect blocked", reply=reply)


def _bad_gateway(message: str) -> Reply:
    return openai_error(502, message, type="server_error", code="bad_gateway")

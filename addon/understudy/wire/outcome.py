"""How an attempt ended, as one value out of a small closed set: all that the replay policy needs to know."""

import json
import re
from dataclasses import dataclass, replace

from understudy.wire.answer import ErrorWords, error_of
from understudy.wire.errors import CODEX_ERRORS, ErrorMap, Meaning
from understudy.wire.errors import Kind as Kind
from understudy.wire.limits import read_limit, read_pause
from understudy.wire.quota import MAIN_LIMIT
from understudy.wire.reply import Headers, Reply, openai_error
from understudy.wire.response import challenge, error_in, retryable, translate_error
from understudy.wire.sse import Event

LONGEST_PAUSE = 300.0
"""Seconds that a backend in trouble is left alone at most, whatever it asks for."""


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
    limit_id: str = MAIN_LIMIT
    """USAGE_LIMIT: which of the account's limits it is."""
    retry_after: float | None = None
    """Seconds to wait: always of a SHORT_LIMIT; of BURST, OVERLOADED and SERVER_ERROR where the backend names them."""
    items: tuple[str, ...] = ()
    """STALE_REASONING: the ids of the items that the backend names."""
    reply: Reply | None = None
    """What the host gets if this is the last word."""


def from_response(status: int, headers: Headers, body: bytes, now: float, errors: ErrorMap = CODEX_ERRORS) -> Outcome:
    """From a complete answer (`body` decoded) that is no event stream; `now`: epoch seconds."""
    if status < 200 or 300 <= status < 400:
        return _redirect(status)
    if (stopped := challenge(status, headers, body)) is not None:
        reason, reply = stopped
        return Outcome(Kind.CHALLENGE, status, reason, reply=reply)
    if status < 300:
        message = f"The backend answered {status}, but not with a stream of events."
        return Outcome(Kind.SERVER_ERROR, status, "no event stream", reply=_bad_gateway(message))
    error = error_in(body)
    meaning = errors.of_answer(error, status)
    default = _UNPAID if status == 402 and meaning.kind is Kind.USAGE_LIMIT else None
    reply = translate_error(status, headers, body, default)
    told = replace(reply, status=429) if meaning.status == 429 else reply
    return _outcome(meaning, error, headers, now, status, told)


def from_failure(event: Event, headers: Headers, now: float, errors: ErrorMap = CODEX_ERRORS) -> Outcome | None:
    """From a `response.failed` or `error` event that came before any output, inside a 200 with these `headers`.

    None where another attempt would not help (a prompt too long, content that is not allowed, ...): the host gets the
    answer as it is.
    """
    error = error_of(event)
    meaning = errors.of_failure(error)
    if meaning is None:
        return None
    reply = translate_error(meaning.status, (), json.dumps({"error": error.body}).encode())
    return _outcome(meaning, error, headers, now, meaning.status, reply)


def transport(reason: str) -> Outcome:
    """No complete answer: the connection failed, broke off or fell silent. `reason`: short words of our own."""
    return Outcome(Kind.TRANSPORT, None, reason, reply=_bad_gateway(f"The backend gave no complete answer: {reason}."))


def empty() -> Outcome:
    """A 200 whose stream came to its end in order, without an event of the answer."""
    reason = "the answer ended before it began"
    return Outcome(Kind.EMPTY, 200, reason, reply=_bad_gateway(f"The backend gave no answer: {reason}."))


_UNPAID = ("insufficient_quota", "insufficient_quota")
_LEAST_PAUSE = 2.0
_PAUSING = frozenset({Kind.OVERLOADED, Kind.SERVER_ERROR})
_RETRIED_AS = {
    Kind.SHORT_LIMIT: "rate_limit_exceeded",
    Kind.BURST: "rate_limit_exceeded",
    Kind.OVERLOADED: "server_error",
}
"""What hosts would not come back after although it is soon gone, and the code that makes them."""
_LONGEST_MESSAGE = 4000
_MOST_ITEMS = 32
_ITEM_ID = re.compile(r"(?<![\w-])(?=\w*[0-9])[a-z]{2,5}_[A-Za-z0-9]{8,128}(?![\w-])")


def _outcome(meaning: Meaning, error: ErrorWords, headers: Headers, now: float, status: int, reply: Reply) -> Outcome:
    if meaning.kind in (Kind.USAGE_LIMIT, Kind.BURST):
        return _limited(meaning, error, headers, now, status, reply)
    pause = read_pause(headers, error, now) if meaning.kind in _PAUSING else None
    return Outcome(
        meaning.kind,
        status,
        meaning.reason,
        retry_after=_bounded(pause),
        items=_items(error.message) if meaning.kind is Kind.STALE_REASONING else (),
        reply=_last_word(meaning.kind, reply, pause),
    )


def _limited(meaning: Meaning, error: ErrorWords, headers: Headers, now: float, status: int, reply: Reply) -> Outcome:
    limit = read_limit(meaning, error, headers, now)
    return Outcome(
        limit.kind,
        status,
        limit.reason,
        limit.resets_at,
        limit.authoritative,
        limit.limit_id,
        _bounded(limit.pause),
        reply=_last_word(limit.kind, reply, limit.pause),
    )


def _last_word(kind: Kind, reply: Reply, pause: float | None) -> Reply:
    code = _RETRIED_AS.get(kind)
    return reply if code is None else retryable(reply, code, pause or _LEAST_PAUSE)


def _bounded(pause: float | None) -> float | None:
    return None if pause is None else min(pause, LONGEST_PAUSE)


def _items(message: str) -> tuple[str, ...]:
    """The ids of items in "The encrypted content for item rs_... could not be verified.", each once."""
    return tuple(dict.fromkeys(_ITEM_ID.findall(message[:_LONGEST_MESSAGE])))[:_MOST_ITEMS]


def _redirect(status: int) -> Outcome:
    message = "The backend answered with a redirect. Requests that carry a login are not sent elsewhere."
    reply = openai_error(502, message, type="server_error", code="blocked_outbound_redirect")
    return Outcome(Kind.REDIRECT, status, "redirect blocked", reply=reply)


def _bad_gateway(message: str) -> Reply:
    return openai_error(502, message, type="server_error", code="bad_gateway")

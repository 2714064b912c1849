"""What a limit is: the plan's, one that ends within seconds, or mere haste; and when it ends, if anything says so."""

import re
from dataclasses import dataclass

from understudy.wire.answer import ErrorWords
from understudy.wire.errors import BURST, USED_UP, Kind, Meaning
from understudy.wire.numbers import LONGEST_WAIT, number, read_reset, read_retry_after, read_retry_after_ms
from understudy.wire.quota import MAIN_LIMIT, active_limit, exhausted, from_headers, full_windows
from understudy.wire.reply import Headers, header
from understudy.wire.text import DAY

LONGEST_SHORT_LIMIT = 5.0
"""Seconds: what ends within them is waited for on the same account."""
REST_WITHOUT_RESET = 300.0
"""Seconds that an account rests whose limit is used up where nothing says until when."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that was met. `kind`: USAGE_LIMIT, SHORT_LIMIT or BURST."""

    kind: Kind
    reason: str
    limit_id: str = MAIN_LIMIT
    """USAGE_LIMIT: which of the account's limits it is."""
    resets_at: float | None = None
    """USAGE_LIMIT: epoch seconds."""
    authoritative: bool = False
    """Whether the backend named `resets_at`."""
    pause: float | None = None
    """The others: seconds to wait, where anything says how long."""


def read_limit(meaning: Meaning, error: ErrorWords, headers: Headers, now: float) -> Limit:
    """Which limit it is that `meaning` stands for. `now`: epoch seconds.

    The body knows which limit was met, the quota fields know the windows, Retry-After is for all the world. Where it
    is the only one to speak it asks for patience and says nothing of a quota.
    """
    snapshot, limit_id = from_headers(headers, now), active_limit(headers) or MAIN_LIMIT
    full = snapshot is not None and bool(full_windows(snapshot, now, limit_id))
    windows = exhausted(snapshot, now, limit_id) if snapshot else None
    told = read_reset(error.body.get("resets_at"), error.body.get("resets_in_seconds"), now)
    worded, pause = _named_in(error.message), read_pause(headers, error, now)
    candidates = (told, windows, _after(pause, now), _after(worded, now))
    resets_at = next((moment for moment in candidates if moment is not None and moment > now), None)
    delay = None if resets_at is None else round(resets_at - now, 3)  # 5 s stay 5 s through the sum with `now`
    speaks_of_a_limit = meaning is not BURST or bool(worded) or (told is not None and told > now)
    long = delay is not None and delay > LONGEST_SHORT_LIMIT and speaks_of_a_limit
    if meaning.kind is Kind.USAGE_LIMIT or full or long:
        reason = USED_UP.reason if meaning is BURST else meaning.reason
        known = resets_at is not None
        return Limit(Kind.USAGE_LIMIT, reason, limit_id, resets_at or now + REST_WITHOUT_RESET, authoritative=known)
    if delay and delay <= LONGEST_SHORT_LIMIT:
        return Limit(Kind.SHORT_LIMIT, "short limit", pause=delay)
    return Limit(Kind.BURST, BURST.reason, pause=pause)


def read_pause(headers: Headers, error: ErrorWords, now: float) -> float | None:
    """Seconds that an answer wants to be left alone, by its Retry-After or its error's own; None where it is zero."""
    body = error.body
    read = (
        read_retry_after_ms(header(headers, "retry-after-ms") or ""),
        read_retry_after(header(headers, "retry-after") or "", now),
        _milliseconds(number(body.get("retry_after_ms"))),
        number(body.get("retry_after")),
    )
    return next((min(seconds, LONGEST_WAIT) for seconds in read if seconds is not None), None) or None


_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|[smhd]|seconds?|minutes?|hours?|days?)(?![a-z])"
_AMOUNTS = re.compile(_AMOUNT, re.IGNORECASE)
_TRY_AGAIN = re.compile(rf"try again in\s*((?:{_AMOUNT}\s*){{1,4}})", re.IGNORECASE)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}


def _named_in(message: str) -> float | None:
    """The delay in "Rate limit reached for ... Please try again in 11.054s.", or "in 7m12s"; Codex looks there, too."""
    found = _TRY_AGAIN.search(message[:2000])
    if found is None:
        return None
    amounts = ((float(amount), unit.lower()) for amount, unit in _AMOUNTS.findall(found[1]))
    return min(sum(amount * (0.001 if unit == "ms" else _UNITS[unit[0]]) for amount, unit in amounts), LONGEST_WAIT)


def _milliseconds(amount: float | None) -> float | None:
    return None if amount is None else amount / 1000


def _after(seconds: float | None, now: float) -> float | None:
    return None if seconds is None else now + seconds

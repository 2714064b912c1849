"""Numbers and times as the backend writes them, read so that no value whatever raises or runs away.

Python's own int() and float() take underscores, digits of any script and "nan", so the form is checked first.
"""

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from understudy.wire.text import DAY

LONGEST_WAIT = 8.0 * DAY
"""Seconds that a Retry-After may name at most; a weekly limit is the longest that is told that way."""
LONGEST_RESET = 32.0 * DAY
END_OF_TIME = 253_402_300_800.0
"""The end of the year 9999 in epoch seconds: beyond it nothing can show a time."""
ROUNDING = 2.0
"""Seconds by which two statements of one reset differ where both were rounded."""

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,20}(?:Z|[+-][0-9]{2}:?[0-9]{2})", re.ASCII)
_MILLISECONDS_FROM = 1e11


def number(value: object) -> float | None:
    """A JSON number, or plain decimal digits in a string; None for what is negative, not finite or neither."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        given = float(value)
    except OverflowError:
        return None
    return given if math.isfinite(given) and given >= 0 else None


def read_time(value: object) -> float | None:
    """A moment in epoch seconds, from seconds, milliseconds or ISO 8601 with a zone. Zero is no moment."""
    if isinstance(value, str) and _ISO.fullmatch(value.strip()):
        try:
            return max(0.0, datetime.fromisoformat(value.strip()).timestamp()) or None
        except (ValueError, OverflowError):
            return None
    given = number(value)
    if not given:
        return None
    return given / 1000 if given >= _MILLISECONDS_FROM else given


def read_reset(at: object, after: object, now: float, days: float = LONGEST_RESET / DAY) -> float | None:
    """When something resets, in epoch seconds, never before `now` nor more than `days` later.

    `after` (seconds from now) goes before `at` (a moment): it holds also where our clock is wrong. Where the two differ
    by rounding alone the later one counts: who comes a moment too early comes in vain.
    """
    seconds, moment = number(after), read_time(at)
    if seconds is not None and not (moment is not None and 0 <= moment - (now + seconds) <= ROUNDING):
        moment = now + seconds
    return None if moment is None else min(max(moment, now), now + days * DAY)


def read_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, from a Retry-After field (RFC 9110, 10.2.3: seconds or a date); at most LONGEST_WAIT."""
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_WAIT)
    if not value.endswith("GMT") or len(value) > 40:
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_WAIT)


def read_retry_after_ms(value: str) -> float | None:
    """Seconds to wait, from OpenAI's `retry-after-ms`; at most LONGEST_WAIT."""
    milliseconds = number(value)
    return None if milliseconds is None else min(milliseconds / 1000, LONGEST_WAIT)

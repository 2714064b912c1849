"""Text of foreign origin made safe: for header fields, for log lines and for a terminal."""

import re
from datetime import datetime

DAY = 86400
"""Seconds."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


def safe_text(value: str, limit: int = 64) -> str:
    """`value` without control, bidirectional-override and surrogate characters, at most `limit` characters long."""
    return _UNSAFE.sub("", value[: 4 * limit])[:limit]


def is_field_value(value: str) -> bool:
    """Whether `value` may stand in a header field: printable ASCII and tabs (RFC 9110, 5.5, without obs-text)."""
    return _FIELD_VALUE.fullmatch(value) is not None


def is_id(value: str) -> bool:
    """Whether `value` looks like one of ChatGPT's account or user ids."""
    return _ID.fullmatch(value) is not None


def is_token(value: str) -> bool:
    """Whether `value` may be a token: visible ASCII without spaces (RFC 6749, appendix A), at most 16 KiB.

    What passes may stand in a header field. To look into a longer one would take long.
    """
    return _TOKEN.fullmatch(value) is not None


def clock_time(at: float, now: float) -> str:
    """The local time `14:05`, with the day where it is more than a day ahead: `Mon 14:05`, and `24 Nov` after a week.

    Both in epoch seconds. What is past and not of today is a day: `14 Nov`.
    """
    try:
        then, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)
    except (ValueError, OverflowError, OSError):
        return "?"
    days = (then.date() - today.date()).days
    if days == 0 or 0 <= at - now < DAY:
        return f"{then:%H:%M}"
    # Not by strftime: the user's language may name days in characters that the terminal has not.
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    if 0 < days < 7:
        return f"{names[then.weekday()]} {then:%H:%M}"
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{then.day} {months[then.month - 1]}"

"""What is known of an account's refreshes: when the next may be sent, and whether one is still unanswered.

A refresh token is good for one use. So an answer that got lost on its way is worse than none: the token may be spent.
The record is kept with the account, so that every process, and the next one after a crash, knows of it.
"""

from dataclasses import dataclass, replace

MOST_ATTEMPTS = 5
ATTEMPTS_PERIOD = 60.0
"""Seconds in which an account makes no more than `MOST_ATTEMPTS` refreshes."""
BACKOFF = 30.0
"""Seconds of pause after a transient failure, times how many there were in a row."""
LONGEST_BACKOFF = 300.0
LONGEST_WAIT = 3600.0
"""Seconds of pause that a login server may ask for at most."""
UNANSWERED_PAUSE = 60.0
"""Seconds before a refresh token that may be spent is tried once more: time for whoever has the answer to store it."""


@dataclass(frozen=True, slots=True)
class Refreshes:
    """Times in epoch seconds."""

    sent_at: float | None = None
    """When a refresh was sent whose answer is not known: it is under way, or its answer is lost."""
    streak: int = 0
    """Failures in a row that say nothing of the login."""
    retry_at: float = 0.0
    """No refresh before this."""
    reason: str = ""
    """Why not, in words for the user."""
    attempts: tuple[float, ...] = ()
    """When the latest refreshes were sent, oldest first; the last `MOST_ATTEMPTS` of them."""
    renewed_at: float | None = None
    """When the tokens were last renewed, by a refresh or a login."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No refresh now. `until`: epoch seconds; `reason`: in words for the user."""

    until: float
    reason: str


def wait_of(record: Refreshes, now: float) -> Wait | None:
    """What forbids a refresh at `now` (epoch seconds), or None where one may be sent.

    What lies further ahead than we ever write was written by a clock that has been set back since.
    """
    if now < record.retry_at <= now + LONGEST_WAIT:
        return Wait(record.retry_at, record.reason)
    if record.sent_at is not None and abs(now - record.sent_at) < UNANSWERED_PAUSE:
        return Wait(record.sent_at + UNANSWERED_PAUSE, "the answer to its last refresh is not known yet")
    recent = _recent(record, now)
    if len(recent) >= MOST_ATTEMPTS:
        return Wait(recent[-MOST_ATTEMPTS] + ATTEMPTS_PERIOD, f"{MOST_ATTEMPTS} refreshes within a minute")
    return None


def sending(record: Refreshes, now: float) -> Refreshes:
    """The record as it has to be on disk before a refresh is sent at `now`."""
    return replace(record, sent_at=now, attempts=(*record.attempts, now)[-MOST_ATTEMPTS:])


def renewed(record: Refreshes, now: float) -> Refreshes:
    """After new tokens came: by a refresh, or by a login."""
    return Refreshes(attempts=record.attempts, renewed_at=now)


def failed(
    record: Refreshes, reason: str, now: float, *, lost_at: float | None = None, asked: float = 0.0
) -> Refreshes:
    """After a refresh that was not sent, or was answered, without bringing tokens or a final no.

    `lost_at`: `sent_at` as it was before: the answer to an earlier one stays lost. `asked`: seconds of pause that the
    login server asked for, where that is longer than our own.
    """
    streak = record.streak + 1
    pause = max(min(BACKOFF * streak, LONGEST_BACKOFF), min(asked, LONGEST_WAIT))
    return replace(record, sent_at=lost_at, streak=streak, retry_at=now + pause, reason=reason)


def unanswered(record: Refreshes, reason: str, now: float) -> Refreshes:
    """After a refresh that was sent and brought no answer: `sent_at` stays, so that the next is known for a probe."""
    streak = record.streak + 1
    pause = min(UNANSWERED_PAUSE * streak, LONGEST_BACKOFF)
    return replace(record, streak=streak, retry_at=now + pause, reason=reason)


def _recent(record: Refreshes, now: float) -> tuple[float, ...]:
    # What lies ahead was written by a clock that has been set back since.
    return tuple(at for at in record.attempts if now - ATTEMPTS_PERIOD < at <= now)

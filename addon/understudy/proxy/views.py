"""How attempts are shown: the comment, marker and metadata of flows, and the line in the log. One wording for all."""

from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.flow import Error

from understudy.pool.account import Account
from understudy.pool.strategies import By
from understudy.proxy.turn import Attempt, Sent, Turn, Wait
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.reply import Reply
from understudy.wire.text import clock_time
from understudy.wire.usage import Usage

METADATA = "understudy"
"""The key in `flow.metadata`: plain values only, so that `-w`, HAR and mitmweb can write them."""

SERVED = ":green_circle:"
FAILED = ":red_circle:"
REFUSED = ":no_entry_sign:"
RELEASED = ":money_with_wings:"


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of one attempt, or of a request that had none."""

    account: str
    attempt: int
    status: int | None
    reason: str
    seconds: float
    then: str = ""
    """What followed: `replaced by home (first in order)`, `tried again`, or nothing."""
    by: By | None = None
    """Why the account was chosen."""
    code: str = ""
    """What followed and why, for machines."""
    usage: Usage | None = None
    move_cost: int = 0
    """Input tokens that had to be read anew because the session has come from another account."""
    by_us: bool = False
    """Whether the request needed no account."""

    def __str__(self) -> str:
        parts = [
            f"{self.account} ({self.by.words})" if self.by else self.account or ("here" if self.by_us else "refused")
        ]
        if self.attempt:
            parts.append(f"attempt {self.attempt}")
        parts.append(f"{self.status or ''} {self.reason}".strip())
        if self.usage:
            parts.append(f"{self.usage.cached_tokens} of {self.usage.input_tokens} input tokens cached")
        if self.move_cost:
            parts.append(f"{self.move_cost} lost by the move")
        if self.then:
            parts.append(self.then)
        return f"understudy: {', '.join(parts)}"

    def metadata(self, stream: bool) -> dict[str, Any]:
        """The same as plain values. `stream`: whether the host asked for one; a replay of the flow needs to know."""
        return {
            "account": self.account,
            "attempt": self.attempt,
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "then": self.then,
            "chosen_by": self.by.value if self.by else None,
            "code": self.code,
            "input_tokens": self.usage.input_tokens if self.usage else None,
            "cached_tokens": self.usage.cached_tokens if self.usage else None,
            "move_cost": self.move_cost,
            "stream": stream,
        }


def reason(outcome: Outcome, now: float) -> str:
    """An outcome in a few words, with the time at which a limit ends."""
    if outcome.kind is Kind.USAGE_LIMIT and outcome.resets_at is not None:
        return f"{outcome.reason} until {clock_time(outcome.resets_at, now)}"
    return outcome.reason


def in_words(decided: Attempt | Wait | Reply | None, account: Account) -> str:
    """What follows an attempt, for its line."""
    if isinstance(decided, Wait):
        return "waiting for a limit to end"
    if not isinstance(decided, Attempt):
        return "nobody is left to ask"
    if decided.account.id != account.id:
        return f"replaced by {decided.choice}"
    return f"tried again after {decided.delay:.1f} s" if decided.delay else "tried again"


def failed_line(turn: Turn, sent: Sent, then: str, now: float) -> Line:
    """The line for an attempt that was not delivered. `now`: epoch seconds."""
    outcome = sent.outcome
    assert outcome is not None and sent.ended_at is not None
    number = turn.sent.index(sent) + 1
    # What came over the wire: a failure within a 200 is a 200, whatever it means.
    status = turn.flow.response.status_code if turn.flow.response else None
    choice, seconds = sent.attempt.choice, sent.ended_at - sent.at
    return Line(choice.account.label, number, status, reason(outcome, now), seconds, then, by=choice.by, code=sent.code)


def last_line(turn: Turn, status: int | None, error: str | None, ended_at: float, now: float) -> Line:
    """The line for the end of a request: the attempt that was delivered, or why there was none.

    `ended_at`: monotonic seconds; `now`: epoch seconds.
    """
    if not turn.sent or turn.given_up:
        said = error or ("answered here" if turn.answered else turn.refused_as)
        return Line("", 0, status, said, ended_at - turn.arrived_at, by_us=turn.answered)
    sent = turn.sent[-1]
    said = error or turn.broken or turn.failed_as or ("ok" if sent.outcome is None else reason(sent.outcome, now))
    choice = sent.attempt.choice
    return Line(
        choice.account.label,
        len(turn.sent),
        status,
        said,
        ended_at - sent.at,
        by=choice.by,
        code=sent.code,
        usage=turn.usage,
        move_cost=turn.move_cost,
    )


def attempt_flow(turn: Turn, line: Line, epoch: float) -> http.HTTPFlow:
    """A copy of the request's flow that shows the attempt that has just ended, of which nothing was delivered.

    `epoch`: what to add to monotonic seconds to get epoch seconds.
    """
    shown: http.HTTPFlow = turn.flow.copy()
    sent = turn.sent[-1]
    shown.request.timestamp_start = shown.request.timestamp_end = sent.at + epoch
    if shown.response is not None and sent.ended_at is not None:
        shown.response.timestamp_end = sent.ended_at + epoch
    if line.status is None:
        shown.response = None
        shown.error = Error(line.reason)
    elif shown.response is not None and turn.relay is not None:
        shown.response.data.content = turn.relay.recorded
    mark(shown, line, turn.relay_options.stream, FAILED)
    return shown


def mark(flow: http.HTTPFlow, line: Line, stream: bool, marker: str) -> None:
    """Writes the line on the flow."""
    flow.comment = str(line)
    flow.marked = marker
    flow.metadata[METADATA] = line.metadata(stream)

"""Counts the requests that have ended."""

from collections import Counter

from understudy.pool.tally import Tally
from understudy.proxy.turn import Turn


def counted(tally: Tally, turn: Turn, *, served: bool, left: bool) -> Tally:
    """The tally with a request that has ended, if it is one that an account carried out, or that none could.

    `served`: its host has got a whole answer. `left`: the host has hung up, which is nobody's failure.
    """
    if turn.request is None or turn.answered or not turn.endpoint.op.is_carried:
        return tally
    accounts = Counter(tally.accounts)
    if (served or left) and turn.sent and turn.sent[-1].committed_at is not None:
        accounts[turn.sent[-1].attempt.account.label] += 1
    return Tally(
        tally.requests + 1,
        tally.failed + (not served and not left),
        tally.replays + max(0, len(turn.sent) - 1),
        dict(accounts),
        tally.passed,
    )

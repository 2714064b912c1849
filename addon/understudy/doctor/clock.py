"""Whether this machine's clock is right: by the times that the login server and others have written down."""

import sys
from collections.abc import Iterable, Iterator

from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import Machine

LIMIT = 60.0
"""Seconds: so old may an access token at least be while it is in use."""
WHY = "Access tokens seem to have ended, or not to: they are renewed too early or too late, and limits end wrongly."


def skew(machine: Machine) -> Result:
    """What is told by what is on disk. The network is not asked."""
    return judge(machine.now, tuple(issued(machine)), tuple(noted(machine)))


def issued(machine: Machine) -> Iterator[float]:
    """When the login server has issued the tokens that are here, by its own clock."""
    from understudy.oauth.claims import hints

    for account in machine.stored.pool.accounts if machine.stored.pool else ():
        for token in (account.tokens.access, account.tokens.id_token):
            at = hints(token).issued_at if token else None
            if at is not None:
                yield at


def noted(machine: Machine) -> Iterator[float]:
    """Moments that this machine has written down, by the clock that it had then."""
    for account in machine.stored.pool.accounts if machine.stored.pool else ():
        yield from (at for at in (account.last_used_at, account.added_at) if at is not None)
    yield from (proxy.started_at for proxy in machine.proxies)
    try:
        board = machine.board
    except ValueError:
        return
    yield from (entry.snapshot.updated_at for entry in (board.entries if board else ()) if entry.snapshot)


def judge(now: float, issued: Iterable[float], noted: Iterable[float]) -> Result:
    """`issued`: by the login server's clock; `noted`: by this machine's. All in epoch seconds."""
    latest, last = max(issued, default=None), max(noted, default=None)
    if latest is None and last is None:
        return skipped("there is nothing yet to tell by")
    if latest is not None and latest - now > LIMIT:
        return bad(f"the clock is at least {latest - now:.0f} s slow: a token is of later than now", WHY, set_clock())
    if last is not None and last - now > LIMIT:
        return warn(f"the clock was set back: something was noted {last - now:.0f} s later than now", WHY, set_clock())
    return ok("nothing here is of later than now")


def judge_against(now: float, theirs: float, peer: str) -> Result:
    """`theirs`: what `peer` says that the time is (epoch seconds)."""
    if abs(theirs - now) > LIMIT:
        pace = "fast" if now > theirs else "slow"
        return bad(f"the clock is {abs(theirs - now):.0f} s {pace}, by what {peer} says", WHY, set_clock())
    return ok(f"the clock is right, by what {peer} says")


def set_clock() -> str:
    """The command that has the system set its clock."""
    return "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "sudo timedatectl set-ntp true"


CHECKS = (Check("clock", skew),)

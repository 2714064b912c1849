"""What a refresh does to an account: before it is sent, and when it has ended."""

from dataclasses import replace

from understudy.oauth.refresh import Outcome, Rejected
from understudy.pool.account import Account, Health, Lane, Tokens
from understudy.pool.health import needs_login, renewed
from understudy.pool.refreshes import failed, sending, unanswered, wait_of

LOST = "the answer to its last refresh was lost on the way, and its refresh token is spent"


class NeedsLogin(Exception):
    """The account's login no longer works, and only the user can help."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} needs a new login: {reason}")
        self.label = label
        self.reason = reason


class RefreshFailed(Exception):
    """There is no fresh token for the account now; there may be one later."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} has no fresh access token: {reason}")
        self.label = label
        self.reason = reason


class RefreshPending(RefreshFailed):
    """A refresh is under way that takes longer than the caller wants to wait."""


def refuse_dead(account: Account) -> None:
    """Raises NeedsLogin where only the user can help."""
    if account.health is Health.NEEDS_LOGIN:
        raise NeedsLogin(account.label, account.health_reason)


def claimed(account: Account, now: float) -> Account:
    """`account` as it has to be on disk before its refresh is sent at `now` (epoch seconds).

    Raises NeedsLogin or RefreshFailed where none may be sent.
    """
    refuse_dead(account)
    if account.lane is Lane.PLATFORM:
        raise RefreshFailed(account.label, "an API key is never renewed")
    if not account.enabled:
        raise RefreshFailed(account.label, "it is disabled")
    wait = wait_of(account.refreshes, now)
    if wait is not None:
        raise RefreshFailed(account.label, f"{wait.reason}; it is tried again in {wait.until - now:.0f} s")
    return replace(account, refreshes=sending(account.refreshes, now))


def settled(account: Account, asked: Account, outcome: Outcome, now: float, noted_at: float) -> Account:
    """`account` after a refresh; as it is where it has got other tokens meanwhile, by a login or an import.

    `asked`: the account as it was before that refresh; `noted_at`: the `sent_at` that was written for it.
    """
    if account.tokens.refresh != asked.tokens.refresh:
        return account
    if isinstance(outcome, Tokens):
        return renewed(account, outcome, now)
    lost_at = asked.refreshes.sent_at
    if isinstance(outcome, Rejected):
        lost = lost_at is not None and outcome.looks_spent
        return needs_login(account, LOST if lost else outcome.message, now)
    if account.refreshes.sent_at not in (None, noted_at):
        return account  # Another process has sent one since, and that one's record is the one that counts.
    if outcome.perhaps_spent:
        return replace(account, refreshes=unanswered(account.refreshes, outcome.reason, now))
    record = failed(account.refreshes, outcome.reason, now, lost_at=lost_at, asked=outcome.asked)
    return replace(account, refreshes=record)

"""Which accounts are refreshed ahead of time, so that no request has to wait for it."""

from understudy.pool.account import Health
from understudy.pool.pool import Accounts
from understudy.pool.refreshes import wait_of

AHEAD = 300.0
"""Seconds of life below which an access token is refreshed before anybody asks for it (as Codex does)."""


def due(accounts: Accounts, now: float) -> Accounts:
    """Those whose turn it is at `now` (epoch seconds), the ones that end soonest first.

    A disabled account is left alone, and so is one that needs a login or has to wait after trouble.
    """
    found = (
        account
        for account in accounts
        if account.enabled
        and account.health is Health.OK
        and account.tokens.expires_at - now < AHEAD
        and wait_of(account.refreshes, now) is None
    )
    return tuple(sorted(found, key=lambda account: account.tokens.expires_at))

"""Refreshes an account's tokens, alone among all processes, so that no refresh token is used twice or lost.

A lease makes the others wait for the answer. What makes it safe is the account's own record, changed in one step with
a look at the tokens: that a refresh is about to be sent is on disk before it is, and what came of it is on disk before
anybody uses it. A process that dies in between leaves the record, and whoever comes next knows what may have happened.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

from understudy.oauth.client import DIRECT, NoAnswer, NotSent, Route, ask
from understudy.oauth.refresh import Outcome, Rejected, Transient, read_refresh, refresh_request
from understudy.oauth.renewal import RefreshFailed, claimed, refuse_dead, settled
from understudy.oauth.request import ISSUER
from understudy.pool.account import Account, Health, Lane
from understudy.pool.pool import Accounts, over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.lease import Lease, holding
from understudy.state.room import Room
from understudy.wire.secret import Secret

LEASE_WAIT = 35.0
"""Seconds to wait for another process's refresh: longer than one takes, and than a killed one's lease lives."""
LEASE_POLL = 0.05
LATEST = 30.0
"""Seconds after it was noted within which a refresh is sent, or not at all: later others may have tried the token."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginServer:
    """Where refreshes are sent, and how."""

    issuer: str = ISSUER
    route: Route = DIRECT


class Refresher:
    """One for each `TokenKeeper`, whose tasks ask it for one refresh of an account at a time."""

    def __init__(self, store: AccountStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._unsaved: dict[Secret, tuple[Account, Outcome, float]] = {}
        """By refresh token: the account as it was before the refresh, what that brought, and when it was noted that it
        is sent, until it is on disk."""

    def holds(self, account: Account) -> bool:
        """Whether an answer for `account` has come that could not be written yet."""
        return account.tokens.refresh in self._unsaved

    async def account(self, account_id: str) -> Account:
        """The account as it is on disk. Raises RefreshFailed where there is none, and StateError."""
        store = self._store
        pool = await asyncio.to_thread(store.read) if store.changed() else store.read()
        return _find(pool.accounts, account_id)

    async def refresh(self, stale: Account, server: LoginServer) -> Account:
        """The account with another access token than `stale` has: our own new one, or what another process has got.

        Raises NeedsLogin, RefreshFailed or StateError.
        """
        lease = await self._lease(stale)
        if lease is None:
            account = await self.account(stale.id)
        else:
            async with holding(lease, self._clock):
                account = await self._refresh(stale, server)
        refuse_dead(account)
        if account.tokens.access == stale.tokens.access:
            raise RefreshFailed(account.label, account.refreshes.reason or "the login server gave no new access token")
        return account

    async def save(self) -> None:
        """Writes what could not be written before. Where that fails again it is logged."""
        for token, (asked, _, _) in list(self._unsaved.items()):
            try:
                await asyncio.to_thread(self._settle, asked.id, token)
            except StateError as error:
                logger.error("understudy: the answer to the refresh of %s cannot be written: %s", asked.label, error)

    async def _lease(self, stale: Account) -> Lease | None:
        """The lease for the account, or None where another process has renewed its tokens meanwhile."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + LEASE_WAIT
        while (lease := await asyncio.to_thread(self._store.lease, stale.id, self._clock())) is None:
            if (await self.account(stale.id)).tokens.access != stale.tokens.access:
                return None
            if loop.time() > give_up:
                raise RefreshFailed(stale.label, "another process has been refreshing it for too long")
            await asyncio.sleep(LEASE_POLL)
        return lease

    async def _refresh(self, stale: Account, server: LoginServer) -> Account:
        """The account as it is on disk afterwards, be it with new tokens or with what went wrong."""
        # Room for the answer comes first: a disk that is full by then would cost the login.
        with await asyncio.to_thread(self._store.reserved) as room:
            found, noted_at = await asyncio.to_thread(self._claim, stale)
            if found.tokens.access != stale.tokens.access:
                return found
            token = found.tokens.refresh
            if token in self._unsaved:
                return await asyncio.to_thread(self._settle, found.id, token, room)
            return await to_the_end(lambda: self._exchange(found, server, noted_at, room))

    def _exchange(self, account: Account, server: LoginServer, noted_at: float, room: Room) -> Account:
        """Sends the refresh and puts on disk what it brought, in a thread of its own."""
        outcome = asyncio.run(self._redeem(account, server, noted_at))
        self._unsaved[account.tokens.refresh] = account, outcome, noted_at
        return self._settle(account.id, account.tokens.refresh, room)

    def _claim(self, stale: Account) -> tuple[Account, float]:
        """Notes on disk that a refresh is about to be sent; gives the account as it was before, and when that was.

        Nothing is noted where it has other tokens by now, or where the answer is here already. Raises NeedsLogin, or
        RefreshFailed where no refresh may be sent.
        """
        found: list[Account] = []

        def claim(account: Account) -> Account:
            found.append(account)
            done = self.holds(account) or account.tokens.access != stale.tokens.access
            return account if done else claimed(account, self._clock())

        noted_at = _find(self._change(stale.id, claim), stale.id).refreshes.sent_at
        return _find(tuple(found), stale.id), noted_at or 0.0

    async def _redeem(self, account: Account, server: LoginServer, noted_at: float) -> Outcome:
        """Sends the refresh, once. `noted_at`: when that was noted on disk."""

        def may_send() -> bool:
            return abs(self._clock() - noted_at) < LATEST

        try:
            request = refresh_request(server.issuer, account.tokens.refresh)
        except ValueError as error:
            return Transient(str(error))
        try:
            answer = await ask(request, server.route, may_send=may_send)
        except NotSent as error:
            return Transient(str(error))
        except NoAnswer as error:
            return Transient(str(error), perhaps_spent=True)
        return read_refresh(answer.status, answer.body, account.tokens, self._clock(), answer.retry_after)

    def _settle(self, account_id: str, token: Secret, room: Room | None = None) -> Account:
        """Puts on disk what a refresh token brought. Until that has worked it is kept. Gives the account."""
        unsaved = self._unsaved.get(token)
        if unsaved is None:  # It has just been done, in another thread.
            return _find(self._store.read().accounts, account_id)
        asked, outcome, noted_at = unsaved

        def settle(account: Account) -> Account:
            return settled(account, asked, outcome, self._clock(), noted_at)

        accounts = self._change(asked.id, settle, room)
        self._unsaved.pop(token, None)
        account = _find(accounts, asked.id)
        if isinstance(outcome, Rejected) and account.health is Health.NEEDS_LOGIN:
            tell_dead(account, accounts)
        return account

    def _change(self, account_id: str, change: Callable[[Account], Account], room: Room | None = None) -> Accounts:
        def changed(accounts: Accounts) -> Accounts:
            return tuple(change(account) if account.id == account_id else account for account in accounts)

        return self._store.update(over_accounts(changed), room).accounts


def to_the_end(work: Callable[[], T]) -> asyncio.Future[T]:
    """Does `work` in a thread that nothing cuts off, short of a signal that kills: mitmproxy ends its event loop, with
    all tasks, at the first line that it cannot print, as when its terminal has been closed.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    # No daemon: the interpreter waits for it.
    Thread(target=do, name="understudy-refresh", daemon=False).start()
    return asyncio.wrap_future(done)


def _find(accounts: Accounts, account_id: str) -> Account:
    for account in accounts:
        if account.id == account_id:
            return account
    raise RefreshFailed(account_id, "it was removed from the pool")


def tell_dead(account: Account, accounts: Accounts) -> None:
    """Logs that `account` needs a login, and loudly where none of `accounts` is left to serve."""
    advice = "log in again with `understudy login`"
    add_key = "add another key with `understudy accounts add-api-key`"
    cure = add_key if account.lane is Lane.PLATFORM else advice
    logger.warning("understudy: %s is used no more: %s; %s", account.label, account.health_reason, cure)
    if not any(other.enabled and other.health is Health.OK for other in accounts):
        logger.error("understudy: no usable account is left, every call will be refused; %s", advice)

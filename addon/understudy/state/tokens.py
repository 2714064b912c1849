"""Keeps access tokens fresh: one refresh at a time for an account, over all tasks and processes, and none is lost.

A refresh token is good for one use (it rotates). To use one twice, or to lose what it was exchanged for, costs the
user the login.
"""

import asyncio
import time
from collections.abc import Callable

from understudy.oauth.client import NoAnswer, NotSent, send
from understudy.oauth.refresh import Rejected, Transient, read_refresh, refresh_request
from understudy.oauth.request import ISSUER
from understudy.pool.account import Account, Health, Tokens
from understudy.pool.health import needs_login, renewed
from understudy.state.accounts import Accounts, AccountStore
from understudy.state.lease import LIFETIME, Lease
from understudy.wire.secret import Secret

MARGIN = 60.0
"""Seconds of life below which an access token is refreshed before it is used."""
LEASE_WAIT = LIFETIME + 5.0
LEASE_POLL = 0.05
TRANSIENT_PAUSE = 30.0
"""Seconds that a login server in trouble is left alone."""
UNANSWERED_PAUSE = 60.0
"""Seconds before a refresh token that may have been redeemed is tried once more."""


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


class TokenKeeper:
    """Hands out accounts with access tokens that can be used. For the tasks of one event loop.

    `issuer`, `proxy` (URL of the HTTP proxy on the way to it) and `trusted_ca` (PEM file of the authorities to trust,
    in the place of certifi's) may be set at any time.
    """

    def __init__(
        self,
        store: AccountStore,
        issuer: str = ISSUER,
        proxy: str | None = None,
        trusted_ca: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self.proxy = proxy
        self.trusted_ca = trusted_ca
        # A view of its own: what is read here is still news to whoever watches the other for changes.
        self._store = AccountStore(store.home)
        self._clock = clock
        self._running: dict[str, asyncio.Task[Account]] = {}
        self._unsaved: dict[Secret, Tokens | Rejected] = {}
        """What a refresh token was exchanged for, until that is on disk."""
        self._pauses: dict[Secret, tuple[float, str]] = {}
        """By refresh token: until when (epoch seconds) it is not tried again, and why."""

    def is_fresh(self, account: Account, now: float) -> bool:
        """Whether the account's access token can be used as it is, at `now` (epoch seconds)."""
        return account.tokens.expires_at - now >= MARGIN

    async def fresh(self, account_id: str, now: float) -> Account:
        """The account with our id `account_id`, its access token good for another minute at `now` (epoch seconds).

        Raises NeedsLogin, RefreshFailed, or StateError where the pool cannot be read or written.
        """
        account = await self._account(account_id)
        _refuse_dead(account)
        if self.is_fresh(account, now):
            return account
        try:
            return await self._renewed(account, account.tokens.access)
        except RefreshFailed:
            account = await self._account(account_id)
            if account.enabled and account.tokens.expires_at > self._clock():
                return account  # Its last minute is as good as any other.
            raise

    async def renew(self, account_id: str, used: Secret, now: float) -> Account:
        """The account with another access token than `used`, which the backend refused.

        Raises as `fresh` does.
        """
        account = await self._account(account_id)
        _refuse_dead(account)
        if account.tokens.access != used and account.tokens.expires_at > now:
            return account
        return await self._renewed(account, account.tokens.access)

    async def drain(self) -> None:
        """Waits until no refresh is under way: to end in the middle of one loses the login."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _renewed(self, account: Account, stale: Secret) -> Account:
        """Joins the refresh that is under way, or starts one. A caller that is cancelled leaves it running."""
        while (running := self._running.get(account.id)) is not None:
            joined = await asyncio.shield(running)
            if joined.tokens.access != stale:
                return joined
        task = asyncio.get_running_loop().create_task(self._refresh(account.id, account.label, stale))
        self._running[account.id] = task
        task.add_done_callback(lambda done: self._ended(account.id, done))
        return await asyncio.shield(task)

    def _ended(self, account_id: str, task: asyncio.Task[Account]) -> None:
        del self._running[account_id]
        if not task.cancelled():
            task.exception()  # Seen: asyncio would complain where every caller has gone.

    async def _refresh(self, account_id: str, label: str, stale: Secret) -> Account:
        lease = await self._lease(account_id, label)
        try:
            account = await self._account(account_id)
            _refuse_dead(account)
            if account.tokens.access != stale:
                return account  # Another process was faster.
            if not account.enabled:
                raise RefreshFailed(account.label, "it is disabled")
            spent = account.tokens.refresh
            if spent not in self._unsaved:
                self._unsaved[spent] = await self._redeem(account)
            accounts = await asyncio.to_thread(self._save, account, self._unsaved[spent])
            del self._unsaved[spent]
            self._pauses.pop(spent, None)
        finally:
            await asyncio.to_thread(lease.release)
        account = _find(accounts, account_id)
        _refuse_dead(account)
        if account.tokens.access == stale:
            raise RefreshFailed(account.label, "the login server gave no new access token")
        return account

    async def _lease(self, account_id: str, label: str) -> Lease:
        give_up = self._clock() + LEASE_WAIT
        while (lease := await asyncio.to_thread(self._store.lease, account_id, self._clock())) is None:
            if self._clock() > give_up:
                raise RefreshFailed(label, "another process has been refreshing it for too long")
            await asyncio.sleep(LEASE_POLL)
        return lease

    async def _redeem(self, account: Account) -> Tokens | Rejected:
        """Sends the refresh, once. Raises RefreshFailed where that brought neither tokens nor a final no."""
        refresh = account.tokens.refresh
        until, reason = self._pauses.get(refresh, (0.0, ""))
        if self._clock() < until:
            raise RefreshFailed(account.label, reason)
        try:
            status, body = await send(refresh_request(self.issuer, refresh), self.proxy, trusted_ca=self.trusted_ca)
        except (NotSent, ValueError) as error:
            raise RefreshFailed(account.label, str(error)) from None
        except NoAnswer as error:
            # It may have been redeemed, and to send it again could end the login: it is tried once more, much later.
            raise self._paused(account, str(error), UNANSWERED_PAUSE) from None
        answer = read_refresh(status, body, account.tokens, self._clock())
        if isinstance(answer, Transient):
            raise self._paused(account, answer.reason, TRANSIENT_PAUSE)
        return answer

    def _paused(self, account: Account, reason: str, pause: float) -> RefreshFailed:
        self._pauses[account.tokens.refresh] = self._clock() + pause, reason
        return RefreshFailed(account.label, reason)

    def _save(self, redeemed: Account, answer: Tokens | Rejected) -> Accounts:
        """Puts the answer on disk, unless the account has got other tokens meanwhile (a login, an import)."""

        def saved(account: Account) -> Account:
            if account.id != redeemed.id or account.tokens.refresh != redeemed.tokens.refresh:
                return account
            return needs_login(account, answer.message) if isinstance(answer, Rejected) else renewed(account, answer)

        return self._store.update(lambda accounts: tuple(saved(account) for account in accounts)).accounts

    async def _account(self, account_id: str) -> Account:
        store = self._store
        pool = await asyncio.to_thread(store.read) if store.changed() else store.read()
        return _find(pool.accounts, account_id)


def _find(accounts: Accounts, account_id: str) -> Account:
    for account in accounts:
        if account.id == account_id:
            return account
    raise RefreshFailed(account_id, "it was removed from the pool")


def _refuse_dead(account: Account) -> None:
    if account.health is Health.NEEDS_LOGIN:
        raise NeedsLogin(account.label, account.health_reason)

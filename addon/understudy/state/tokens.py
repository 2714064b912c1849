"""Hands out accounts with access tokens that can be used: fresh, or refreshed once for all that ask at a time."""

import asyncio
import time
from collections.abc import Callable

from understudy.oauth.client import DIRECT, Route
from understudy.oauth.renewal import RefreshFailed, RefreshPending, refuse_dead
from understudy.oauth.request import ISSUER
from understudy.pool.account import Account, Health
from understudy.pool.refreshes import wait_of
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.refresher import LoginServer, Refresher
from understudy.wire.secret import Secret

MARGIN = 60.0
"""Seconds of life below which an access token is refreshed before it is used."""
PATIENCE = 1.0
"""Seconds that a refresh may take from a caller who can do without: the token lives, or another account serves."""


class TokenKeeper:
    """For the tasks of one event loop. Its methods raise NeedsLogin, RefreshFailed, or StateError where the pool cannot
    be read or written.

    `server` may be set at any time.
    """

    def __init__(
        self,
        store: AccountStore,
        issuer: str = ISSUER,
        route: Route = DIRECT,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.server = LoginServer(issuer, route)
        # A view of its own: what is read here is still news to whoever watches the other for changes.
        self._refresher = Refresher(AccountStore(store.home, store.keyring), clock)
        self._clock = clock
        self._running: dict[str, asyncio.Task[Account]] = {}

    def is_fresh(self, account: Account, now: float, margin: float = MARGIN) -> bool:
        """Whether the account's access token is good for `margin` seconds at `now` (epoch seconds).

        One whose successor has come and is not on disk yet is not: that is the first thing to be done.
        """
        return account.tokens.expires_at - now >= margin and not self._refresher.holds(account)

    async def fresh(self, account_id: str, now: float, patience: float | None = None) -> Account:
        """The account with our id `account_id`, its access token good for another minute at `now` (epoch seconds).

        Its last minute is as good as any other while a refresh is not answered, or not to be had. `patience`: seconds
        to wait for one where the token has ended; then RefreshPending is raised, and the refresh goes on.
        """
        account = await self._account(account_id)
        if self.is_fresh(account, now) or (self._is_waiting(account) and self._lives(account)):
            return account
        try:
            return await self._renewed(account, PATIENCE if self._lives(account) else patience)
        except (RefreshFailed, StateError) as error:
            account = await self._account(account_id)
            if self._lives(account):
                return account
            if isinstance(error, RefreshPending) and patience is None:
                return await self._renewed(account)
            raise

    async def ahead(self, account_id: str, now: float, margin: float) -> None:
        """Renews the account's tokens if the access token is good for less than `margin` seconds at `now`."""
        account = await self._account(account_id)
        if not self.is_fresh(account, now, margin):
            await self._renewed(account)

    async def renew(self, account_id: str, used: Secret, now: float, patience: float | None = None) -> Account:
        """The account with another access token than `used`, which the backend refused. `patience`: as for `fresh`."""
        account = await self._account(account_id)
        if account.tokens.access != used and account.tokens.expires_at > now:
            return account
        return await self._renewed(account, patience)

    async def save(self) -> None:
        """Writes the tokens that have come and could not be written. To be called now and then: nobody else has them,
        and whoever asks for others meanwhile takes the login for lost.
        """
        await self._refresher.save()

    async def drain(self) -> None:
        """Waits until no refresh is under way, and nothing is left to be written: to end before loses the login."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._refresher.save()

    def _is_waiting(self, account: Account) -> bool:
        return wait_of(account.refreshes, self._clock()) is not None and not self._refresher.holds(account)

    def _lives(self, account: Account) -> bool:
        return account.enabled and account.tokens.expires_at > self._clock()

    async def _account(self, account_id: str) -> Account:
        account = await self._refresher.account(account_id)
        if account.health is not Health.OK and self._refresher.holds(account):
            await self.save()
            account = await self._refresher.account(account_id)
        refuse_dead(account)
        return account

    async def _renewed(self, account: Account, patience: float | None = None) -> Account:
        """Joins the refresh that is under way, or starts one. Raises RefreshPending after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                return await self._joined(account)
        except TimeoutError:
            raise RefreshPending(account.label, "the login server has not answered yet") from None

    async def _joined(self, account: Account) -> Account:
        """A caller that is cancelled leaves the refresh running."""
        while (running := self._running.get(account.id)) is not None:
            joined = await asyncio.shield(running)
            if joined.tokens.access != account.tokens.access:
                return joined
        task = asyncio.get_running_loop().create_task(self._refresher.refresh(account, self.server))
        self._running[account.id] = task
        task.add_done_callback(lambda done: self._ended(account.id, done))
        return await asyncio.shield(task)

    def _ended(self, account_id: str, task: asyncio.Task[Account]) -> None:
        del self._running[account_id]
        if not task.cancelled():
            task.exception()  # Seen: asyncio would complain where every caller has gone.

"""Refreshes tokens before anybody needs them: a task of the running proxy that looks at the pool once a minute.

One refresh at a time, over all accounts and all proxies, and not in quick succession: accounts of one owner that were
refreshed together have had all their tokens revoked.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from understudy.oauth.renewal import NeedsLogin, RefreshFailed
from understudy.pool.account import Account
from understudy.pool.due import AHEAD, due
from understudy.proxy.messages import place_of
from understudy.proxy.roster import Roster
from understudy.state.accounts import AccountStore
from understudy.state.errors import StateError
from understudy.state.lease import holding
from understudy.state.tokens import TokenKeeper

LEASE = "refresh-ahead"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: from the start to the first look, from one look to the next, and from one refresh to the next."""

    first: float = 5.0
    interval: float = 60.0
    stagger: float = 2.0


class Ahead:
    """Where nothing is due, a look costs one stat of the pool's file."""

    def __init__(
        self,
        roster: Roster,
        store: AccountStore,
        keeper: TokenKeeper,
        timing: Timing = Timing(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._roster = roster
        self._store = store
        self._keeper = keeper
        self._timing = timing
        self._clock = clock
        self._told: dict[str, str] = {}
        """By account id: why it could not be refreshed, as it was last logged."""

    async def keep_fresh(self) -> None:
        """Looks and refreshes until cancelled, whatever goes wrong."""
        await asyncio.sleep(self._timing.first)
        while True:
            try:
                await self._keeper.save()
                await self.look()
            except Exception as error:
                logger.error("understudy: refreshing ahead of time failed: %s", place_of(error))
            await asyncio.sleep(self._timing.interval)

    async def look(self) -> None:
        """Refreshes what is due now, unless another proxy is at it."""
        if not due(self._roster.accounts(), self._clock()):
            return
        try:
            lease = await asyncio.to_thread(self._store.lease, LEASE, self._clock())
        except StateError as error:
            self._tell(LEASE, "nothing can be refreshed ahead of time", str(error))
            return
        self._told.pop(LEASE, None)
        if lease is not None:
            async with holding(lease, self._clock):
                await self._refresh_due()

    async def _refresh_due(self) -> None:
        """Each account once. What is due is looked at anew each time: others refresh too."""
        tried: set[str] = set()
        while left := [account for account in due(self._roster.accounts(), self._clock()) if account.id not in tried]:
            tried.add(left[0].id)
            await self._refresh(left[0])
            await asyncio.sleep(self._timing.stagger)

    async def _refresh(self, account: Account) -> None:
        try:
            await self._keeper.ahead(account.id, self._clock(), AHEAD)
        except NeedsLogin:
            self._roster.stir()  # The keeper has logged it, and the status has to show it.
        except (RefreshFailed, StateError) as error:
            reason = error.reason if isinstance(error, RefreshFailed) else str(error)
            self._tell(account.id, f"{account.label} could not be refreshed ahead of time", reason)
        else:
            self._told.pop(account.id, None)

    def _tell(self, about: str, what: str, why: str) -> None:
        """Logs a failure, unless it is the one that was logged last."""
        if self._told.get(about) != why:
            self._told[about] = why
            logger.warning("understudy: %s: %s", what, why)

"""Which models the accounts have: asked only where a host wants one that none of them has, to tell it what there is."""

import asyncio
from collections.abc import Sequence

from understudy import __version__
from understudy.oauth.catalogue import models_request
from understudy.oauth.client import NoAnswer, NotSent, Route, send
from understudy.pool.account import Account, Health
from understudy.wire.models import models_of
from understudy.wire.provider import Provider

LIFETIME = 1800.0
"""Seconds for which a list is remembered."""
AFTER_FAILURE = 60.0
"""Seconds before an account is asked again whose list did not come."""
TIMEOUT = 3.0
"""Seconds that a host waits for them at most, and that an account may take."""


class Catalogue:
    """Remembers what was asked. One account is asked at a time, and once for all hosts that want to know."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        """By account id: who is being asked, or will be."""
        self._one_at_a_time = asyncio.Lock()

    async def models(
        self, accounts: Sequence[Account], backend: Provider, route: Route, now: float
    ) -> dict[str, tuple[str, ...]]:
        """By label, the models of the accounts that say so in time. `now`: epoch seconds."""
        usable = [a for a in accounts if a.health is Health.OK and a.tokens.expires_at > now]
        if asking := [self._asked(a, backend, route, now) for a in usable if self._told(a, now) is None]:
            # It cancels none of them, whatever becomes of this host: others may wait for the same.
            await asyncio.wait(asking, timeout=TIMEOUT)
        return {a.label: models for a in usable if (models := self._told(a, now))}

    def _told(self, account: Account, now: float) -> tuple[str, ...] | None:
        """None where it has to be asked."""
        until, models = self._known.get(account.id, (0.0, ()))
        return models if now < until <= now + LIFETIME else None

    def _asked(self, account: Account, backend: Provider, route: Route, now: float) -> asyncio.Task[None]:
        task = self._asking.get(account.id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(account, backend, route, now))
            self._asking[account.id] = task
            task.add_done_callback(lambda _: self._asking.pop(account.id))
        return task

    async def _ask(self, account: Account, backend: Provider, route: Route, now: float) -> None:
        try:
            request = models_request(backend, account, __version__)
            async with self._one_at_a_time:
                status, body = await send(request, route, TIMEOUT, peer="ChatGPT")
            models = models_of(body) if status == 200 else ()
        except (NotSent, NoAnswer, ValueError):
            models = ()
        self._known[account.id] = (now + (LIFETIME if models else AFTER_FAILURE), models)

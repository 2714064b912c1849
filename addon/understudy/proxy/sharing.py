"""Tells other processes what this one knows, and hears what they do: whose a session is, who is busy, what is left."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understudy.pool.ledger import by_account
from understudy.proxy.dispatch import Dispatcher
from understudy.proxy.messages import place_of
from understudy.proxy.presence import Presence
from understudy.proxy.roster import Shown
from understudy.proxy.turn import Turns
from understudy.state import logs, telling
from understudy.state.affinity import AffinityFile
from understudy.state.board import session_line
from understudy.state.quota import MOST_SESSIONS
from understudy.state.runtime import Runtime
from understudy.state.telling import Telling

logger = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two rounds."""


class Sharing:
    """One for the life of the addon. `turns`: what is running here. `presence`: how others hear of it."""

    def __init__(self, home: Path, dispatcher: Dispatcher, turns: Turns, presence: Presence) -> None:
        self._dispatcher = dispatcher
        self._turns = turns
        self._home = home
        self._affinity = AffinityFile(home)
        self._presence = presence
        self._trouble = ""
        """Where it went wrong the last time."""

    def begin(self) -> None:
        """Hears what is known, so that the first request goes by it, if that can be heard. Blocking file work."""
        with self._told():
            self._dispatcher.roster.take_in()
            self._merge()

    async def keep(self) -> None:
        """Goes round until cancelled, whatever goes wrong."""
        memory = self._dispatcher.memory
        while True:
            with self._told():
                others = await asyncio.to_thread(self._round, self._telling(), self._presence.runtime())
                memory.claims = sum((Counter(other.claims) for other in others), Counter())
                memory.probing_elsewhere = frozenset().union(*(other.probing for other in others))
                self._dispatcher.roster.show(self._shown())
            await asyncio.sleep(EVERY)

    def end(self) -> None:
        """The last round: what was remembered here is not lost, and nothing runs here any more. Blocking file work."""
        with self._told():
            self._merge(everything=True)
            self._presence.tell(self._presence.runtime())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Logs what goes wrong, as long as it is the same once: it ends a round, and nothing else."""
        try:
            yield
        except Exception as error:
            if place_of(error) != self._trouble:
                self._trouble = place_of(error)
                logger.error("understudy: sharing with other processes failed: %s", self._trouble)

    def _shown(self) -> Shown:
        """What the status is to show of this proxy."""
        memory, accounts = self._dispatcher.memory, self._dispatcher.roster.accounts()
        sessions = memory.affinity.told(time.time()).sessions
        labels = {account.id: account.label for account in accounts}
        latest = sorted(sessions.items(), key=lambda item: item[1].used_at, reverse=True)[:MOST_SESSIONS]
        return Shown(
            by_account(binding.ledger for binding in sessions.values()),
            tuple(session_line(name, labels.get(b.account_id or "", ""), b.ledger) for name, b in latest),
            self._dispatcher.upcoming(),
        )

    def _telling(self) -> Telling:
        memory = self._dispatcher.memory
        accounts, settings = self._dispatcher.roster.accounts(), self._dispatcher.settings
        return Telling(
            rules=settings.rules,
            course=memory.course,
            vitals=dict(memory.vitals),
            apart={account_id: frozenset(models) for account_id, models in memory.apart.items() if models},
            claims=dict(self._turns.running()),
            probing=tuple(account.id for account in accounts if memory.breaker.probes(account.id)),
            wait=settings.wait,
            models=settings.models,
            passthrough=settings.passthrough,
            history=settings.history.value,
        )

    def _round(self, told: Telling, runtime: Runtime) -> tuple[Telling, ...]:
        """Gives what the others tell."""
        self._dispatcher.roster.take_in()
        self._merge()
        self._presence.tell(runtime, telling.encode(told))
        logs.bound(self._home)
        decoded = (telling.decode(record.told) for record in self._presence.others())
        return tuple(other for other in decoded if other is not None)

    def _merge(self, *, everything: bool = False) -> None:
        memory = self._dispatcher.memory
        self._affinity.merge(memory.affinity, memory.turn_states, time.time(), everything=everything)

"""Takes a host's requests in: reads those that an account has to carry out, and answers the others on this machine."""

import asyncio
import time
from collections.abc import Callable, Sequence

from understudy.pool.account import Account
from understudy.proxy import refusals, shelf
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.jobs import Jobs
from understudy.proxy.local import LocalAnswers
from understudy.proxy.messages import fields
from understudy.proxy.options import Settings
from understudy.proxy.reader import Reader
from understudy.proxy.turn import Follow, Turn, Upgrade
from understudy.wire.endpoints import Op
from understudy.wire.identity import OPENCODE
from understudy.wire.reply import Headers, Reply, header
from understudy.wire.request import decoded
from understudy.wire.sse import Event
from understudy.wire.stored import restore


class Front:
    """`serving`: the accounts that may serve, by what is asked. `retell`: how an event of the quota is told."""

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        catalogue: Catalogue,
        serving: Callable[[Op], Sequence[Account]],
        retell: Callable[[Event], bytes],
    ) -> None:
        self.archive = jobs.archive
        self._settings = settings
        self._serving = serving
        self._reader = Reader(settings, jobs.archive, retell)
        self._local = LocalAnswers(settings, catalogue)
        self._jobs = jobs

    @property
    def settings(self) -> Settings:
        """From the next request on."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = self._reader.settings = self._local.settings = settings
        self.archive.apply(settings)

    async def answer(self, turn: Turn) -> Upgrade | Follow | Reply | None:
        """What a host hears at once; None where an account has to carry out `turn.request`, which has been read then.

        Raises RequestRefused, with the reply, where the request cannot be carried out whoever does it.
        """
        op = turn.endpoint.op
        if op.is_carried:
            return await self._carried(turn)
        headers = fields(turn.flow.request.headers)
        if op is Op.CONNECT:
            return self._upgrade(headers)
        body = decoded(headers, turn.flow.request.raw_content or b"")
        if self._local.knows(op):
            body = restore(body, self.archive.recall(turn)).body if op is Op.INPUT_TOKENS else body
            return await self._local.answer(turn.endpoint, headers, body, self._serving(op), time.time())
        if (found := await self._jobs.answer(turn.endpoint)) is not None:
            return found
        return await asyncio.to_thread(shelf.answer, turn.endpoint, body, self.archive.answers)

    def begin(self, turn: Turn) -> Follow | Reply | None:
        """What the host of a request hears at once that has been read and is to be carried out in the background; None
        where its host waits for the answer.
        """
        assert turn.request is not None
        in_background = turn.request.background and turn.endpoint.op is Op.CREATE
        return self._jobs.begin(turn) if in_background else None

    async def _carried(self, turn: Turn) -> Reply | None:
        turn.request = request = await self._reader.read(turn)
        return self.archive.warm(turn) if request.begins_nothing and turn.memory is not None else None

    def _upgrade(self, headers: Headers) -> Upgrade | Reply:
        """A socket, or the refusal that sends this host back to HTTP: most understand 426; OpenCode tries again for a
        minute then, and goes back at once where its first message is too much.
        """
        if self.settings.relays_sockets:
            return Upgrade(then_close=False)
        return Upgrade(then_close=True) if header(headers, "originator") == OPENCODE else refusals.websocket()

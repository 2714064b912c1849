"""Which models the accounts have: asked of ChatGPT, kept on disk, and answered at once from what is there."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy import __version__
from understudy.oauth.catalogue import models_request
from understudy.oauth.client import Answer, NoAnswer, NotSent, Route, ask
from understudy.pool.account import Account, Health, Lane
from understudy.state.catalogue import CatalogueFile, Copy, Key, bounded
from understudy.wire.models import Catalog, catalog_of, shown
from understudy.wire.provider import Provider
from understudy.wire.text import is_field_value

LIFETIME = 300.0
"""Seconds after which a list is asked for anew, behind the back of whoever wants it: Codex's own time."""
AFTER_FAILURE = 60.0
"""Seconds before an account is asked again whose list did not come."""
TIMEOUT = 3.0
"""Seconds that a host waits at most for what is not there yet, and that an account may take. Codex waits for 5."""

_CLIENT_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Known:
    """An account's list. `asked_at`: when it was last known to be ChatGPT's, in epoch seconds; 0: by an earlier
    process.
    """

    copy: Copy
    models: Catalog
    asked_at: float = 0.0
    overtaken: bool = False
    """Whether an answer of the account has named another list since."""

    def is_fresh(self, now: float) -> bool:
        """Whether it need not be asked for anew at `now` (epoch seconds)."""
        return not self.overtaken and 0 <= now - self.asked_at < LIFETIME


class Catalogue:
    """Remembers what was asked. One account is asked at a time, and once for all hosts that want to know.

    A list depends on the client's version: each version that a host names has lists of its own.
    """

    def __init__(self, file: CatalogueFile | None = None) -> None:
        """`file`: where the lists outlast the process, if anywhere."""
        self._file = file
        self._loaded = file is None
        self._known: dict[Key, Known] = {}
        """The one that was asked for last comes last."""
        self._not_before: dict[Key, float] = {}
        """Epoch seconds until which there is no asking: it has just failed."""
        self._asking: dict[Key, asyncio.Task[None]] = {}
        """Who is being asked, or will be."""
        self._named: dict[str, str] = {}
        """By account id: the list that its answers name."""
        self._one_at_a_time = asyncio.Lock()

    async def models(
        self, accounts: Sequence[Account], backend: Provider, route: Route, now: float
    ) -> dict[str, tuple[str, ...]]:
        """By label, the models of the accounts whose lists are there in time. `now`: epoch seconds."""
        known = await self.lists(accounts, backend, route, now)
        return {label: names for label, found in known.items() if (names := shown(found.models))}

    async def lists(
        self, accounts: Sequence[Account], backend: Provider, route: Route, now: float, client_version: str = ""
    ) -> dict[str, Known]:
        """By label, the lists of the ChatGPT accounts among these that work, in their order. `now`: epoch seconds.

        `client_version`: the host's own, if it names one. What is there is given at once, and asked for anew where it
        is old. Where there is nothing, or an answer has named another list, this waits; for TIMEOUT at most.
        """
        await self._load()
        version = client_version if _CLIENT_VERSION.fullmatch(client_version) else __version__
        able = [a for a in accounts if a.enabled and a.health is Health.OK and a.lane is Lane.CODEX]
        asking = {a.id: self._asked(a, version, backend, route, now) for a in able if self._is_due(a, version, now)}
        if awaited := [task for name, task in asking.items() if self._is_wanting((name, version))]:
            # It cancels none of them, whatever becomes of this host: others may wait for the same.
            await asyncio.wait(awaited, timeout=TIMEOUT)
        return {a.label: known for a in able if (known := self._best((a.id, version)))}

    def seen_etag(self, account_id: str, etag: str) -> None:
        """An answer of the account names the list that holds now (`x-models-etag`): another one is not given again
        without asking.
        """
        if self._named.get(account_id) == etag:
            return
        self._named[account_id] = etag
        own = [key for key in self._known if key[0] == account_id]
        if all(self._known[key].copy.etag != etag for key in own):
            self._known |= {key: replace(self._known[key], overtaken=True) for key in own}

    async def end(self) -> None:
        """The process ends."""
        for task in (asking := list(self._asking.values())):
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _load(self) -> None:
        """What earlier processes were told."""
        if self._file is not None and not self._loaded:
            for copy in await asyncio.to_thread(self._file.read):
                self._known.setdefault(copy.key, Known(copy, catalog_of(copy.body)))
            self._loaded = True

    def _is_due(self, account: Account, version: str, now: float) -> bool:
        key = account.id, version
        known = self._known.get(key)
        fresh = known is not None and known.is_fresh(now)
        return account.tokens.expires_at > now and not fresh and not self._has_failed(key, now)

    def _has_failed(self, key: Key, now: float) -> bool:
        return now < self._not_before.get(key, 0.0) <= now + AFTER_FAILURE

    def _is_wanting(self, key: Key) -> bool:
        known = self._known.get(key)
        return known is None or known.overtaken

    def _best(self, key: Key) -> Known | None:
        """The account's list for this client, or else the one that it gave last to any."""
        others = (known for (account_id, _), known in reversed(self._known.items()) if account_id == key[0])
        return self._known.get(key) or next(others, None)

    def _asked(self, account: Account, version: str, backend: Provider, route: Route, now: float) -> asyncio.Task[None]:
        key = account.id, version
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(account, version, backend, route, now))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key))
        return task

    async def _ask(self, account: Account, version: str, backend: Provider, route: Route, now: float) -> None:
        key = account.id, version
        old = self._known.get(key)
        try:
            request = models_request(backend, account, __version__, version, old.copy.etag if old else "")
            async with self._one_at_a_time:
                answer = await ask(request, route, TIMEOUT, peer="ChatGPT")
        except (NotSent, NoAnswer, ValueError):
            answer = Answer(0, b"")
        new = _read(answer, key, old, now)
        if new is None:
            waiting = {other: until for other, until in self._not_before.items() if self._has_failed(other, now)}
            self._not_before = {**waiting, key: now + AFTER_FAILURE}
            return
        self._not_before.pop(key, None)
        self._keep(new)
        if self._file and (old is None or old.copy != new.copy):
            await asyncio.to_thread(self._file.note, new.copy)

    def _keep(self, new: Known) -> None:
        self._known.pop(new.copy.key, None)
        known = {**self._known, new.copy.key: new}
        self._known = {copy.key: known[copy.key] for copy in bounded([known.copy for known in known.values()])}


def _read(answer: Answer, key: Key, old: Known | None, now: float) -> Known | None:
    """The list that an answer gives, or finds to be still the one; None where it does neither."""
    if answer.status == 304 and old is not None:
        return replace(old, asked_at=now, overtaken=False)
    models = catalog_of(answer.body) if answer.status == 200 else ()
    etag = answer.etag if is_field_value(answer.etag) and len(answer.etag) <= 200 else ""
    return Known(Copy(*key, etag, answer.body.decode("utf-8-sig")), models, now) if models else None

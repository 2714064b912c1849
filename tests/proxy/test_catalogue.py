"""Which models the accounts have is asked seldom, of those that can be asked, and no host waits for it long."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from support.logins import account
from understudy.oauth.client import Route
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account, Health
from understudy.proxy.catalogue import AFTER_FAILURE, LIFETIME, TIMEOUT, Catalogue
from understudy.sandbox.server import Sandbox
from understudy.wire.provider import Provider, read_provider

DIRECT = Route(None, None)
NOW = 1_000_000.0
"""Long before the tokens expire."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox({"accounts": {"work": {"models": ["gpt-5.5", "gpt-6"]}, "home": {"models": ["gpt-5.5"]}}}) as running:
        yield running


@pytest.fixture
def backend(sandbox: Sandbox) -> Provider:
    return read_provider(sandbox.backend)


@pytest.fixture
def accounts(sandbox: Sandbox) -> tuple[Account, ...]:
    found: tuple[Account, ...] = ()
    for label in sandbox.scenario.accounts:
        found = enrol(found, read_auth_json(sandbox.auth_json(label)), f"acct_{label}", label, now=0.0).accounts
    return found


async def test_each_account_tells_what_it_has(backend: Provider, accounts: tuple[Account, ...]) -> None:
    assert await Catalogue().models(accounts, backend, DIRECT, NOW) == {
        "work": ("gpt-5.5", "gpt-6"),
        "home": ("gpt-5.5",),
    }


async def test_what_was_told_is_asked_again_after_half_an_hour(
    sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]
) -> None:
    catalogue = Catalogue()
    for now in (NOW, NOW + LIFETIME - 1, NOW + LIFETIME):
        await catalogue.models(accounts[:1], backend, DIRECT, now)
    assert len(sandbox.journal) == 2


async def test_a_clock_that_was_set_back_does_not_keep_it_for_ever(
    sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]
) -> None:
    catalogue = Catalogue()
    for now in (NOW, NOW - 10):
        await catalogue.models(accounts[:1], backend, DIRECT, now)
    assert len(sandbox.journal) == 2


async def test_an_account_that_does_not_tell_is_left_alone_for_a_minute(
    sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]
) -> None:
    catalogue, stranger = Catalogue(), account("stranger")
    for now in (NOW, NOW + AFTER_FAILURE - 1, NOW + AFTER_FAILURE):
        told = await catalogue.models([stranger, accounts[1]], backend, DIRECT, now)
        assert told == {"home": ("gpt-5.5",)}
    assert [entry.account for entry in sandbox.journal].count(None) == 2


async def test_who_cannot_be_asked_is_not(sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]) -> None:
    work, home = accounts
    dead = replace(work, health=Health.NEEDS_LOGIN)
    expired = replace(home, tokens=replace(home.tokens, expires_at=NOW))
    assert await Catalogue().models([dead, expired], backend, DIRECT, NOW) == {}
    assert len(sandbox.journal) == 0


async def test_where_nobody_is_there_nothing_is_told(accounts: tuple[Account, ...]) -> None:
    nowhere = read_provider("http://127.0.0.1:9/backend-api/codex")
    assert await Catalogue().models(accounts, nowhere, DIRECT, NOW) == {}


@dataclass
class Library:
    """A backend that takes its time with the lists: until it is `open`, or for ever with those that it has `lost`."""

    backend: Provider
    open: asyncio.Event = field(default_factory=asyncio.Event)
    lost: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    """How often, by account id."""
    present: int = 0
    most: int = 0
    """How many have asked at once, at the most."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [name] = re.findall(r"chatgpt-account-id: (\S+)", head)
        self.asked[name] += 1
        self.present += 1
        self.most = max(self.most, self.present)
        await self.open.wait()
        self.present -= 1
        if name not in self.lost:
            body = json.dumps({"models": [{"slug": f"model-of-{name}", "visibility": "list"}]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()


@pytest.fixture
async def library() -> AsyncIterator[Library]:
    found = Library(read_provider("http://127.0.0.1:1/codex"))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.backend = read_provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/codex")
    yield found
    server.close()
    for writer in found.writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in found.writers), return_exceptions=True)


ADA, BOB = account("ada"), account("bob")
BOTH = {"ada": ("model-of-ws-ada",), "bob": ("model-of-ws-bob",)}


async def test_however_many_hosts_want_to_know_each_account_is_asked_once_and_one_at_a_time(library: Library) -> None:
    catalogue = Catalogue()
    hosts = [asyncio.ensure_future(catalogue.models([ADA, BOB], library.backend, DIRECT, NOW)) for _ in range(10)]
    await until_asked(library, 1)
    library.open.set()
    assert await asyncio.gather(*hosts) == [BOTH] * 10
    assert (library.asked, library.most) == ({"ws-ada": 1, "ws-bob": 1}, 1)


async def test_a_host_that_hangs_up_leaves_the_others_their_answer(library: Library) -> None:
    catalogue = Catalogue()
    first, second = (
        asyncio.ensure_future(catalogue.models([ADA, BOB], library.backend, DIRECT, NOW)) for _ in range(2)
    )
    await until_asked(library, 1)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    library.open.set()
    assert await second == BOTH
    assert library.asked == {"ws-ada": 1, "ws-bob": 1}


async def test_a_host_hears_in_time_what_there_is_by_then(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.proxy.catalogue.TIMEOUT", 1.0)
    library.lost.add("ws-bob")
    library.open.set()
    began = asyncio.get_running_loop().time()
    told = await Catalogue().models([ADA, BOB, account("cid")], library.backend, DIRECT, NOW)
    assert told == {"ada": ("model-of-ws-ada",)}
    assert asyncio.get_running_loop().time() - began < TIMEOUT


async def until_asked(library: Library, count: int) -> None:
    """Lets others work until so many requests have come."""
    async with asyncio.timeout(10):
        while library.asked.total() < count:
            await asyncio.sleep(0.01)

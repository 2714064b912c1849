"""Which models the accounts have is asked seldom, of those that can be asked, and no host waits for what is there."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from support.logins import account
from understudy import __version__
from understudy.oauth.client import Route
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.account import Account, Health, Lane
from understudy.proxy.catalogue import AFTER_FAILURE, LIFETIME, TIMEOUT, Catalogue
from understudy.sandbox.server import Sandbox
from understudy.state.catalogue import CatalogueFile, Copy
from understudy.wire.provider import Provider, read_provider

DIRECT = Route(None, None)
NOW = 1_000_000.0
"""Long before the tokens expire."""
NOWHERE = read_provider("http://127.0.0.1:9/backend-api/codex")


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


async def test_an_account_that_does_not_tell_is_left_alone_for_a_minute(
    sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]
) -> None:
    catalogue, stranger = Catalogue(), account("stranger")
    for now in (NOW, NOW + AFTER_FAILURE - 1, NOW + AFTER_FAILURE):
        heard = await catalogue.models([stranger, accounts[1]], backend, DIRECT, now)
        assert heard == {"home": ("gpt-5.5",)}
    assert [entry.account for entry in sandbox.journal].count(None) == 2


async def test_who_cannot_be_asked_is_not(sandbox: Sandbox, backend: Provider, accounts: tuple[Account, ...]) -> None:
    work, home = accounts
    dead = replace(work, health=Health.NEEDS_LOGIN)
    expired = replace(home, tokens=replace(home.tokens, expires_at=NOW))
    idle, keyed = replace(work, enabled=False), replace(work, lane=Lane.PLATFORM)
    assert await Catalogue().models([dead, expired, idle, keyed], backend, DIRECT, NOW) == {}
    assert len(sandbox.journal) == 0


async def test_where_nobody_is_there_nothing_is_told(accounts: tuple[Account, ...]) -> None:
    assert await Catalogue().models(accounts, NOWHERE, DIRECT, NOW) == {}


@dataclass
class Library:
    """A backend that takes its time with the lists: until it is `open`, or for ever with those that it has `lost`."""

    backend: Provider
    open: asyncio.Event = field(default_factory=asyncio.Event)
    lost: set[str] = field(default_factory=set)
    edition: int = 1
    """Of all its lists; the ETag names it."""
    status: int = 200
    asked: Counter[str] = field(default_factory=Counter)
    """How often, by account id."""
    versions: list[str] = field(default_factory=list)
    """The client versions that it was asked for."""
    unchanged: int = 0
    """How often it answered 304."""
    present: int = 0
    most: int = 0
    """How many have asked at once, at the most."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [name] = re.findall(r"chatgpt-account-id: (\S+)", head)
        self.versions += re.findall(r"client_version=(\S+)", head)
        self.asked[name] += 1
        self.present += 1
        self.most = max(self.most, self.present)
        await self.open.wait()
        self.present -= 1
        if name not in self.lost:
            etag = f'W/"{name}-{self.edition}"'
            known = f"if-none-match: {etag}\r\n" in head
            self.unchanged += known
            models = [{"slug": f"model-{self.edition}-of-{name}", "visibility": "list"}]
            body = b"" if known else json.dumps({"models": models}).encode()
            fields = f"ETag: {etag}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {304 if known else self.status} Whatever\r\n{fields}".encode() + body)
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
BOTH = {"ada": ("model-1-of-ws-ada",), "bob": ("model-1-of-ws-bob",)}


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
    heard = await Catalogue().models([ADA, BOB, account("cid")], library.backend, DIRECT, NOW)
    assert heard == {"ada": ("model-1-of-ws-ada",)}
    assert asyncio.get_running_loop().time() - began < TIMEOUT


# What is there is given at once


FIRST, SECOND = ({"ada": (f"model-{edition}-of-ws-ada",)} for edition in (1, 2))


@pytest.fixture
def ready(library: Library) -> Library:
    library.open.set()
    return library


async def told(catalogue: Catalogue, library: Library, now: float) -> dict[str, tuple[str, ...]]:
    return await catalogue.models([ADA], library.backend, DIRECT, now)


async def test_what_is_fresh_is_not_asked_for(ready: Library) -> None:
    catalogue = Catalogue()
    for now in (NOW, NOW + LIFETIME - 1):
        assert await told(catalogue, ready, now) == FIRST
    assert ready.asked.total() == 1


@pytest.mark.parametrize("later", [LIFETIME, -10], ids=["after five minutes", "after the clock was set back"])
async def test_what_is_old_is_given_at_once_and_asked_for_meanwhile(ready: Library, later: float) -> None:
    catalogue = Catalogue()
    await told(catalogue, ready, NOW)
    ready.edition = 2
    ready.open.clear()
    assert await told(catalogue, ready, NOW + later) == FIRST
    await until_asked(ready, 2)
    ready.open.set()
    await until(lambda: not catalogue._asking)
    assert await told(catalogue, ready, NOW + later) == SECOND
    assert ready.asked.total() == 2


async def test_a_list_that_is_still_the_one_is_not_sent_again(ready: Library) -> None:
    catalogue = Catalogue()
    for now in (NOW, NOW + LIFETIME, NOW + 2 * LIFETIME - 1):
        assert await told(catalogue, ready, now) == FIRST
        await until(lambda: not catalogue._asking)
    assert (ready.asked.total(), ready.unchanged) == (2, 1)


async def test_where_an_answer_names_another_list_it_is_asked_for_first(ready: Library) -> None:
    catalogue = Catalogue()
    await told(catalogue, ready, NOW)
    ready.edition = 2
    catalogue.seen_etag(ADA.id, 'W/"ws-ada-2"')
    assert await told(catalogue, ready, NOW + 1) == SECOND
    assert ready.asked.total() == 2


@pytest.mark.parametrize("name", ['W/"ws-ada-1"', 'W/"of another version"'])
async def test_a_list_that_is_named_again_and_again_is_asked_for_once_at_most(ready: Library, name: str) -> None:
    catalogue = Catalogue()
    for now in range(5):
        await told(catalogue, ready, NOW + now)
        catalogue.seen_etag(ADA.id, name)
    assert ready.asked.total() <= 2


@pytest.mark.parametrize("trouble", ["status", "lost"])
async def test_the_last_good_list_stays_where_there_is_no_newer_one(
    ready: Library, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("understudy.proxy.catalogue.TIMEOUT", 0.5)
    catalogue = Catalogue()
    await told(catalogue, ready, NOW)
    ready.edition, ready.status = 2, 500
    ready.lost |= {"ws-ada"} if trouble == "lost" else set()
    catalogue.seen_etag(ADA.id, 'W/"ws-ada-2"')
    for now in (NOW + 1, NOW + 2):
        assert await told(catalogue, ready, now) == FIRST
    assert ready.asked.total() == 2


# Each client version has lists of its own


async def test_a_host_s_own_version_is_asked_for(ready: Library) -> None:
    catalogue = Catalogue()
    for version in ("", "0.150.0", "0.150.0", "1+2", "no version", "x" * 41):
        await catalogue.lists([ADA], ready.backend, DIRECT, NOW, version)
    assert ready.versions == [__version__, "0.150.0", "1%2B2"]


async def test_a_version_without_a_list_gets_the_one_that_was_told_last(ready: Library) -> None:
    catalogue = Catalogue()
    await catalogue.lists([ADA], ready.backend, DIRECT, NOW, "1")
    ready.edition = 2
    await catalogue.lists([ADA], ready.backend, DIRECT, NOW, "2")
    ready.status = 500
    [known] = (await catalogue.lists([ADA], ready.backend, DIRECT, NOW, "3")).values()
    assert known.copy.client_version == "2"


# On disk


async def test_the_lists_outlast_the_process_and_need_no_network(ready: Library, tmp_path: Path) -> None:
    await told(Catalogue(CatalogueFile(tmp_path)), ready, NOW)
    later = Catalogue(CatalogueFile(tmp_path))
    assert await later.models([ADA], NOWHERE, DIRECT, NOW) == FIRST
    await later.end()


async def test_what_an_earlier_process_was_told_is_asked_for_anew(ready: Library, tmp_path: Path) -> None:
    CatalogueFile(tmp_path).note(Copy(ADA.id, __version__, "", '{"models": [{"slug": "old"}]}'))
    catalogue = Catalogue(CatalogueFile(tmp_path))
    assert await told(catalogue, ready, NOW) == {"ada": ("old",)}
    await until(lambda: not catalogue._asking)
    assert await told(catalogue, ready, NOW) == FIRST
    assert [copy.etag for copy in CatalogueFile(tmp_path).read()] == ['W/"ws-ada-1"']


async def test_the_file_is_written_only_where_a_list_has_changed(ready: Library, tmp_path: Path) -> None:
    file = CatalogueFile(tmp_path)
    catalogue = Catalogue(file)
    await told(catalogue, ready, NOW)
    file.path.unlink()
    await told(catalogue, ready, NOW + LIFETIME)
    await until(lambda: not catalogue._asking)
    assert ready.unchanged == 1 and not file.path.exists()


async def test_at_the_end_nobody_is_left_asking(library: Library) -> None:
    catalogue = Catalogue()
    host = asyncio.ensure_future(told(catalogue, library, NOW))
    await until_asked(library, 1)
    await catalogue.end()
    assert await host == {}


async def until_asked(library: Library, count: int) -> None:
    """Lets others work until so many requests have come."""
    await until(lambda: library.asked.total() >= count)


async def until(done: Callable[[], bool]) -> None:
    """Lets others work until it is so."""
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.01)

"""The pool on disk is never torn, never silently emptied or refilled, and loses nobody's update."""

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.killing import killings
from support.logins import CANARY, account
from understudy.pool.account import Account, Block, Ground, Health, Lane, Spending
from understudy.pool.pool import Pool, over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.errors import StoreCorrupt, StoreNewer
from understudy.wire.secret import Secret


@pytest.fixture
def store(home: Path) -> AccountStore:
    """A pool of two accounts."""
    made = AccountStore(home)
    made.update(over_accounts(lambda _: (account("ada"), account("bob"))))
    return made


BLOCK = Block(1_800_000_000.25, "usage limit", authoritative=True)


def labels(store: AccountStore) -> list[str]:
    return [a.label for a in AccountStore(store.home).read().accounts]


def edit(store: AccountStore, change: Callable[[dict[str, object]], object]) -> bytes:
    """Changes the file by hand; gives its new bytes."""
    document = json.loads(store.path.read_bytes())
    change(document)
    store.path.write_text(json.dumps(document))
    return store.path.read_bytes()


def test_a_pool_that_was_never_written_is_empty_and_reading_makes_nothing(home: Path) -> None:
    assert AccountStore(home).read() == Pool()
    assert not home.exists()


def test_every_field_of_an_account_comes_back_as_it_was(home: Path) -> None:
    full = replace(
        account("ada"),
        fedramp=True,
        enabled=False,
        health=Health.NEEDS_LOGIN,
        health_reason="the login has expired",
        blocks=(Block(1_800_000_000.25, "usage limit", authoritative=True, ground=Ground.LOGIN),),
        last_used_at=1_799_999_999.5,
        user_id="",
        email="ada+ü@example.com",
    )
    AccountStore(home).update(over_accounts(lambda _: (full, account("bob"))))
    assert AccountStore(home).read().accounts == (full, account("bob"))


def test_tokens_are_written_in_full(store: AccountStore) -> None:
    assert store.path.read_text().count(CANARY) == 6
    assert "secret" not in store.path.read_text()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_every_file_with_tokens_is_private_and_has_accounts_in_its_name(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        AccountStore(home).update(over_accounts(lambda _: (account(),)))
    finally:
        os.umask(before)
    holding = [p for p in home.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert sorted(p.name for p in holding) == ["accounts.json", "accounts.json.bak"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in home.rglob("*") if p.is_file()} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_change_sees_what_another_process_wrote_last(store: AccountStore) -> None:
    AccountStore(store.home).update(over_accounts(lambda accounts: (*accounts, account("cy"))))
    seen: list[str] = []

    def change(pool: Pool) -> Pool:
        seen.extend(a.label for a in pool.accounts)
        return pool

    store.update(change)
    assert seen == ["ada", "bob", "cy"]


def test_a_change_that_changes_nothing_writes_nothing(store: AccountStore) -> None:
    before = store.path.stat()
    pool = store.update(over_accounts(lambda accounts: accounts))
    assert (store.path.stat().st_mtime_ns, store.path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert pool.revision == 1


def test_the_revision_grows_by_one_with_every_change(store: AccountStore) -> None:
    assert store.update(over_accounts(lambda accounts: accounts[:1])).revision == 2
    assert store.update(over_accounts(lambda _: ())).revision == 3


def test_an_emptied_pool_stays_empty(store: AccountStore) -> None:
    store.update(over_accounts(lambda _: ()))
    assert AccountStore(store.home).read() == Pool(revision=2)


def test_a_change_that_raises_leaves_the_pool_alone(store: AccountStore) -> None:
    def fail(pool: Pool) -> Pool:
        raise LookupError

    with pytest.raises(LookupError):
        store.update(fail)
    assert labels(store) == ["ada", "bob"]
    assert store.update(over_accounts(lambda accounts: accounts[:1])).revision == 2, "the lock was kept"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda a: replace(a, account_id="ws\r\nx-injected: 1"), id="account id"),
        pytest.param(lambda a: replace(a, label="two words"), id="label"),
        pytest.param(lambda a: replace(a, label="bob"), id="taken label"),
        pytest.param(lambda a: replace(a, last_used_at=float("nan")), id="nan"),
        pytest.param(lambda a: replace(a, plan="x" * 513), id="text without end"),
        pytest.param(lambda a: replace(a, blocks=(BLOCK,) * 65), id="blocks without end"),
        pytest.param(lambda a: replace(a, blocks=(replace(BLOCK, model="x" * 513),)), id="a model without end"),
        pytest.param(lambda a: replace(a, blocks=(replace(BLOCK, since=float("inf")),)), id="a block since never"),
        pytest.param(lambda a: replace(a, reserve_percent=101.0), id="more reserved than there is"),
        pytest.param(lambda a: replace(a, reserve_percent=float("nan")), id="who knows what reserved"),
        pytest.param(lambda a: replace(a, spending=Spending(1, -1)), id="less than nothing spent"),
        pytest.param(lambda a: replace(a, tokens=replace(a.tokens, refresh=Secret(""))), id="no refresh token"),
        pytest.param(lambda a: replace(a, lane=Lane.PLATFORM), id="an API key with a refresh token"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(store: AccountStore, bad: Callable[[Account], Account]) -> None:
    with pytest.raises(ValueError):
        store.update(over_accounts(lambda accounts: (bad(accounts[0]), *accounts[1:])))
    assert labels(store) == ["ada", "bob"]


def test_a_change_by_another_process_is_noticed_and_ones_own_is_not_news(store: AccountStore) -> None:
    store.read()
    assert not store.changed()
    AccountStore(store.home).update(over_accounts(lambda accounts: accounts[:1]))
    assert store.changed()
    assert [a.label for a in store.read().accounts] == ["ada"]
    assert not store.changed()
    store.update(over_accounts(lambda accounts: (*accounts, account("cy"))))
    assert not store.changed()


def test_a_disabled_account_stays_disabled_whatever_else_changes(store: AccountStore) -> None:
    store.update(over_accounts(lambda accounts: (replace(accounts[0], enabled=False), *accounts[1:])))
    AccountStore(store.home).update(
        over_accounts(lambda accounts: tuple(replace(a, last_used_at=5.0) for a in accounts))
    )
    assert [a.enabled for a in AccountStore(store.home).read().accounts] == [False, True]


def with_value(name: str, value: object) -> Callable[[dict[str, object]], None]:
    def change(document: dict[str, object]) -> None:
        accounts = document["accounts"]
        assert isinstance(accounts, list)
        target = accounts[0]["tokens"] if name in accounts[0]["tokens"] else accounts[0]
        target[name] = value

    return change


def damaged(store: AccountStore) -> dict[str, bytes]:
    good = store.path.read_bytes()
    return {
        "empty": b"",
        "torn": good[: len(good) // 2],
        "garbage": os.urandom(2000),
        "text": b"sk-looks-like-a-key",
        "array": b"[]",
        "null": b"null",
        "no version": b'{"accounts": []}',
        "version zero": good.replace(b'"version": 3', b'"version": 0'),
        "version true": good.replace(b'"version": 3', b'"version": true'),
        "nan": good.replace(b'"expires_at": 1800003600.0', b'"expires_at": NaN'),
        "infinite": good.replace(b'"expires_at": 1800003600.0', b'"expires_at": 1e999'),
        "huge number": good.replace(b'"expires_at": 1800003600.0', b'"expires_at": ' + b"9" * 400),
        "depth bomb": b"[" * 100_000,
        "utf-16": good.decode().encode("utf-16"),
        "token with line break": good.replace(b'"rt_canary', b'"rt_\\r\\ncanary'),
        "token of the wrong type": good.replace(b'"rt_canary-of-tests-refresh-ada-x"', b'["rt_canary"]'),
        "no refresh token": good.replace(b'"rt_canary-of-tests-refresh-ada-x"', b'""'),
        "a lane that is none": good.replace(b'"lane": "codex"', b'"lane": "fast"'),
        "more reserved than there is": good.replace(b'"reserve_percent": 0.0', b'"reserve_percent": 100.5'),
        "account id with line break": good.replace(b'"ws-ada"', b'"ws\\r\\nada"'),
        "two of one label": good.replace(b'"label": "bob"', b'"label": "ADA"'),
        "a name twice": good.rstrip().removesuffix(b"}") + b', "accounts": []}',
        "two of one id": good.replace(b'"id": "acct_bob"', b'"id": "acct_ada"'),
    }


DAMAGES = [
    "empty",
    "torn",
    "garbage",
    "text",
    "array",
    "null",
    "no version",
    "version zero",
    "version true",
    "nan",
    "infinite",
    "huge number",
    "depth bomb",
    "utf-16",
    "token with line break",
    "token of the wrong type",
    "no refresh token",
    "a lane that is none",
    "more reserved than there is",
    "account id with line break",
    "two of one label",
    "a name twice",
    "two of one id",
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", ["read", "update"])
def test_an_unreadable_pool_is_set_aside_whole_and_said_aloud(store: AccountStore, damage: str, verb: str) -> None:
    data = damaged(store)[damage]
    store.path.write_bytes(data)
    fresh = AccountStore(store.home)
    with pytest.raises(StoreCorrupt, match="backup has 2 accounts") as caught:
        fresh.read() if verb == "read" else fresh.update(over_accounts(lambda _: ()))
    assert caught.value.kept.read_bytes() == data
    assert caught.value.kept.parent == store.home / "quarantine"
    assert str(caught.value.kept) in str(caught.value)
    assert CANARY not in str(caught.value) and "sk-" not in str(caught.value)
    assert stat.S_IMODE(caught.value.kept.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(caught.value.kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("end", range(0, 1950, 61))
def test_a_pool_cut_off_anywhere_is_never_read_as_a_smaller_one(store: AccountStore, end: int) -> None:
    data = store.path.read_bytes()
    assert end < len(data) - 2
    store.path.write_bytes(data[:end])
    with pytest.raises(StoreCorrupt):
        AccountStore(store.home).read()


def test_after_quarantine_nothing_starts_anew_until_the_user_decides(store: AccountStore) -> None:
    good = store.path.read_bytes()
    store.path.write_bytes(b"torn")
    for _ in range(3):
        with pytest.raises(StoreCorrupt, match=r"restore accounts\.json\.bak"):
            AccountStore(store.home).update(over_accounts(lambda accounts: (*accounts, account("cy"))))
    assert not store.path.exists()
    assert store.backup.read_bytes() == good
    store.backup.rename(store.path)
    assert labels(store) == ["ada", "bob"]


def test_without_a_backup_a_new_pool_may_begin(store: AccountStore) -> None:
    store.path.write_bytes(b"torn")
    store.backup.unlink()
    with pytest.raises(StoreCorrupt, match="no backup"):
        AccountStore(store.home).read()
    assert AccountStore(store.home).read() == Pool()


def test_an_unreadable_backup_is_not_offered(store: AccountStore) -> None:
    store.path.write_bytes(b"torn")
    store.backup.write_bytes(b"torn too")
    with pytest.raises(StoreCorrupt, match="unreadable too"):
        AccountStore(store.home).read()


def test_the_backup_is_the_pool_as_it_was_last_written_so_that_its_tokens_are_not_spent(store: AccountStore) -> None:
    store.update(over_accounts(lambda accounts: (account("ada", mark="rotated"), *accounts[1:])))
    assert store.backup.read_bytes() == store.path.read_bytes()


def test_a_backup_that_cannot_be_written_does_not_undo_the_update(
    store: AccountStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.backup.unlink()
    store.backup.mkdir()
    assert store.update(over_accounts(lambda accounts: accounts[:1])).revision == 2
    assert labels(store) == ["ada"]
    assert "no fresh backup" in caplog.text


@pytest.mark.parametrize("verb", ["read", "update"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda document: document.update(version=4), id="newer version"),
        pytest.param(lambda document: document.update(affinity=7), id="unknown field"),
        pytest.param(with_value("colour", "x"), id="unknown field of an account"),
    ],
)
def test_a_pool_of_another_version_is_refused_and_left_alone(
    store: AccountStore, verb: str, change: Callable[[dict[str, object]], object]
) -> None:
    data = edit(store, change)
    fresh = AccountStore(store.home)
    with pytest.raises(StoreNewer, match="update this one"):
        fresh.read() if verb == "read" else fresh.update(over_accounts(lambda _: ()))
    assert store.path.read_bytes() == data
    assert not (store.home / "quarantine").exists()


LATER = """
from dataclasses import replace
from understudy.pool.pool import over_accounts

later = over_accounts(lambda accounts: tuple(replace(a, last_used_at=(a.last_used_at or 0) + 1) for a in accounts))
"""

FOREVER = (
    LATER
    + """
from understudy.state.accounts import AccountStore

def work(path):
    store = AccountStore(path)
    while True:
        store.update(later)
"""
)

WRITER = (
    LATER
    + """
import sys
from pathlib import Path
from understudy.state.accounts import AccountStore

store = AccountStore(Path(sys.argv[1]))
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    store.update(later)
"""
)


def start(store: AccountStore, updates: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(store.home), str(updates)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_four_processes_that_write_at_once_lose_no_update(store: AccountStore) -> None:
    running = [start(store, 50) for _ in range(4)]
    for process in running:
        with process:
            assert process.wait(timeout=60) == 0
    pool = AccountStore(store.home).read()
    assert [a.last_used_at for a in pool.accounts] == [200.0, 200.0]
    assert pool.revision == 201


def test_an_update_killed_at_any_moment_leaves_a_whole_pool_and_a_whole_backup(store: AccountStore) -> None:
    rng = random.Random(7)
    last = 0.0
    for round, _ in enumerate(killings(FOREVER, store.home, rng)):
        for path in (store.path, store.backup):
            document = json.loads(path.read_bytes())
            assert len({a["last_used_at"] for a in document["accounts"]}) == 1, f"round {round}: half an update"
        pool = AccountStore(store.home).read()
        used = pool.accounts[0].last_used_at or 0.0
        assert used >= last and pool.revision == 1 + used
        last = used
    assert last > 0
    assert labels(store) == ["ada", "bob"]

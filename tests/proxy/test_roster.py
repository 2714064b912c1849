"""What this process learns of its accounts reaches the disk, whatever else goes wrong on the way."""

import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from support.logins import account
from understudy.pool.pool import over_accounts
from understudy.proxy.roster import Roster
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source


async def test_a_change_that_comes_while_the_status_cannot_be_written_waits_for_the_next_write(home: Path) -> None:
    store = AccountStore(home)
    store.update(over_accounts(lambda _: (account("ada"),)))

    class Broken(QuotaCache):
        """Fails in a way that nobody expects, just as an answer brings another change."""

        def record(self, *_: object, **more: object) -> None:
            roster.change("acct_ada", lambda ada: replace(ada, note="newer"))
            raise RuntimeError

    roster = Roster(store, Broken(home))
    roster.change("acct_ada", lambda ada: replace(ada, last_used_at=5.0))
    assert not roster.write()
    assert [(ada.last_used_at, ada.note) for ada in roster.accounts()] == [(5.0, "newer")]


async def test_a_pool_that_cannot_be_read_does_not_pass_for_an_empty_one(home: Path) -> None:
    store, quota = AccountStore(home), QuotaCache(home)
    quota.sync(store.update(over_accounts(lambda _: (account("ada"),))))
    figures = quota.path.read_bytes()
    store.path.write_text("{")
    roster = Roster(AccountStore(home), QuotaCache(home))
    assert roster.accounts() == ()
    assert not roster.write()
    assert "moved to" in roster.trouble or "missing" in roster.trouble
    assert quota.path.read_bytes() == figures


async def test_no_figure_is_lost_that_an_answer_brings_while_others_are_written(home: Path) -> None:
    written: set[str] = set()

    class Witnessed(QuotaCache):
        """Takes what is given to it, and no time."""

        def record(self, snapshots: Iterable[tuple[str, Snapshot]], *_: object, **more: object) -> None:
            written.update(account_id for account_id, _ in snapshots)

    roster = Roster(AccountStore(home), Witnessed(home))
    seen = Snapshot("plus", (), None, 5.0, Source.HEADERS)
    names = [f"acct_{number}" for number in range(20_000)]
    ended = threading.Event()
    failures = 0

    def write() -> None:
        nonlocal failures
        while not ended.is_set():
            failures += not roster.write()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    writer = threading.Thread(target=write)
    try:
        writer.start()
        for name in names:
            roster.learn(name, seen)
    finally:
        ended.set()
        writer.join()
        sys.setswitchinterval(interval)
    assert roster.write()
    assert (failures, written) == (0, set(names))

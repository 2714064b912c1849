"""What this process learns of its accounts reaches the disk, whatever else goes wrong on the way."""

from dataclasses import replace
from pathlib import Path

from support.logins import account
from understudy.pool.pool import over_accounts
from understudy.proxy.roster import Roster
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache


async def test_a_change_that_comes_while_the_status_cannot_be_written_waits_for_the_next_write(home: Path) -> None:
    store = AccountStore(home)
    store.update(over_accounts(lambda _: (account("ada"),)))

    class Broken(QuotaCache):
        """Fails in a way that nobody expects, just as an answer brings another change."""

        def record(self, *_: object) -> None:
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

"""A refresh is killed with SIGKILL at every step of it. Whatever is left comes to a defined end.

The login server's view decides: whatever tokens it gave last, the account has them in the end, or, where the process
died between their coming and their being on disk, it is known to need a login. Nothing is asked for more than twice.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from support.killing import Stepping
from support.members import member
from understudy.oauth.renewal import LOST
from understudy.pool.account import Account, Health
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

LABEL = "ada"
QUICK_STEPS = 25
PAST_THE_LEASE, PAST_THE_PAUSE, MUCH_LATER = 25, 100, 1000
"""Seconds after the kill at which the next processes come."""

PROGRAM = """
import asyncio, logging, tempfile, time
from pathlib import Path
from understudy.pool.account import Account, Tokens
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.oauth.renewal import NeedsLogin, RefreshFailed
from understudy.state.tokens import TokenKeeper
from understudy.wire.secret import Secret

def work(argument):
    home, issuer, later = argument.split()
    clock = lambda: time.time() + float(later)
    keeper = TokenKeeper(AccountStore(Path(home)), issuer, clock=clock)
    try:
        asyncio.run(keeper.fresh("acct_ada", clock()))
    except (NeedsLogin, RefreshFailed):
        pass

logging.disable()
# Once in vain, so that all modules are loaded.
with tempfile.TemporaryDirectory() as folder:
    tokens = Tokens(Secret("a"), Secret("r"), Secret("i"), 0.0)
    accounts = (Account("acct_ada", "ada", "ws", "user", tokens),)
    AccountStore(Path(folder)).update(over_accounts(lambda _: accounts))
    work(f"{folder} http://127.0.0.1:1 0")
"""


def run(quick: bool) -> bool:
    """Prints how the rounds ended. Whether every one ended as it must."""
    specs = {LABEL: {"first_life": -5.0}}
    with (
        Sandbox({"accounts": specs}) as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Stepping(PROGRAM) as stepping,
    ):
        campaign = Campaign(sandbox, AccountStore(Path(folder) / "understudy"), stepping)
        steps = campaign.count()
        ends = Counter(campaign.round(step) for step in range(1, steps + 1, steps // QUICK_STEPS if quick else 1))
    for end, count in sorted(ends.items()):
        print(f"{count:5} x {end}")
    print(f"{ends.total()} of {steps} steps were killed at")
    return not any(end.startswith("WRONG") for end in ends)


class Campaign:
    """The rounds, each with a new login whose access token has expired."""

    def __init__(self, sandbox: Sandbox, store: AccountStore, stepping: Stepping) -> None:
        self._sandbox = sandbox
        self._store = store
        self._stepping = stepping

    def count(self) -> int:
        """The steps of a refresh that nobody disturbs."""
        self._log_in()
        return self._stepping.steps(self._argument(0))

    def round(self, step: int) -> str:
        """Kills a refresh at `step` and sends the next processes. Gives the end in words."""
        self._log_in()
        killed = self._stepping.killed(step, self._argument(0))
        self._settle()
        lost, marked, sent = not self._is_current(), self._account().refreshes.sent_at is not None, len(self._asked())
        self._stepping.work(self._argument(PAST_THE_LEASE))
        if marked and len(self._asked()) != sent:
            return f"WRONG: killed at step {step}: sent again within a minute"
        self._stepping.work(self._argument(PAST_THE_PAUSE))
        self._stepping.work(self._argument(MUCH_LATER))
        wrong = self._wrong(lost)
        if wrong:
            return f"WRONG: killed at step {step}: {wrong}"
        if not killed:
            return "ended before it was killed"
        if sent:
            return "the answer was lost: needs login, and says why" if lost else "the new tokens were on disk"
        return "about to be sent: refreshed a minute later" if marked else "not begun: refreshed later"

    def _wrong(self, lost: bool) -> str:
        """What is not as it must be in the end; empty where all is well."""
        account, asked = self._account(), self._asked()
        if asked != (["rotate", "401"] if lost else ["rotate"]):
            return f"the issuer was asked for {asked}"
        if lost:
            end = (account.health, account.health_reason)
            return "" if end == (Health.NEEDS_LOGIN, LOST) else f"its end is {end}"
        alive = account.health is Health.OK and account.tokens.expires_at > time.time()
        return "" if self._is_current() and alive else "its login does not work"

    def _log_in(self) -> None:
        """A new login, in a pool that knows nothing of the rounds before."""
        httpx.post(f"{self._sandbox.origin}/sandbox/reset", trust_env=False).raise_for_status()
        account = member(self._sandbox, LABEL)
        self._store.update(over_accounts(lambda _: (account,)))
        for lease in (self._store.home / "leases").glob("*.json"):
            lease.unlink()

    def _settle(self) -> None:
        """Waits until the issuer is done with whatever the killed process has sent: it comes before our own call."""
        httpx.get(f"{self._sandbox.origin}/sandbox/journal", trust_env=False).raise_for_status()
        while self._sandbox.connections:
            time.sleep(0.001)

    def _account(self) -> Account:
        return AccountStore(self._store.home).read().accounts[0]

    def _is_current(self) -> bool:
        """Whether the account has the tokens that the issuer gave last."""
        return self._account().tokens.refresh.reveal() == self._sandbox.tokens(LABEL).refresh

    def _asked(self) -> list[str]:
        """What the issuer did in this round, refresh by refresh; one that was cut before it was whole is none."""
        entries = [entry for entry in self._sandbox.journal if entry.path == "/oauth/token"]
        return [entry.step or str(entry.status) for entry in entries if entry.step or entry.status]

    def _argument(self, later: float) -> str:
        return f"{self._store.home} {self._sandbox.issuer} {later}"

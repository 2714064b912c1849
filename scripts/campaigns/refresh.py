"""Many processes need the same accounts' tokens whenever they have expired: each expiry costs exactly one refresh."""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from support.members import member
from understudy.pool.pool import Accounts, over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

WORKER = """
import asyncio, random, sys, time
from pathlib import Path
from understudy.state.accounts import AccountStore
from understudy.state.tokens import TokenKeeper

async def all_at_once(store, keeper):
    ids = [account.id for account in store.read().accounts]
    random.shuffle(ids)
    await asyncio.gather(*(keeper.fresh(account_id, time.time()) for account_id in ids))

store = AccountStore(Path(sys.argv[1]))
keeper = TokenKeeper(store, sys.argv[2])
for _ in sys.stdin:
    asyncio.run(all_at_once(store, keeper))
    print("done", flush=True)
"""


@dataclass(frozen=True, slots=True)
class Size:
    """`rounds`: how often every account's token expires; an account makes five refreshes a minute at most."""

    processes: int
    accounts: int
    rounds: int


FULL = Size(processes=8, accounts=40, rounds=5)
QUICK = Size(processes=4, accounts=8, rounds=3)


class Worker:
    """One of the processes. Every word to it makes it ask for all accounts at once."""

    def __init__(self, home: Path, issuer: str) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", WORKER, str(home), issuer]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def begin(self) -> None:
        """Lets it ask."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish(self) -> bool:
        """Waits until it has all it asked for. False where it failed."""
        assert self._process.stdout is not None
        return self._process.stdout.readline() == "done\n"

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(60)


def run(quick: bool) -> bool:
    """Prints what the issuer counted. Whether it is one refresh for each expiry, no reuse, and no login is lost."""
    size = QUICK if quick else FULL
    labels = [f"member{number}" for number in range(size.accounts)]
    with Sandbox({"accounts": {label: {} for label in labels}}) as sandbox, tempfile.TemporaryDirectory() as folder:
        store = AccountStore(Path(folder) / "understudy")
        store.update(over_accounts(lambda _: tuple(member(sandbox, label) for label in labels)))
        served = _race(size, store, sandbox.issuer)
        answers = [entry.status for entry in sandbox.journal if entry.path == "/oauth/token"]
        kept = [a for a in store.read().accounts if a.tokens.refresh.reveal() == sandbox.tokens(a.label).refresh]
    expiries, refreshes, reuses = size.accounts * size.rounds, answers.count(200), len(answers) - answers.count(200)
    print(f"{size.processes} processes, {expiries} expiries: {refreshes} refreshes, {reuses} reuses")
    print(f"{len(kept)} of {size.accounts} accounts have the tokens that the issuer gave last")
    return served and (refreshes, reuses, len(kept)) == (expiries, 0, size.accounts)


def _race(size: Size, store: AccountStore, issuer: str) -> bool:
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(store.home, issuer)) for _ in range(size.processes)]
        for _ in range(size.rounds):
            store.update(over_accounts(_expired))
            for worker in workers:
                worker.begin()
            ended = [worker.finish() for worker in workers]
            if not all(ended):
                return False
    return True


def _expired(accounts: Accounts) -> Accounts:
    return tuple(replace(account, tokens=replace(account.tokens, expires_at=0.0)) for account in accounts)

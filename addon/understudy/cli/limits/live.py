"""Asks ChatGPT's usage endpoint for the accounts' figures, gently, and lifts the blocks that they show to be over."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from understudy import __version__
from understudy.cli.limits import Live
from understudy.cli.pool import store
from understudy.oauth.client import NoAnswer, NotSent, send
from understudy.oauth.usage import Finding, Verdict, foregone, read_usage, usage_request
from understudy.pool import lifts
from understudy.pool.account import Account, Block, Lane
from understudy.pool.pool import Accounts, over_accounts
from understudy.proxy.options import Settings
from understudy.state.board import Entry
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.wire.quota import Snapshot, Source, merge

TIMEOUT = 5.0
"""Seconds for an answer."""
STAGGER = 0.25
"""Seconds between two accounts: ChatGPT is not to be asked in bursts."""
AT_ONCE = 4
FRESH = 60.0
"""Seconds within which an answer is not asked for again."""
AFTER_FAILURE = 10.0
"""Seconds before an account is asked again that gave no figures."""


@dataclass(slots=True)
class _Answers:
    """What came back. `asked_at`: epoch seconds by account id."""

    live: dict[str, Live] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)


def ask_all(
    accounts: Sequence[Account], settings: Settings, *, named: bool
) -> tuple[Mapping[str, Live], Mapping[str, Sequence[Block]]]:
    """Asks for what is not known freshly, and keeps it. Gives what came of it, and the blocks that it has lifted, by
    account id. `named`: the user named the accounts, so those that are disabled are asked, too. Raises StateError.
    """
    cache = QuotaCache(home())
    known = {entry.id: entry for entry in cache.read() or ()}
    now = time.time()
    answers = _Answers({a.id: said for a in accounts if (said := _known(a, known.get(a.id), now, named)) is not None})
    asyncio.run(_ask_each([account for account in accounts if account.id not in answers.live], settings, answers))
    before = {account_id: entry.snapshot for account_id, entry in known.items()}
    failed = {name: at for name, at in answers.asked_at.items() if name not in answers.snapshots}
    lifted: dict[str, Sequence[Block]] = {}

    def lift(present: Accounts) -> Accounts:
        changed = tuple(_lifted(account, before.get(account.id), answers) for account in present)
        pairs = zip(present, changed, strict=True)
        lifted.update({old.id: [b for b in old.blocks if b not in new.blocks] for old, new in pairs})
        return changed

    pool = store().update(over_accounts(lift)) if answers.snapshots else store().read()
    if answers.asked_at:
        cache.sync(pool, answers.snapshots.items(), failed)
    return answers.live, lifted


def _lifted(account: Account, before: Snapshot | None, answers: _Answers) -> Account:
    figures = answers.snapshots.get(account.id)
    if figures is None:
        return account
    return lifts.by_figures(account, before, merge(before, figures), answers.asked_at[account.id])


def _known(account: Account, entry: Entry | None, now: float, named: bool) -> Live | None:
    """What is to be said of an account that is not asked, or None."""
    if account.lane is Lane.PLATFORM:
        return Live("no_limits", "not asked: an API key has no limits of a plan")
    if not account.enabled and not named:
        return Live("disabled", f"not asked, as it is disabled: understudy limits --live {account.label}")
    if (found := foregone(account, now)) is not None:
        return _failed(found)
    seen = entry.snapshot if entry else None
    if seen is not None and seen.source is Source.USAGE and 0 <= now - seen.updated_at < FRESH:
        return Live("fresh")
    if entry and entry.usage_failed_at is not None and 0 <= now - entry.usage_failed_at < AFTER_FAILURE:
        return Live("waiting", f"not asked again yet: it gave no figures {now - entry.usage_failed_at:.0f} s ago")
    return None


async def _ask_each(accounts: Sequence[Account], settings: Settings, answers: _Answers) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for number, account in enumerate(accounts):
            await asyncio.sleep(STAGGER if number else 0)
            await gate.acquire()
            task = group.create_task(_ask(account, settings, answers))
            task.add_done_callback(lambda _: gate.release())


async def _ask(account: Account, settings: Settings, answers: _Answers) -> None:
    answers.asked_at[account.id] = time.time()
    try:
        request = usage_request(settings.backend, account, __version__)
        answer = await send(request, settings.route, TIMEOUT, peer="ChatGPT")
        found = read_usage(account, *answer, time.time())
    except (NotSent, NoAnswer, ValueError) as error:
        found = Finding(Verdict.UNREACHABLE, str(error))
    if found.snapshot is not None:
        answers.snapshots[account.id] = found.snapshot
    answers.live[account.id] = Live("asked") if found.snapshot is not None else _failed(found)


def _failed(found: Finding) -> Live:
    return Live(found.verdict.value, f"no new figures: {found.message}")

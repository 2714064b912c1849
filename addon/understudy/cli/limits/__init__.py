"""`understudy limits`: every limit of the accounts and what blocks them; `limits reset` lifts the blocks."""

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from understudy.cli.arguments import Commands, WrongUse, add_command, add_json, add_labels
from understudy.cli.network import add_network_arguments, read_network
from understudy.cli.pool import about, block_words, chosen, edit, store
from understudy.cli.render import Look, age, look_of, wrapped
from understudy.cli.status import credit_notes, window_lines
from understudy.pool import lifts
from understudy.pool.account import Account, Block
from understudy.pool.health import State
from understudy.pool.pool import Accounts, over_accounts
from understudy.state.board import Entry
from understudy.state.home import home
from understudy.state.quota import QuotaCache, entry_of
from understudy.state.report import account_object, blocks_now, condition, plan
from understudy.wire.text import clock_time, safe_text

RESET = "reset"
USAGE = f"""\
understudy limits [-h] [--live] [--json] [--set NAME=VALUE] [LABEL ...]
       understudy limits {RESET} (LABEL ... | --all) [--json]"""
SOURCES = {
    "headers": "from an answer",
    "event": "from an answer",
    "limit": "from a refusal",
    "usage": "from the usage endpoint",
}


@dataclass(frozen=True, slots=True)
class Live:
    """What came of asking for an account's figures. `result`: asked, fresh, or why there are none, for machines."""

    result: str
    message: str = ""

    @property
    def has_figures(self) -> bool:
        """Whether the figures are as good as they can be."""
        return self.result in ("asked", "fresh")


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "limits",
        run,
        help="show all limits of the accounts, or lift what blocks them",
        description=(
            "Shows the windows of every limit, when they reset, credits, early resets, and what blocks an\n"
            "account or one of its models. --live asks ChatGPT's usage endpoint for the figures, which uses\n"
            "nothing of a plan; where they show that a limit was reset early, the block is lifted. Whatever\n"
            "else it answers changes nothing. Exit code 1 where --live got figures of no account.\n\n"
            f"`limits {RESET}` lifts the blocks that Understudy keeps, and a running proxy uses the accounts\n"
            "from its next request on. ChatGPT's own limits stay: where one is met again, so is the block."
        ),
        example=f"understudy limits --live\n  understudy limits {RESET} work",
    )
    parser.usage = USAGE
    add_labels(parser)
    parser.add_argument("--live", action="store_true", help="ask ChatGPT for the figures")
    parser.add_argument("--all", action="store_true", help=f"{RESET}: all accounts")
    add_json(parser)
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the limits, or lifts blocks. Exit code 0, 1 or 2."""
    if arguments.labels[:1] == [RESET]:
        return _reset(arguments.labels[1:], arguments)
    if arguments.all:
        raise WrongUse(f"--all goes with `limits {RESET}`; without labels all accounts are shown")
    return _show(arguments)


def _show(arguments: argparse.Namespace) -> int:
    accounts = chosen(store().read(), arguments.labels)
    asked: Mapping[str, Live] = {}
    lifted: Mapping[str, Sequence[Block]] = {}
    if arguments.live:
        from understudy.cli.limits.live import ask_all

        asked, lifted = ask_all(accounts, read_network(arguments), named=bool(arguments.labels))
    now = time.time()
    entries = _entries({account.id for account in accounts})
    if arguments.json:
        shown = [_object(entry, asked.get(entry.id), lifted.get(entry.id, ()), now) for entry in entries]
        print(json.dumps({"version": 1, "accounts": shown}, indent=2))
    else:
        look = look_of(sys.stdout)
        blocks = [_lines(entry, asked.get(entry.id), lifted.get(entry.id, ()), now, look) for entry in entries]
        print("\n\n".join("\n".join(lines) for lines in blocks))
    return 0 if not arguments.live or any(live.has_figures for live in asked.values()) else 1


def _entries(ids: Collection[str]) -> list[Entry]:
    """The accounts as the pool has them now, with the figures of the cache."""
    pool, known = store().read(), {entry.id: entry for entry in QuotaCache(home()).read() or ()}
    return [entry_of(account, known.get(account.id), pool.pin) for account in pool.accounts if account.id in ids]


def _lines(entry: Entry, live: Live | None, lifted: Sequence[Block], now: float, look: Look) -> list[str]:
    snapshot, found = entry.snapshot, condition(entry, now)
    state = f"{found.words}: {entry.health_reason}" if found is State.NEEDS_LOGIN else found.words
    facts = [f"lifted: {_lifted_words(block, now)}" for block in lifted]
    facts += [block_words(block, now) for block in blocks_now(entry, now)]
    if entry.reserve_percent:
        facts.append(f"the last {entry.reserve_percent:g} % of its limits are kept for you")
    windows = [f"  {line}" for line in window_lines(snapshot.windows, now, look)] if snapshot else []
    more = credit_notes(snapshot)
    if snapshot and snapshot.reset_credits:
        more.append(f"early resets that ChatGPT offers: {snapshot.reset_credits}")
    more.append(f"seen {age(now - snapshot.updated_at)}, {SOURCES[snapshot.source]}" if snapshot else "no figures yet")
    if live is not None and live.message:
        more.append(live.message)
    head = f"{entry.label} ({plan(entry)}): {state}" if plan(entry) else f"{entry.label}: {state}"
    return [
        *wrapped(head, 2),
        *(line for fact in facts for line in wrapped(f"  {fact}", 4)),
        *(line.rstrip() for line in windows),
        *(line for fact in more for line in wrapped(f"  {fact}", 4)),
    ]


def _object(entry: Entry, live: Live | None, lifted: Sequence[Block], now: float) -> dict[str, object]:
    """As in `understudy status --json`, and `"blocks"`, `"live": {"result", "message"} | null`, `"lifted"`."""
    return account_object(entry, now) | {
        "blocks": [_block_object(block) for block in blocks_now(entry, now)],
        "live": live and {"result": live.result, "message": live.message or None},
        "lifted": [_block_object(block) for block in lifted],
    }


def _lifted_words(block: Block, now: float) -> str:
    """`gpt-5: usage limit (until 14:05)`."""
    model = f"{safe_text(block.model)}: " if block.model else ""
    return f"{model}{block.reason} (until {clock_time(block.until, now)})"


def _block_object(block: Block) -> dict[str, object]:
    return {
        "until": block.until,
        "reason": block.reason,
        "ground": block.ground.value,
        "model": block.model or None,
        "limit_id": block.limit_id or None,
        "authoritative": block.authoritative,
    }


def _reset(labels: Sequence[str], arguments: argparse.Namespace) -> int:
    """Lifts the blocks of accounts, and says which there were."""
    if arguments.live or bool(labels) == arguments.all:
        raise WrongUse(f"`limits {RESET}` takes the labels of accounts, or --all")
    ids = {account.id for account in chosen(store().read(), labels)}

    def lift(accounts: Accounts) -> Accounts:
        return tuple(lifts.by_user(account) if account.id in ids else account for account in accounts)

    before, _ = edit(over_accounts(lift))
    now = time.time()
    lifted = [(account, _blocks(account, now)) for account in before.accounts if account.id in ids]
    if arguments.json:
        shown = [
            {"id": account.id, "label": account.label, "lifted": [_block_object(block) for block in blocks]}
            for account, blocks in lifted
        ]
        print(json.dumps({"version": 1, "accounts": shown}, indent=2))
        return 0
    for account, blocks in lifted:
        said = "; ".join(_lifted_words(block, now) for block in blocks)
        print("\n".join(wrapped(f"{about(account)}: {f'lifted: {said}' if said else 'nothing to lift'}", 2)))
    return 0


def _blocks(account: Account, now: float) -> list[Block]:
    return [block for block in account.blocks if block.holds_at(now)]

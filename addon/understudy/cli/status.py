"""`understudy status`: what is left of each account, from the snapshot cache alone."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest

from understudy.cli.arguments import Commands, add_command
from understudy.cli.pool import ADD_KEY, HOW_TO_ADD, LOG_IN, NO_ACCOUNTS
from understudy.cli.render import COLUMNS, Look, age, bar, duration, fit, look_of, wrapped
from understudy.pool.account import Lane
from understudy.pool.health import State
from understudy.state.board import Board, Entry
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.state.report import blocks_now, condition, plan, status_object
from understudy.wire.quota import MAIN_LIMIT, Snapshot, Window
from understudy.wire.text import clock_time

NOTHING_KNOWN = f"""\
Nothing is known of any account yet. `understudy accounts list` shows which there are. To add one:

{HOW_TO_ADD}"""

LABEL, PLAN, STATE, WINDOW, BAR = 14, 7, 11, 7, 8
LEFT = LABEL + PLAN + STATE + 3


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "status",
        run,
        help="show what is left of each account",
        description=(
            "Shows each account's limits: how much is used, when they reset, how old the figures are,\n"
            "which account served last, and which a new session would use next. The figures come with\n"
            "the answers that pass the proxy; nothing is asked of ChatGPT."
        ),
        example="understudy status --json | jq '.accounts[] | select(.state == \"ok\") | .label'",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, times in epoch seconds")


def run(arguments: argparse.Namespace) -> int:
    """Prints the status. Exit code 0, also where there are no accounts yet."""
    found = QuotaCache(home()).board()
    board, now = found or Board(), time.time()
    if arguments.json:
        print(json.dumps(status_object(board, now), indent=2))
    elif board.entries:
        lines = status_lines(board.entries, now, look_of(sys.stdout))
        lines += ["", *wrapped(f"next: {board.upcoming}", 6)] if board.upcoming else []
        print("\n".join(lines))
    else:
        print(NOTHING_KNOWN if found is None else NO_ACCOUNTS, end="")
    return 0


def status_lines(entries: Sequence[Entry], now: float, look: Look) -> list[str]:
    """A table of 80 columns: for each account what it is on the left, its windows on the right."""
    used = [entry.last_used_at for entry in entries if entry.last_used_at is not None]
    last = max(used, default=None)
    head = _left("ACCOUNT", "PLAN", "STATE", look) + f"{'WINDOW':{WINDOW}} {'USED':{BAR + 5}}  RESETS"
    lines = [head]
    for entry in entries:
        served_last = last is not None and entry.last_used_at == last
        left = [_name_cells(entry, now, look), *_notes(entry, now, served_last, look)]
        windows = entry.snapshot.windows if entry.snapshot else ()
        lines += [(a or " " * LEFT) + (b or "") for a, b in zip_longest(left, window_lines(windows, now, look))]
    for entry in entries:
        if condition(entry, now) is State.NEEDS_LOGIN:
            is_key = entry.lane is Lane.PLATFORM
            remedy = f"Remove it, and add another key: {ADD_KEY}" if is_key else f"Log in again: {LOG_IN}"
            lines += ["", *wrapped(f"{entry.label}: {entry.health_reason}. {remedy}")]
    return [line.rstrip() for line in lines]


def _left(label: str, plan: str, condition: str, look: Look) -> str:
    return f"{fit(label, LABEL, look)} {fit(plan, PLAN, look)} {fit(condition, STATE, look)} "


def _name_cells(entry: Entry, now: float, look: Look) -> str:
    return _left(entry.label, plan(entry) or "-", condition(entry, now).words, look)


def _notes(entry: Entry, now: float, served_last: bool, look: Look) -> list[str]:
    """What else there is to say of an account, in lines below its name."""
    notes = []
    found = condition(entry, now)
    if found is State.BLOCKED and entry.blocked_until is not None:
        notes.append(f"until {clock_time(entry.blocked_until, now)}: {entry.block_reason}")
    notes += [f"{b.model}: until {clock_time(b.until, now)}" for b in blocks_now(entry, now) if b.model]
    if entry.lane is Lane.PLATFORM:
        notes.append("costs money")
    if entry.reserve_percent:
        notes.append(f"keeps {entry.reserve_percent:g} % for you")
    if entry.pinned:
        notes.append("pinned" if entry.pinned == "hard" else "preferred")
    if served_last:
        notes.append("served last")
    notes.append(f"seen {age(now - entry.snapshot.updated_at)}" if entry.snapshot else "no figures yet")
    notes += credit_notes(entry.snapshot)
    return [f"  {fit(note, LEFT - 3, look)} " for note in notes]


def credit_notes(snapshot: Snapshot | None) -> list[str]:
    """`credits: 12.50`, in a list, where they carry the account on past its limits."""
    credits = snapshot.credits if snapshot and snapshot.goes_on else None
    if credits is None:
        return []
    return ["credits: unlimited" if credits.unlimited else f"credits: {credits.balance or 'some'}"]


def window_lines(windows: Sequence[Window], now: float, look: Look) -> list[str]:
    """The windows of the main limit, then those of each other limit under its name."""
    lines: list[str] = []
    for limit_id in sorted({window.limit_id for window in windows}, key=lambda name: (name != MAIN_LIMIT, name)):
        if limit_id != MAIN_LIMIT:
            lines.append(fit(f"{limit_id}:", COLUMNS - LEFT, look))
        lines += [_window_cells(window, now, look) for window in windows if window.limit_id == limit_id]
    return lines


def _window_cells(window: Window, now: float, look: Look) -> str:
    used = window.used_at(now)
    cells = f"{fit(window.name, WINDOW, look)} {bar(used, BAR, look)} {int(used):3d}%  "
    if window.has_reset(now):
        return cells + "has reset"
    if window.resets_at is None:
        return cells + "unknown"
    return cells + f"{clock_time(window.resets_at, now)}, in {duration(window.resets_at - now)}"

"""`understudy status`: what is left of each account, from the snapshot cache alone."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest

from understudy.cli.arguments import Commands, add_command
from understudy.cli.pool import HOW_TO_ADD, LOG_IN, NO_ACCOUNTS
from understudy.cli.render import COLUMNS, Look, age, bar, duration, fit, look_of, wrapped
from understudy.pool.health import State
from understudy.state.home import home
from understudy.state.quota import Entry, QuotaCache
from understudy.state.report import condition, plan, status_object
from understudy.wire.quota import MAIN_LIMIT, Window
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
            "and which account served last. The figures come with the answers that pass the proxy;\n"
            "nothing is asked of ChatGPT."
        ),
        example="understudy status --json | jq '.accounts[] | select(.state == \"ok\") | .label'",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, times in epoch seconds")


def run(arguments: argparse.Namespace) -> int:
    """Prints the status. Exit code 0, also where there are no accounts yet."""
    entries = QuotaCache(home()).read()
    now = time.time()
    if arguments.json:
        print(json.dumps(status_object(entries or (), now), indent=2))
    elif entries:
        print("\n".join(status_lines(entries, now, look_of(sys.stdout))))
    else:
        print(NOTHING_KNOWN if entries is None else NO_ACCOUNTS, end="")
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
            lines += ["", *wrapped(f"{entry.label}: {entry.health_reason}. Log in again: {LOG_IN}")]
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
    if entry.pinned:
        notes.append("pinned" if entry.pinned == "hard" else "preferred")
    if served_last:
        notes.append("served last")
    notes.append(f"seen {age(now - entry.snapshot.updated_at)}" if entry.snapshot else "no figures yet")
    credits = entry.snapshot.credits if entry.snapshot else None
    if credits is not None and (credits.unlimited or credits.has_credits):
        notes.append("credits: unlimited" if credits.unlimited else f"credits: {credits.balance or 'some'}")
    return [f"  {fit(note, LEFT - 3, look)} " for note in notes]


def window_lines(windows: Sequence[Window], now: float, look: Look) -> list[str]:
    """The windows of the main limit, then those of each other limit under its name."""
    lines: list[str] = []
    for limit_id in sorted({window.limit_id for window in windows}, key=lambda name: (name != MAIN_LIMIT, name)):
        if limit_id != MAIN_LIMIT:
            lines.append(fit(f"{limit_id}:", COLUMNS - LEFT, look))
        lines += [_window_cells(window, now, look) for window in windows if window.limit_id == limit_id]
    return lines


def _window_cells(window: Window, now: float, look: Look) -> str:
    over = window.resets_at is not None and window.resets_at <= now
    # After its reset a window is fresh: the old figure would only alarm.
    used = 0.0 if over else window.used_percent
    cells = f"{fit(window.name, WINDOW, look)} {bar(used, BAR, look)} {int(used):3d}%  "
    if over:
        return cells + "has reset"
    if window.resets_at is None:
        return cells + "unknown"
    return cells + f"{clock_time(window.resets_at, now)}, in {duration(window.resets_at - now)}"

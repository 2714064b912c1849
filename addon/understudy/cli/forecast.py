"""`understudy forecast`: who will be usable when, if the work goes on at the pace of the last hour."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence

from understudy.cli.arguments import Commands, add_command, add_json
from understudy.cli.pool import NO_ACCOUNTS, store
from understudy.cli.render import HOUR, Look, duration, look_of, table, wrapped
from understudy.pool.forecast import Forecast, Leg, Outlook, Ready, Runner, forecast
from understudy.pool.pace import History, Point, per_hour
from understudy.state.board import Entry
from understudy.state.home import home
from understudy.state.quota import QuotaCache, entry_of
from understudy.wire.quota import MAIN_LIMIT, Snapshot
from understudy.wire.text import clock_time, safe_text

STALE = HOUR
"""Seconds after which figures are said to be old: what was used elsewhere since, nobody has seen."""
MOST_TOLD = 3
"""Of those who have the work one after another."""
PACE_UNKNOWN = "Nothing is known of the last hour, so there is no pace to go by."
IDLE = "Nothing was used in the last hour, so there is no pace to go by."


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "forecast",
        run,
        help="show who will be usable when, at the present pace",
        description=(
            "Shows for each account from when it is usable, until when it lasts at the pace of the last hour,\n"
            "which limit ends it, when it is back, and how likely it is that a request that goes to it now is\n"
            "not served; and in the end what that means for the work. The pace is what all accounts together\n"
            "have used of their limits: whoever takes the work is taken to fill as fast."
        ),
        example="understudy forecast --json | jq -r .summary",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the forecast. Exit code 0, also where there are no accounts yet."""
    cache, now = QuotaCache(home()), time.time()
    histories, entries = cache.history.read(), cache.read()
    if entries is None:
        entries = tuple(entry_of(account, None, None) for account in store().read().accounts)
    runners = [_runner(entry, histories.get(entry.id, {}), now) for entry in entries]
    found = forecast(runners, now)
    if arguments.json:
        print(json.dumps(_object(found, now), indent=2))
    elif not runners:
        print(NO_ACCOUNTS, end="")
    else:
        print("\n".join(forecast_lines(found, now, look_of(sys.stdout))))
    return 0


def _runner(entry: Entry, history: History, now: float) -> Runner:
    return Runner(
        label=entry.label,
        enabled=entry.enabled,
        health=entry.health,
        health_reason=entry.health_reason,
        blocks=entry.blocks,
        reserve_percent=entry.reserve_percent,
        lane=entry.lane,
        snapshot=entry.snapshot,
        paces=_paces(entry.snapshot, history, now),
        last_used_at=entry.last_used_at,
    )


def _paces(snapshot: Snapshot | None, history: History, now: float) -> Mapping[str, float]:
    """Percent per hour of the main limit's windows, by their names; those alone of which it is known."""
    paces: dict[str, float] = {}
    for window in snapshot.windows if snapshot else ():
        points = history.get((window.limit_id, window.name), ())
        if window.limit_id == MAIN_LIMIT and snapshot and points:
            pace = per_hour((*points, Point(snapshot.updated_at, window.used_percent)), now)
            paces |= {} if pace is None else {window.name: pace}
    return paces


def forecast_lines(found: Forecast, now: float, look: Look) -> list[str]:
    """A table of 80 columns, what there is to say of single accounts, and what it means for the work."""
    rows = [("ACCOUNT", "USABLE", "LASTS UNTIL", "ENDED BY", "BACK", "RISK")]
    rows += [_row(outlook, now) for outlook in found.outlooks]
    notes = [note for outlook in found.outlooks for note in _notes(outlook, now)]
    lines = table(rows, look)
    if notes:
        lines += ["", *(line for note in notes for line in wrapped(note, 2))]
    return [*lines, "", *wrapped(summary(found, now))]


def _row(outlook: Outlook, now: float) -> tuple[str, str, str, str, str, str]:
    usable = {Ready.READY: "now", Ready.UNAVAILABLE: "-"}.get(outlook.ready)
    return (
        outlook.runner.label,
        usable or _at(outlook.usable_from, now),
        _at(outlook.lasts_until, now),
        outlook.ends_by or "-",
        _at(outlook.back_at, now),
        outlook.risk.value,
    )


def _notes(outlook: Outlook, now: float) -> list[str]:
    runner, notes = outlook.runner, []
    if outlook.reason:
        notes.append(f"{runner.label}: {outlook.reason}")
    if outlook.ready is Ready.UNAVAILABLE:
        return notes
    if runner.snapshot is None:
        notes.append(f"{runner.label}: no figures yet: how long it lasts is not known")
    elif now - runner.snapshot.updated_at > STALE:
        old = duration(now - runner.snapshot.updated_at)
        notes.append(f"{runner.label}: its figures are {old} old; newer ones: understudy limits --live")
    if runner.snapshot and runner.snapshot.goes_on and not runner.reserve_percent:
        notes.append(f"{runner.label}: credits carry it past its limits")
    return notes


def summary(found: Forecast, now: float) -> str:
    """What it means for the pool, in a sentence or two. `now`: epoch seconds."""
    if not found.outlooks:
        return "There are no accounts."
    pace = any(found.paces.values())
    if not pace and found.legs[0].label is not None:
        usable = f"{safe_text(found.legs[0].label)} is usable."
        return f"{usable} {IDLE if found.paces else PACE_UNKNOWN}"
    told = _told(found.legs)
    parts = [_part(leg, last is None, now) for last, leg in zip((None, *told), told, strict=False)]
    beginning = "At this pace " if told[0].label is not None else ""
    goes_on = ", and so on" if len(told) < len(found.legs) and None not in (leg.label for leg in told) else ""
    sentence = f"{beginning}{'; '.join(parts)}{goes_on}."
    return sentence[0].upper() + sentence[1:]


def _told(legs: Sequence[Leg]) -> Sequence[Leg]:
    """As far as it matters: until somebody is usable again after nobody was, or until it repeats itself."""
    gap = next((index for index, leg in enumerate(legs) if leg.label is None), None)
    return legs[:MOST_TOLD] if gap is None else legs[: gap + 2]


def _part(leg: Leg, first: bool, now: float) -> str:
    since, until = clock_time(leg.since, now), None if leg.until is None else clock_time(leg.until, now)
    if leg.label is None:
        if until is None:
            return "nobody is usable" if first else f"nobody is usable from {since} on"
        return f"nobody is usable until {until}" if first else f"nobody is usable from {since} to {until}"
    name = safe_text(leg.label)
    if until is None:
        return f"{name} lasts as far as one can see" if first else f"then {name}, as far as one can see"
    return f"{name} lasts until {until}" if first else f"then {name} until {until}"


def _at(moment: float | None, now: float) -> str:
    return "-" if moment is None else clock_time(moment, now)


def _object(found: Forecast, now: float) -> dict[str, object]:
    """`{"version": 1, "accounts": [{"label", "ready", "reason", "usable_from", "lasts_until", "ends_by", "back_at",
    "risk", "updated_at", "percent_per_hour"}], "work": [{"account", "from", "until"}], "percent_per_hour", "summary"}`,
    times in epoch seconds; `account` is null while nobody is usable, `percent_per_hour` is by name of the window.
    """
    return {
        "version": 1,
        "accounts": [_outlook_object(outlook) for outlook in found.outlooks],
        "work": [{"account": leg.label, "from": leg.since, "until": leg.until} for leg in found.legs],
        "percent_per_hour": dict(found.paces),
        "summary": summary(found, now),
    }


def _outlook_object(outlook: Outlook) -> dict[str, object]:
    runner = outlook.runner
    return {
        "label": runner.label,
        "ready": outlook.ready.value,
        "reason": outlook.reason or None,
        "usable_from": outlook.usable_from,
        "lasts_until": outlook.lasts_until,
        "ends_by": outlook.ends_by or None,
        "back_at": outlook.back_at,
        "risk": outlook.risk.value,
        "updated_at": runner.snapshot.updated_at if runner.snapshot else None,
        "percent_per_hour": dict(runner.paces),
    }

"""What every program must come through: the modules beside this one inherit these tests for theirs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hosts.driver import Host, Ran, Seat
from hosts.reports import ROUNDS, Report
from support.theatre import Json, eventually
from understudy.sandbox.journal import Entry

FIRST, SECOND = "The first line is spoken.", "The second line is spoken."
TOOL_SAID = "The tool said:"
"""What the sandbox's model makes of a tool's output."""
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
BROKEN: Json = {"do": "cut", "when": "mid_text", "events": 12, "words": 40}
LONG: Json = {"do": "answer", "words": 3000, "delay": 0.02}
START = 60.0
"""Seconds within which a program asks."""


def line(text: str) -> Json:
    """An answer of this text."""
    return {"do": "answer", "text": text}


def median(runs: Sequence[Ran]) -> float:
    """Seconds."""
    return statistics.median(ran.seconds for ran in runs)


def speaks(entry: Entry) -> bool:
    """Whether the call is being answered, or was."""
    return "response.output_text.delta" in entry.events


class Hosted:
    """Every test of the class runs for each of `hosts`: programs, or ways in which one program asks."""

    hosts: ClassVar[tuple[Host, ...]]
    options: ClassVar[Mapping[str, object]] = {}
    """Of the proxy, where the programs need others than the defaults."""


class Cases(Hosted):
    """What concerns all programs."""

    def test_a_prompt_is_answered(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work=line(FIRST))
        seat.theatre.sandbox.set_key_steps("direct", [line(FIRST)])
        runs = [report.note(seat.run("Speak."), FIRST) for _ in range(ROUNDS)]
        assert all(ran.code == 0 and ran.said(FIRST) for ran in runs), runs[-1].seen
        assert set(seat.theatre.asked) == {"work"}
        if seat.host.over_websocket:
            eventually(lambda: seat.upgrades > 0)
        else:
            assert seat.upgrades == 0
        report.seconds = median(runs)
        if not seat.host.has_platform:
            return
        straight = [seat.run("Speak.", direct=True) for _ in range(ROUNDS)]
        assert all(ran.code == 0 and ran.said(FIRST) for ran in straight), straight[-1].seen
        report.direct = median(straight)

    def test_another_account_takes_over_in_mid_session(self, seat: Seat, report: Report) -> None:
        opening = [line(FIRST)] * seat.host.opening
        seat.theatre.cast(work=[*opening, LIMIT], home=line(SECOND))
        ran = report.note(seat.run("Speak.", "Speak on."), SECOND)
        assert ran.code == 0 and ran.said(FIRST) and ran.said(SECOND), ran.seen
        assert "limit" not in ran.seen
        assert seat.theatre.asked == [*["work"] * len(opening), "work", "home"]

    def test_an_answer_that_breaks_is_asked_for_again_or_told_to_be_broken(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(retries=2, work=[*[BROKEN] * seat.host.opening, line(SECOND)])
        ran = report.note(seat.run("Speak."), "The answer broke off", SECOND)
        if seat.host.asks_again:
            assert ran.code == 0 and ran.said(SECOND), ran.seen
        else:
            assert ran.said("The answer broke off"), ran.seen

    def test_where_all_accounts_are_used_up_the_person_is_told_so(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work=LIMIT, home={**LIMIT, "resets_in": 600})
        ran = report.note(seat.run("Speak."), "usage limit")
        assert "usage limit" in ran.seen.lower(), ran.seen
        assert ran.seconds < 60

    def test_the_call_ends_upstream_when_the_program_is_killed(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work=LONG)
        journal = seat.theatre.sandbox.journal
        with seat.running("Speak."):
            journal.wait_until(lambda entries: sum(map(speaks, entries)) >= seat.host.opening, START)
        ended = journal.wait_until(lambda entries: all(entry.ending for entry in entries if speaks(entry)))
        endings = {entry.ending for entry in ended if speaks(entry)}
        report.seen = f"(killed: the call's ending is {' and '.join(endings)})"
        assert endings == {"cancelled"}


class ToolCases(Cases):
    """The same, of programs that have tools."""

    def test_a_tool_s_output_gets_its_answer(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work={"do": "answer"})
        ran = report.note(seat.run(seat.host.call), TOOL_SAID)
        assert ran.code == 0 and ran.said(TOOL_SAID) and ran.said(seat.host.output), ran.seen
        assert seat.theatre.asked == ["work"] * (seat.host.opening + 1)
        assert seat.host.output in json.dumps(seat.theatre.calls[-1].body)

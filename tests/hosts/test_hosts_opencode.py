"""OpenCode, from its own release."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hosts.cases import FIRST, LIMIT, ToolCases, line
from hosts.driver import Host, Route, Seat
from hosts.reports import Report
from support.hosts import HOST_KEY

READ = {"command": "cat a.txt", "description": "Reads a file"}


def _commands(place: Path, _: Route, prompts: Sequence[str]) -> list[list[str]]:
    program = [str(place / "node_modules" / ".bin" / "opencode"), "run"]
    return [[*program, *(["--continue"] if number else []), prompt] for number, prompt in enumerate(prompts)]


def _environment(_: Path, route: Route) -> Mapping[str, str]:
    options = {"baseURL": route.base_url} if route.base_url else {}
    config = {"provider": {"openai": {"options": options}}}
    return {"NODE_EXTRA_CA_CERTS": str(route.ca), "OPENCODE_CONFIG_CONTENT": json.dumps(config)}


def _websocket(place: Path, route: Route) -> Mapping[str, str]:
    """It speaks over a WebSocket where it is told to, and has its key from its own store."""
    auth = {"openai": {"type": "api", "key": HOST_KEY}}
    more = {"OPENCODE_EXPERIMENTAL_WEBSOCKETS": "1", "OPENCODE_AUTH_CONTENT": json.dumps(auth)}
    return {**_environment(place, route), **more}


HTTP = Host(
    "opencode",
    _commands,
    _environment,
    "opencode",
    opening=2,  # It asks for a title as well.
    call=f"@call bash {json.dumps(READ)}",
    output="the words of a.txt",
)
WEBSOCKET = replace(HTTP, name="opencode, WebSocket", environment=_websocket, over_websocket=True, has_platform=False)


class TestOpenCode(ToolCases):
    """As it is started from a terminal, for one prompt."""

    hosts = (HTTP, WEBSOCKET)

    @pytest.mark.timeout(200)
    def test_where_all_accounts_are_used_up_the_person_is_told_so(self, seat: Seat, report: Report) -> None:
        # It asks five times more, for a minute in all, before it says why.
        seat.theatre.cast(work={**LIMIT, "tell": "nothing"})
        ran = report.note(seat.run("Speak."), "usage limit")
        assert "usage limit" in ran.seen.lower(), ran.seen

    def test_where_a_reset_is_near_it_is_waited_for(self, seat: Seat, report: Report) -> None:
        near = {**LIMIT, "resets_in": 6, "until_reset": True}
        seat.theatre.cast(work=[near, line(FIRST)])
        ran = report.note(seat.run("Speak."), FIRST)
        assert ran.code == 0 and ran.said(FIRST), ran.seen
        assert 5 < ran.seconds < 60

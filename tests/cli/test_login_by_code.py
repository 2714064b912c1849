"""The wait for a code to be entered: as often as the login server wants, as long as the code lives."""

import asyncio
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from support.visitor import enter_code
from understudy.cli.arguments import CannotDo
from understudy.cli.login.device import MARGIN, Countdown, begin, introduction, wait_for_user
from understudy.cli.login.server import Server
from understudy.oauth.device import LIFE, DeviceCode, Granted, device_page
from understudy.proxy.options import read_offline
from understudy.sandbox.server import Sandbox
from understudy.wire.secret import Secret


def server_at(issuer: str) -> Server:
    return Server(read_offline([f"codex_issuer={issuer}"], confdir="/nonexistent"))


def sandbox_with(**device: object) -> Sandbox:
    return Sandbox({"accounts": {"work": {}}, "device": {"interval": 0, **device}})


@dataclass
class Pauses:
    """Takes no time. `then`: what happens during which pause."""

    then: dict[int, Callable[[], object]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.to_thread(self.then.get(len(self.seconds), lambda: None))


async def test_it_is_asked_at_the_servers_interval_until_the_user_has_entered_the_code() -> None:
    with sandbox_with() as sandbox:
        server = server_at(sandbox.issuer)
        begun = await begin(server)
        pauses = Pauses({3: lambda: enter_code(device_page(sandbox.issuer), begun.user_code)})
        assert isinstance(await wait_for_user(server, begun, pauses), Granted)
    assert pauses.seconds == [1 + MARGIN] * 3


async def test_whoever_is_told_to_slow_down_asks_less_often_from_then_on() -> None:
    with sandbox_with(slow_downs=2) as sandbox:
        server = server_at(sandbox.issuer)
        begun = await begin(server)
        pauses = Pauses({4: lambda: enter_code(device_page(sandbox.issuer), begun.user_code)})
        await wait_for_user(server, begun, pauses)
    assert [seconds - MARGIN for seconds in pauses.seconds] == [1, 6, 11, 11]


async def test_a_server_that_does_not_answer_is_asked_less_and_less_until_the_code_is_too_old() -> None:
    pauses = Pauses()
    with pytest.raises(CannotDo, match="not entered in time"):
        await wait_for_user(server_at("http://127.0.0.1:1"), DeviceCode(Secret("da"), "ABCD", 5.0), pauses)
    assert [seconds - MARGIN for seconds in pauses.seconds[:5]] == [5, 10, 20, 40, 60]
    assert sum(pauses.seconds) <= LIFE


@pytest.mark.parametrize(("choice", "life", "said"), [("deny", 900, "denied"), ("account:work", 0, "in time")])
async def test_a_user_who_denies_or_comes_too_late_ends_it(choice: str, life: float, said: str) -> None:
    with sandbox_with(life=life) as sandbox:
        server = server_at(sandbox.issuer)
        begun = await begin(server)
        pauses = Pauses({1: lambda: enter_code(device_page(sandbox.issuer), begun.user_code, choice)})
        with pytest.raises(CannotDo, match=said):
            await wait_for_user(server, begun, pauses)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_on_a_terminal_the_time_left_is_written_over_and_over_on_one_line() -> None:
    terminal = Terminal()
    countdown = Countdown(terminal, time.monotonic() + 65, Pauses())
    pausing = asyncio.ensure_future(countdown.pause(0.05))
    await asyncio.wait_for(pausing, 5)
    assert "Waiting: 1:05 minutes left" in terminal.getvalue() and "\n" not in terminal.getvalue()
    countdown.clear()
    assert terminal.getvalue().rpartition("\r")[0].endswith(" ")


async def test_elsewhere_the_time_left_is_written_once() -> None:
    stream = io.StringIO()
    countdown = Countdown(stream, time.monotonic() + 900)
    await countdown.pause(0.01)
    countdown.clear()
    assert stream.getvalue() == "Waiting for 15:00 minutes at most.\n"


@pytest.mark.parametrize(("columns", "is_large"), [("80", True), ("40", False)])
def test_the_code_is_in_large_type_where_it_fits_and_in_plain_text_always(
    monkeypatch: pytest.MonkeyPatch, columns: str, is_large: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = introduction("https://auth.example/codex/device", "BCDF-GHJK", io.StringIO())
    assert ("####" in shown) is is_large, "ASCII, since this stream names no encoding"
    assert "\n  BCDF-GHJK\n" in shown and "https://auth.example/codex/device" in shown

"""The login by a code that is entered in a browser anywhere: shown in large type, then polled for."""

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TextIO

from understudy.cli.arguments import CannotDo
from understudy.cli.login.large import large
from understudy.cli.login.server import AGAIN, Kept, Server
from understudy.cli.render import look_of
from understudy.oauth.client import NoAnswer, NotSent
from understudy.oauth.device import (
    LIFE,
    MAX_INTERVAL,
    SLOWER,
    DeviceCode,
    Granted,
    Waiting,
    begin_request,
    device_page,
    device_redirect,
    poll_request,
    read_begin,
    read_poll,
)
from understudy.oauth.refresh import Transient
from understudy.oauth.refused import Reason, Refused

MARGIN = 3.0
"""Seconds added to the interval, as OpenCode does: who asks a little too early is told to slow down."""

Pause = Callable[[float], Awaitable[None]]


def log_in_by_device(server: Server) -> Kept:
    """Shows a code, waits until it was entered, and keeps the login. Raises CannotDo and StateError."""
    return asyncio.run(_log_in(server))


async def _log_in(server: Server) -> Kept:
    begun = await begin(server)
    print(introduction(device_page(server.issuer), begun.user_code, sys.stdout), flush=True)
    countdown = Countdown(sys.stdout, time.monotonic() + LIFE)
    try:
        granted = await wait_for_user(server, begun, countdown.pause)
    finally:
        countdown.clear()
    return await server.finish(granted.code, device_redirect(server.issuer), granted.verifier)


async def begin(server: Server) -> DeviceCode:
    """Asks for a code. Raises CannotDo."""
    try:
        begun = read_begin(*await server.ask(begin_request(server.issuer)))
    except (NotSent, NoAnswer) as error:
        raise CannotDo(f"{error}. {AGAIN}") from None
    if isinstance(begun, DeviceCode):
        return begun
    if isinstance(begun, Transient):
        raise CannotDo(f"{begun.reason}. {AGAIN}")
    other = ". Log in another way: understudy login --paste" if begun.reason is Reason.NOT_ENABLED else ""
    raise CannotDo(f"{begun.message}{other}")


async def wait_for_user(server: Server, begun: DeviceCode, pause: Pause) -> Granted:
    """Polls until the user has decided. `pause` waits so many seconds. Raises CannotDo."""
    interval, waited = begun.interval, 0.0
    while waited + interval + MARGIN <= LIFE:
        await pause(interval + MARGIN)
        waited += interval + MARGIN
        outcome = await poll(server, begun)
        if isinstance(outcome, Granted):
            return outcome
        if isinstance(outcome, Refused):
            raise CannotDo(f"{outcome.message}. {AGAIN}")
        interval = next_interval(interval, outcome)
    raise CannotDo(f"{Reason.EXPIRED.value}. {AGAIN}")


async def poll(server: Server, begun: DeviceCode) -> Granted | Waiting | Refused | Transient:
    """One question whether the user has decided."""
    try:
        return read_poll(*await server.ask(poll_request(server.issuer, begun)))
    except (NotSent, NoAnswer) as error:
        return Transient(str(error))


def next_interval(interval: float, outcome: Waiting | Transient) -> float:
    """Seconds to the next poll: more where we are asked to slow down, and where the login server does not answer."""
    if outcome is Waiting.SLOW_DOWN:
        return min(interval + SLOWER, MAX_INTERVAL)
    return min(2 * interval, MAX_INTERVAL) if isinstance(outcome, Transient) else interval


def introduction(page: str, code: str, stream: TextIO) -> str:
    """What the user has to do; the code in large type where the terminal is wide enough."""
    lines = large(code, look_of(stream).steps[-1])
    fits = len(lines[0]) + 2 <= shutil.get_terminal_size().columns
    shown = "\n".join(f"  {line}".rstrip() for line in lines) if fits else ""
    return f"Open this in a browser, on any machine:\n\n  {page}\n\nand enter this code there:\n\n{shown}\n\n  {code}\n"


class Countdown:
    """The time left, on one line that is written anew on a terminal, and once elsewhere. `end`: monotonic seconds."""

    def __init__(self, stream: TextIO, end: float, sleep: Pause = asyncio.sleep) -> None:
        self._stream = stream
        self._end = end
        self._sleep = sleep
        self._moves = stream.isatty()
        if not self._moves:
            print(f"Waiting for {self._left()} at most.", file=stream, flush=True)

    async def pause(self, seconds: float) -> None:
        """Waits, and shows the time left meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._moves:
                self._write(f"Waiting: {self._left()} left; Ctrl-C ends it.")
            await self._sleep(min(1.0, left) if self._moves else left)

    def clear(self) -> None:
        """Takes the line away."""
        if self._moves:
            self._write("")
            self._stream.write("\r")

    def _left(self) -> str:
        minutes, seconds = divmod(max(0, round(self._end - time.monotonic())), 60)
        return f"{minutes}:{seconds:02d} minutes"

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text:<50}")
        self._stream.flush()

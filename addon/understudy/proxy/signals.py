"""What becomes of the signals that tell a proxy to end, beside those that mitmproxy sees to."""

import asyncio
import signal
from collections.abc import Callable


def end_at_hang_up(end: Callable[[], None]) -> None:
    """A terminal that is closed ends the proxy in good order, as mitmproxy has it for other signals: a refresh that is
    cut off loses the login. Where the signal is ignored, as under nohup, it stays so.
    """
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:
        _handle(hang_up, end)


def told_again() -> asyncio.Event:
    """Set once the process is told to stop another time."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        _handle(number, told.set)
    return told


def _handle(number: signal.Signals, then: Callable[[], None]) -> None:
    try:
        asyncio.get_running_loop().add_signal_handler(number, then)
    except (NotImplementedError, RuntimeError, ValueError):
        pass  # Windows cannot, and only the main thread may.

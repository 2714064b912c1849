"""A host's turns over a WebSocket, beside plain mitmdump that relays it to the backend's own, and both over HTTP.

A session begins with a long input. Natively each turn after that brings what is new; over HTTP it brings everything.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from load.calls import Calls, Plan, quantile
from load.setting import Proxy


@dataclass(frozen=True, slots=True)
class Way:
    """How the host speaks, and through which proxy."""

    heading: str
    websocket: bool
    proxy: str


WAYS = (
    Way("WebSocket, plain", True, "plain"),
    Way("WebSocket, Understudy", True, "understudy"),
    Way("HTTP, plain", False, "plain"),
    Way("HTTP, Understudy", False, "understudy"),
)


@dataclass(frozen=True, slots=True)
class Sessions:
    """How much is measured: `turns` after the first, for each of the histories, in KB; and a plan of streams."""

    histories: tuple[int, ...]
    turns: int
    model: str
    """Of the turns."""
    streams: Plan
    events: int
    """Of all streams."""


class Turns:
    """The measurements. `call`: makes the calls of a plan through a proxy."""

    def __init__(self, sessions: Sessions, call: Callable[[Proxy, Plan], Calls]) -> None:
        self._sessions = sessions
        self._call = call
        self._rows: dict[str, dict[Way, list[float]]] = {}

    def measure(self, proxies: dict[str, Proxy], number: int) -> None:
        """One round, the `number`th."""
        first = number % len(WAYS)
        for history in (None, *self._sessions.histories):
            for way in (*WAYS[first:], *WAYS[:first]):
                proxy = proxies[way.proxy]
                found = self._streams(way, proxy) if history is None else self._session(way, proxy, history)
                for name, value in found:
                    self._rows.setdefault(name, {}).setdefault(way, []).append(value)

    def _streams(self, way: Way, proxy: Proxy) -> Iterator[tuple[str, float]]:
        plan, events = self._sessions.streams, self._sessions.events
        got = self._call(proxy, replace(plan, websocket=way.websocket))
        yield "proxy CPU per 1000 events, ms", got.cpu * 1000 / (events / 1000)
        yield "event delay p50, ms", quantile(got.delays, 0.50)
        yield "event delay p99, ms", quantile(got.delays, 0.99)

    def _session(self, way: Way, proxy: Proxy, history: int) -> Iterator[tuple[str, float]]:
        turns, size = self._sessions.turns, history * 1000
        models = [self._sessions.model]
        got = self._call(proxy, Plan(models, 1, turns, request_size=size, websocket=way.websocket, session=True))
        yield f"{history} KB: first turn, to its first event, ms", got.opening[0]
        yield f"{history} KB: later turn, to its first event, p50, ms", quantile(got.first, 0.50)
        yield f"{history} KB: proxy CPU per later turn, ms", got.cpu * 1000 / turns
        yield f"{history} KB: upstream per later turn, KB", got.received / 1000 / turns

    def report(self) -> Iterator[str]:
        """The table's lines, in Markdown: medians of the rounds, with the smallest and the largest."""
        yield "".join(f"| {heading} " for heading in ("", *(way.heading for way in WAYS))) + "|"
        yield "|---" + len(WAYS) * "|---:" + "|"
        for name, values in self._rows.items():
            yield f"| {name} | {' | '.join(_cell(values[way]) for way in WAYS)} |"


def _cell(values: list[float]) -> str:
    digits = 2 if max(values) < 10 else 1
    middle, least, most = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}-{most})"

"""The benchmark: what Understudy costs beside plain mitmdump that routes and streams, and beside no proxy at all.

All in one run, in rounds that take the ways in turn, so that a busy machine disturbs them alike. `docs/performance.md`
says what is measured and how.
"""

import argparse
import os
import platform
import re
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitmproxy.version import VERSION as MITMPROXY_VERSION

from load.calls import Calls, Plan, make, quantile
from load.setting import Backend, Proxy, Setting
from load.turns import Sessions, Turns
from understudy import __version__

WAYS = ("direct", "plain", "understudy")
SHORT = 8
"""Events of a short answer."""
ANSWER = f"load-{SHORT}-0"
"""The model whose answer is short and comes at once."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    streams: int
    events: int
    interval: int
    """Milliseconds between two events of a stream."""
    lone_calls: int
    connections: int
    short_calls: int
    """For each of the connections."""
    replays: int
    memory: tuple[int, int]
    """Requests after which memory is read."""
    histories: tuple[int, ...]
    """KB with which sessions begin."""
    turns: int
    """Of a session, after the first."""

    @property
    def sustained(self) -> Plan:
        """The streams whose events are measured."""
        return Plan([f"load-{self.events}-{self.interval}"], self.streams, 1, spread=self.interval)

    @property
    def sessions(self) -> Sessions:
        """The same streams, and sessions, over WebSockets and HTTP."""
        return Sessions(self.histories, self.turns, ANSWER, self.sustained, self.streams * self.events)


FULL = Size(5, 20, 250, 20, 100, 8, 50, 12, (200, 2000), (40, 400, 4000), 20)
QUICK = Size(1, 4, 20, 10, 10, 2, 5, 3, (20, 40), (40,), 3)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target`: the largest ratio to plain that is good enough."""

    name: str
    key: str
    digits: int
    target: float | None = None


FIGURES = (
    Figure("proxy CPU per 1000 events, ms", "stream_cpu", 1, 1.10),
    Figure("event delay p50, ms", "delay_p50", 2),
    Figure("event delay p99, ms", "delay_p99", 2),
    Figure("time to first event p50, ms", "first", 2, 1.15),
    Figure("short answers per second", "short_rate", 0),
    Figure("proxy CPU per short answer, ms", "short_cpu", 2),
)
REPLAY_TARGET = 10.0
"""Milliseconds."""
MEMORY_TARGET = 3.0
"""MB, beyond what plain mitmdump gains."""
LIMIT, QUICK_LIMIT = 1800, 90
"""Seconds that a run may take."""


@dataclass(slots=True)
class Measured:
    """All that was measured: figures by way and round, replay costs in ms, memory in MB, answers and wrong ones."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {way: {} for way in WAYS})
    replays: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)
    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, way: str, key: str, value: float) -> None:
        """One round's value."""
        self.figures[way].setdefault(key, []).append(value)

    def median(self, way: str, key: str) -> float | None:
        """Over the rounds; None where this way has none."""
        values = self.figures[way].get(key)
        return statistics.median(values) if values else None

    def ratio(self, key: str) -> float:
        """Understudy to plain: the median of the rounds' ratios, for the rounds of a pair were neighbours."""
        pairs = zip(self.figures["understudy"][key], self.figures["plain"][key], strict=True)
        return statistics.median(ours / plain for ours, plain in pairs)

    def growth(self, way: str) -> float:
        """MB gained between the two readings."""
        return self.memory[way][1] - self.memory[way][0]


class Bench:
    """The measurements, one after the other."""

    def __init__(self, size: Size, setting: Setting, backend: Backend) -> None:
        self._size = size
        self._setting = setting
        self._backend = backend
        self._say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
        self.measured = Measured()
        self.turns = Turns(size.sessions, self._calls)

    def run(self) -> Measured:
        """Everything."""
        size = self._size
        with self._setting.plain(self._backend) as plain, self._setting.understudy(self._backend) as understudy:
            both = {"plain": plain, "understudy": understudy}
            proxies: dict[str, Proxy | None] = {"direct": None, **both}
            self._say("memory ...")
            self._memory(both)
            for number in range(size.rounds):
                self._say(f"round {number + 1} of {size.rounds} ...")
                turned = [*WAYS[number % 3 :], *WAYS[: number % 3]]
                for measure in (self._streams, self._lone, self._short):
                    for way in turned:
                        measure(way, proxies[way])
                self._say("... and sessions")
                self.turns.measure(both, number)
        for number in range(size.rounds):
            self._say(f"replays {number + 1} of {size.rounds} ...")
            self._replays()
        return self.measured

    def _streams(self, way: str, proxy: Proxy | None) -> None:
        size = self._size
        got = self._calls(proxy, size.sustained)
        self.measured.note(way, "delay_p50", quantile(got.delays, 0.50))
        self.measured.note(way, "delay_p99", quantile(got.delays, 0.99))
        if proxy is not None:
            self.measured.note(way, "stream_cpu", got.cpu * 1000 / (size.streams * size.events / 1000))

    def _lone(self, way: str, proxy: Proxy | None) -> None:
        got = self._calls(proxy, Plan([ANSWER], 1, self._size.lone_calls))
        self.measured.note(way, "first", quantile(got.first, 0.50))

    def _short(self, way: str, proxy: Proxy | None) -> None:
        size = self._size
        count = size.connections * size.short_calls
        got = self._calls(proxy, Plan([ANSWER], size.connections, size.short_calls))
        self.measured.note(way, "short_rate", count / got.seconds)
        if proxy is not None:
            self.measured.note(way, "short_cpu", got.cpu * 1000 / count)

    def _memory(self, proxies: dict[str, Proxy]) -> None:
        before = 0
        for until in self._size.memory:
            each = (until - before) // 2
            for way, proxy in proxies.items():
                self._calls(proxy, Plan([ANSWER], 2, each - 1))
                self.measured.memory.setdefault(way, []).append(proxy.memory())
            before = until

    def _replays(self) -> None:
        """What an account's usage limit adds to the first event, beyond the time that the 429 itself takes."""
        count = self._size.replays
        models = [ANSWER, f"{ANSWER}-limited"]
        direct = self._calls(None, Plan(models, 1, 4 * count))
        refusal = quantile(direct.limited, 0.50)
        with self._setting.understudy(self._backend, accounts=count + 1) as proxy:
            got = self._calls(proxy, Plan(models, 1, 2 * count))
        pairs = zip(got.first[::2], got.first[1::2], strict=True)
        self.measured.replays += [limited - served - refusal for served, limited in pairs]

    def _calls(self, proxy: Proxy | None, plan: Plan) -> Calls:
        got = make(self._setting, self._backend, proxy, plan)
        self.measured.answers += got.complete
        self.measured.wrong += got.wrong
        return got


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, and whether it was met."""

    name: str
    value: str
    target: str
    met: bool


def verdicts(measured: Measured) -> list[Verdict]:
    """The targets, against what was measured."""
    found = [
        Verdict(f.name, f"{ratio:.2f} x plain", f"at most {f.target:.2f}", ratio <= f.target)
        for f in FIGURES
        if f.target is not None
        for ratio in [measured.ratio(f.key)]
    ]
    replay = statistics.median(measured.replays)
    more = measured.growth("understudy") - measured.growth("plain")
    return [
        *found,
        Verdict("replay, beyond the 429", f"{replay:.1f} ms", f"under {REPLAY_TARGET:.0f} ms", replay < REPLAY_TARGET),
        Verdict(
            "memory gained beyond plain", f"{more:+.1f} MB", f"at most {MEMORY_TARGET:.0f} MB", more <= MEMORY_TARGET
        ),
    ]


def processor() -> str:
    """What the kernel calls the processor."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "CPU"


def report(size: Size, measured: Measured) -> str:
    """The tables, in Markdown."""
    lines = [
        f"Understudy {__version__}, mitmproxy {MITMPROXY_VERSION}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} x {processor()}. Medians of {size.rounds} rounds; "
        f"{size.streams} streams of {size.events} events, one every {size.interval} ms.",
        "",
        "| | direct | plain mitmdump | Understudy | Understudy / plain |",
        "|---|---:|---:|---:|---:|",
    ]
    for figure in FIGURES:
        values = [measured.median(way, figure.key) for way in WAYS]
        cells = ["" if value is None else f"{value:.{figure.digits}f}" for value in values]
        lines.append(f"| {figure.name} | {' | '.join(cells)} | {measured.ratio(figure.key):.2f} |")
    for number, requests in enumerate(size.memory):
        plain, ours = measured.memory["plain"][number], measured.memory["understudy"][number]
        lines.append(f"| memory after {requests} requests, MB | | {plain:.1f} | {ours:.1f} | {ours / plain:.2f} |")
    replays = measured.replays
    lines.append(
        f"| replay after a 429, beyond the 429 itself, p50 / p90, ms | | | {quantile(replays, 0.5):.1f} / "
        f"{quantile(replays, 0.9):.1f} | |"
    )
    lines += ["", "| target | measured | wanted | |", "|---|---:|---:|---|"]
    for v in verdicts(measured):
        lines.append(f"| {v.name} | {v.value} | {v.target} | {'PASS' if v.met else 'FAIL'} |")
    return "\n".join(lines)


def stop(number: int, frame: object) -> None:
    """Told to stop, or out of time: everything that was started is ended on the way out."""
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


def main() -> int:
    """Measures and prints. Exit code 1 where an answer did not come whole, or with `--strict` a target was missed."""
    parser = argparse.ArgumentParser(description="Measures what Understudy costs beside plain mitmdump.")
    parser.add_argument("--quick", action="store_true", help="a few seconds: shows that it works, measures little")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--rounds", type=int, help="rounds to take the medians of")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(QUICK_LIMIT if arguments.quick else LIMIT)
    if arguments.rounds:
        size = replace(size, rounds=arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as folder:
        setting = Setting(Path(folder))
        with setting.backend() as backend:
            bench = Bench(size, setting, backend)
            measured = bench.run()
    print(report(size, measured), "", *bench.turns.report(), sep="\n")
    print(f"\n{measured.answers} answers came whole, {len(measured.wrong)} did not.")
    for wrong in measured.wrong[:5]:
        print(f"- {wrong}")
    missed = arguments.strict and not all(verdict.met for verdict in verdicts(measured))
    return 1 if measured.wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a running proxy is: where it listens, with which options, for whom, and what it has done so far.

It is part of the record that `running` keeps as long as its process lives, so a crash leaves nothing that lies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from understudy.pool.tally import Tally
from understudy.state.running import Running

KEY = "runtime"
"""Its place in a record."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One open port. `mode`: as mitmproxy spells it, without the address: `regular`, `transparent`, `reverse:https://...`."""

    mode: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Runtime:
    """A proxy of this user that is running now."""

    pid: int
    program: str
    """mitmdump, mitmweb or mitmproxy."""
    version: str
    """Understudy's."""
    mitmproxy: str
    """mitmproxy's version."""
    started_at: float
    """Epoch seconds."""
    confdir: str
    listeners: tuple[Listener, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    """Those options that the commands follow, as the proxy has them."""
    owner: int | None = None
    """The process of the `understudy run` that it serves alone, or None."""
    hosts: tuple[str, ...] = ("api.openai.com",)
    """Those whose calls it claims, and whose TLS it opens."""
    web: str | None = None
    """Where mitmweb's page is."""
    authority: str = ""
    """SHA-256 (hex) of the root that programs have to trust it by, as it was loaded; empty: none is loaded yet."""
    tally: Tally = field(default_factory=Tally)

    @property
    def port(self) -> int | None:
        """Where programs with HTTPS_PROXY reach it, on 127.0.0.1; None where it has no such listener."""
        regular = ("regular", "upstream")
        return next((each.port for each in self.listeners if each.mode.partition(":")[0] in regular), None)


def encode(runtime: Runtime) -> Mapping[str, object]:
    """As plain JSON; the pid is the record's own."""
    return asdict(runtime)


def decode(pid: int, told: object) -> Runtime | None:
    """What `encode` gave; None for anything else, as another version may tell it."""
    if not isinstance(told, dict):
        return None
    try:
        listeners = tuple(Listener(str(one["mode"]), str(one["host"]), int(one["port"])) for one in told["listeners"])
        tally = told["tally"]
        counts = {str(label): int(count) for label, count in tally["accounts"].items()}
        return Runtime(
            pid=pid,
            program=str(told["program"]),
            version=str(told["version"]),
            mitmproxy=str(told["mitmproxy"]),
            started_at=float(told["started_at"]),
            confdir=str(told["confdir"]),
            listeners=listeners,
            options=dict(told["options"]),
            owner=None if told["owner"] is None else int(told["owner"]),
            hosts=tuple(str(host) for host in told["hosts"]),
            web=None if told["web"] is None else str(told["web"]),
            authority=str(told["authority"]),
            tally=Tally(
                int(tally["requests"]), int(tally["failed"]), int(tally["replays"]), counts, int(tally["passed"])
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def runtimes(home: Path) -> tuple[Runtime, ...]:
    """The proxies of this user that run now, the one that was started last first. Blocking file work."""
    found = (decode(record.pid, record.told.get(KEY)) for record in Running(home).all())
    return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.started_at))


def shared_proxy(home: Path) -> Runtime | None:
    """The running proxy that serves nobody alone, and is not ending; or None. Blocking file work."""
    return next((each for each in runtimes(home) if each.owner is None and each.listeners), None)

"""How a proxy is to be started: the command line that does it, and what is remembered of it for a restart."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from understudy.state import files
from understudy.state.runtime import Runtime
from understudy.workstation.confdir import Confdir
from understudy.workstation.errors import LaunchError

OURS = {"confdir": "it is Understudy's own", "listen_port": "use --port"}
"""mitmproxy's options that nobody else sets, and what to do instead."""

HOSTS = frozenset({"api.openai.com"})
"""Those that programs call, unless `codex_hosts` says otherwise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asks of a proxy; what they do not ask is left to the defaults."""

    program: str = "mitmdump"
    options: tuple[str, ...] = ()
    """`NAME=VALUE`, as for mitmproxy's `--set`."""
    port: int | None = None
    """None: 8080, or the next one that is free."""
    modes: tuple[str, ...] = ()
    """As for mitmproxy's `--mode`. None: regular."""
    transparent: bool = False
    """It also takes connections that are redirected to it."""

    def option(self, name: str) -> str | None:
        """What an option is set to; None where it is not."""
        return _by_name(self.options).get(name)

    def merged(self, more: "Wanted") -> "Wanted":
        """This with what `more` asks for in its place."""
        return Wanted(
            more.program if more.program != Wanted().program else self.program,
            tuple(_settings((*self.options, *more.options))),
            more.port or self.port,
            more.modes or self.modes,
            more.transparent or self.transparent,
        )

    def differs_from(self, running: Runtime, started: "Wanted | None") -> str:
        """What is asked for that the running proxy does not do, in words; empty where it does all of it.

        `started`: how it was started, where that is known.
        """
        if self.port not in (None, running.port):
            return f"it listens on port {running.port}"
        if self.program not in (Wanted().program, running.program):
            return f"it is {running.program}"
        told = {name: _text(value) for name, value in running.options.items()}
        known = {**_by_name(started.options if started else ()), **told}
        for name, value in _by_name(self.options).items():
            if known.get(name) != value:
                return f"its {name} is {known.get(name, 'not known')}"
        if self.transparent and not any(each.mode == "transparent" for each in running.listeners):
            return "it takes no redirected connections"
        modes = told.get("mode", "regular")
        return "" if not self.modes or ",".join(self.modes) == modes else f"its mode is {modes}"


def command_line(
    program: Path, script: Path, confdir: Confdir, wanted: Wanted, port: int, *, terse: bool = True
) -> list[str]:
    """What is run. `terse`: it does not log requests, which may be any program's and hold anything.

    Raises LaunchError for an option that is not the user's to set.
    """
    given = _by_name(wanted.options)
    for name, instead in OURS.items():
        if name in given:
            raise LaunchError(f"{name} cannot be set: {instead}")
    # The authority may sign for our hosts alone: what an upstream calls itself besides would be refused.
    settings = {"confdir": str(confdir.path), "listen_host": "127.0.0.1", "upstream_cert": "false"}
    settings |= {"connection_strategy": "lazy"}
    if program.name == "mitmdump" and terse:
        settings |= {"flow_detail": "0"}
    if program.name == "mitmweb":
        settings |= {"web_open_browser": "false"}
    words = [str(program), "-s", str(script), "--listen-port", str(port)]
    words += [word for mode in wanted.modes for word in ("--mode", mode)]
    defaults = [f"{name}={value}" for name, value in settings.items() if name not in given]
    return words + [word for setting in (*defaults, *wanted.options) for word in ("--set", setting)]


def remember(home: Path, pid: int, wanted: Wanted) -> None:
    """Keeps how the shared proxy was started, for a restart. Raises StateError."""
    files.write(_path(home), json.dumps({"pid": pid, **asdict(wanted)}).encode(), durable=False)


def remembered(home: Path, running: Runtime) -> Wanted | None:
    """How a running proxy was started; None where that is not known. Raises StateError."""
    content = files.read(_path(home))
    try:
        told = json.loads(content.data) if content else {}
        if told["pid"] != running.pid:
            return None
        port = None if told["port"] is None else int(told["port"])
        options, modes = (tuple(str(each) for each in told[name]) for name in ("options", "modes"))
        return Wanted(str(told["program"]), options, port, modes, bool(told["transparent"]))
    except (ValueError, TypeError, KeyError):
        return None


def again(home: Path, running: Runtime, more: Wanted) -> Wanted:
    """What starts a running proxy anew, with what `more` asks for besides. Raises LaunchError, StateError."""
    started = remembered(home, running)
    if started is None:
        raise LaunchError(
            f"the running proxy (process {running.pid}) was not started by `understudy start`: end it where it was "
            "started, then run: understudy start"
        )
    return replace(started, port=running.port or running.listeners[0].port).merged(more)


def _path(home: Path) -> Path:
    return home / "start.json"


def _by_name(options: tuple[str, ...]) -> Mapping[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in options)}


def _settings(options: tuple[str, ...]) -> list[str]:
    return [f"{name}={value}" for name, value in _by_name(options).items()]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)

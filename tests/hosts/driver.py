"""Starts a program as its user does: in folders and an environment of its own, through the proxy or past it."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.hosts import HOST_KEY
from support.theatre import Theatre

HOSTS = Path(os.environ["UNDERSTUDY_HOSTS"]) if "UNDERSTUDY_HOSTS" in os.environ else None
"""Where `scripts/test-hosts` has installed the programs; None where it does not run."""
PROGRAMS = Path(__file__).parent / "programs"
DIRECT_KEY = "sk-straight-at-the-sandbox"
LIMIT = 110.0
"""Seconds that a program may take."""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a program's calls go. Whatever else it wants of the network goes to the proxy, which has nothing for it."""

    proxy: str
    ca: Path
    base_url: str | None = None
    """Straight at the sandbox; None: through the proxy, at api.openai.com."""


@dataclass(frozen=True, slots=True)
class Host:
    """A program, and how its user starts it.

    `commands`: the command lines for a conversation of these prompts, one after the other, from the folder where the
    program is installed and the route. `environment`: the variables beside those that every program gets.
    """

    name: str
    commands: Callable[[Path, Route, Sequence[str]], list[list[str]]]
    environment: Callable[[Path, Route], Mapping[str, str]]
    folder: str = ""
    """In `.hosts`; empty where it comes with the system."""
    files: tuple[Path, ...] = ()
    """What the user has written, for the working folder."""
    opening: int = 1
    """Calls of a conversation's first prompt: some programs ask for a title beside it."""
    call: str = '@call get_weather {"city": "Paris"}'
    """A prompt after which the sandbox's model calls a tool that the program has."""
    asks_again: bool = True
    """Whether it asks again by itself where an answer breaks, in place of telling the person."""
    has_platform: bool = True
    """Whether the sandbox's Platform has what the program speaks: it has the Responses API, over HTTP."""
    over_websocket: bool = False
    """Whether it speaks over a WebSocket, where it is let."""
    output: str = "sunny in Paris"
    """What that tool gives."""
    prepare: Callable[[Path, Theatre], None] = lambda home, theatre: None
    """Writes what the user has in the home folder."""

    def installed(self) -> Path:
        """The folder where it is installed. Skips the test, with the reason, where it is not."""
        assert HOSTS is not None
        place = HOSTS / self.folder
        if self.folder and not (place / ".stamp").exists():
            missing = place / ".missing"
            reason = missing.read_text().strip() if missing.exists() else "not installed; scripts/test-hosts does it"
            pytest.skip(f"{self.folder} IS NOT TESTED: {reason}")
        return place


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program has left on the terminal, and the seconds it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def seen(self) -> str:
        """All that the person sees, without colours."""
        return _COLOURS.sub("", self.out + self.err)

    def said(self, text: str) -> bool:
        """Whether the person sees the text, wherever the terminal breaks its lines."""
        return " ".join(text.split()) in " ".join(self.seen.split())


class Seat:
    """One user with one program, before the theatre's stage."""

    def __init__(self, host: Host, theatre: Theatre, folder: Path) -> None:
        self.host = host
        self.theatre = theatre
        self._place = host.installed()
        self._folder = folder
        self._homes = 0
        self._upgrades_before = self._upgrades()

    @property
    def upgrades(self) -> int:
        """How many WebSockets the proxy has opened for the program."""
        return self._upgrades() - self._upgrades_before

    def _upgrades(self) -> int:
        return self.theatre.proxy.log.count(" 101 answered here")

    def run(self, *prompts: str, direct: bool = False) -> Ran:
        """Has a conversation, in a fresh home, to its end, or to where the program fails."""
        out = err = ""
        seconds, code = 0.0, 0
        route, home = self._route(direct), self._home()
        for command in self.host.commands(self._place, route, prompts):
            with self._process(command, route, home) as process:
                started = time.monotonic()
                more_out, more_err = process.communicate(timeout=LIMIT)
                seconds, code = seconds + time.monotonic() - started, process.returncode
            out, err = out + more_out, err + more_err
            if code:
                break
        return Ran(code, out, err, seconds)

    @contextmanager
    def running(self, prompt: str) -> Iterator["subprocess.Popen[str]"]:
        """The program at work on a prompt; it is killed at the block's end."""
        route, home = self._route(False), self._home()
        [command] = self.host.commands(self._place, route, [prompt])
        with self._process(command, route, home) as process:
            yield process

    def _route(self, direct: bool) -> Route:
        proxy = self.theatre.proxy
        return Route(proxy.url, proxy.ca, f"{self.theatre.sandbox.origin}/v1" if direct else None)

    def _home(self) -> Path:
        """A fresh home with a working folder in it. Not below /tmp itself, which some programs do not trust."""
        self._homes += 1
        home = self._folder / f"home{self._homes}"
        work = home / "work"
        work.mkdir(parents=True)
        (work / "a.txt").write_text("the words of a.txt\n")
        for path in self.host.files:
            (work / path.name).write_bytes(path.read_bytes())
        modules = self._place / "node_modules"
        if modules.exists():
            (work / "node_modules").symlink_to(modules)
        self.host.prepare(home, self.theatre)
        return home

    @contextmanager
    def _process(self, command: list[str], route: Route, home: Path) -> Iterator["subprocess.Popen[str]"]:
        # A session of its own: a program's children go when it does.
        process = subprocess.Popen(
            command,
            cwd=home / "work",
            env=_environment(home, route) | dict(self.host.environment(self._place, route)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        except subprocess.TimeoutExpired as expired:
            kill(process)
            raise AssertionError(f"{command} did not end:\n{expired.stdout!r}\n{expired.stderr!r}") from None
        finally:
            kill(process)
            with process:
                pass


def kill(process: "subprocess.Popen[str]") -> None:
    """Ends a program and its children, without a chance to say goodbye."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _node() -> tuple[str, ...]:
    """Where this machine's Node is, that some programs are started by."""
    found = shutil.which("node")
    return (str(Path(found).parent),) if found else ()


def _environment(home: Path, route: Route) -> dict[str, str]:
    base = {
        "PATH": os.pathsep.join(dict.fromkeys((*_node(), "/usr/local/bin", "/usr/bin", "/bin"))),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "HOME": str(home),
        "TMPDIR": tempfile.gettempdir(),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "HTTPS_PROXY": route.proxy,
        "HTTP_PROXY": route.proxy,
        "OPENAI_API_KEY": HOST_KEY,
    }
    if route.base_url is None:
        return base
    return base | {"NO_PROXY": "127.0.0.1", "OPENAI_BASE_URL": route.base_url, "OPENAI_API_KEY": DIRECT_KEY}


_NOWHERE = """\
import json

from mitmproxy.http import Response

ACCOUNT = {
    "id": "",
    "name": None,
    "structure": "personal",
    "plan_type": "plus",
    "profile_picture_url": None,
    "is_deactivated": False,
    "is_fedramp_compliant_workspace": False,
    "can_access_with_session": True,
    "sso_connection_name": None,
    "workspace_backend_origin": "https://chatgpt.com",
    "account_routing_override": "NO_CONSTRAINT",
}


def request(flow):
    if flow.response is not None or flow.request.host == "127.0.0.1" or "upgrade" in flow.request.headers:
        return  # A WebSocket that is ours keeps its name until it has messages; others have nowhere to go.
    if flow.request.path == "/backend-api/wham/accounts/check":
        id = flow.request.headers.get("chatgpt-account-id", "")
        content = {"accounts": [{**ACCOUNT, "id": id}], "account_ordering": [id], "default_account_id": id}
        flow.response = Response.make(200, json.dumps(content), {"content-type": "application/json"})
    else:
        flow.response = Response.make(404, b"{}", {"content-type": "application/json"})


def server_connect(data):
    if data.server.address[0] != "127.0.0.1":
        data.server.error = "no test reaches the network"
"""


def nowhere(folder: Path) -> Path:
    """A mitmproxy script, loaded after ours: what is not claimed finds nothing, and no connection leaves the machine.

    Codex with a login of its own wants one answer, whose form is the one that it accepts.
    """
    path = folder / "nowhere.py"
    path.write_text(_NOWHERE)
    return path

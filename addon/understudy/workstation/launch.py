"""Starts a proxy with our own folder, for any program or for one process alone, and starts a running one anew."""

import fcntl
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from understudy.state import logs
from understudy.state.home import private_folder
from understudy.state.launcher import variable
from understudy.state.runtime import Runtime, shared_proxy
from understudy.workstation.child import Child
from understudy.workstation.confdir import Confdir
from understudy.workstation.ending import DRAIN, Living, stop
from understudy.workstation.errors import LaunchError, RunsAlready
from understudy.workstation.installation import program_path, script_path
from understudy.workstation.redirection import LOCAL_MODE_ON_LINUX, machine, record
from understudy.workstation.redirection.condition import catches_us
from understudy.workstation.service import RESTART, UNIT
from understudy.workstation.wanted import HOSTS, Wanted, again, command_line, remember

__all__ = ["LaunchError", "RunsAlready", "Wanted", "become", "restart", "start", "stop"]

PORT = 8080
"""The first that is tried."""
TRIED = 20
"""How many more are."""
WEB_PORT = 8081
"""The first that is tried for mitmweb's page."""
REDIRECTED_PORT = 8180
"""The first that is tried for connections that are redirected."""
LOOPBACK = ("127.0.0.1", "::1")


def start(
    home: Path,
    *,
    program: str = "mitmdump",
    options: Sequence[str] = (),
    port: int | None = None,
    modes: Sequence[str] = (),
    transparent: bool = False,
    hosts: frozenset[str] = HOSTS,
    owned: bool = False,
    log: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Runtime:
    """Starts a proxy in the background, and gives what it is once it is up.

    `options`: `NAME=VALUE`. `port`: of the shared one None is 8080 or the next one that is free, of an owned one any.
    `transparent`: it also takes connections that are redirected to it, on a port of 127.0.0.1 and ::1.
    `hosts`: what the authority is made for, where there is none. `owned`: it serves this process alone, and ends with
    it. `log`: where it writes; by default `logs/` in `home`. `web` is told with the key to the page, for the user.
    Raises RunsAlready where there is a shared one, LaunchError, StateError.
    """
    wanted = Wanted(program, tuple(options), port, tuple(modes), transparent)
    if owned:
        wanted = _with_ports(wanted)
        words = _prepared(home, wanted, port or 0, hosts)
        child = Child(words, os.getpid(), log or logs.folder(home) / "run.log", environ)
        runtime = child.told()
        child.keep()
        return runtime
    with _alone(home):
        _none_runs(home)
        wanted = _with_ports(_as_redirected(home, wanted))
        child = _child(home, wanted, free_port(wanted), hosts, log, environ)
        runtime = child.told()
        remember(home, runtime.pid, wanted)
        child.release()
        return runtime


def become(
    home: Path, wanted: Wanted, hosts: frozenset[str] = HOSTS, environ: Mapping[str, str] = os.environ
) -> NoReturn:
    """This process becomes the shared proxy, on its own terminal.

    Raises RunsAlready where there is one, LaunchError, StateError, OSError.
    """
    with _alone(home) as lock:
        _none_runs(home)
        wanted = _with_ports(_as_redirected(home, wanted))
        words = _prepared(home, wanted, free_port(wanted), hosts, terse=False)
        remember(home, os.getpid(), wanted)
        os.set_inheritable(lock, True)  # The proxy lets go of it once it is up.
        os.execve(words[0], words, {**environ, **variable(lock)})


@dataclass(frozen=True, slots=True)
class Restarted:
    """`gap`: seconds for which nobody listened, at most. `drains`: the old one has answers to give still."""

    runtime: Runtime
    gap: float
    drains: bool


def restart(
    home: Path,
    running: Runtime,
    more: Wanted,
    *,
    hosts: frozenset[str] = HOSTS,
    environ: Mapping[str, str] = os.environ,
) -> Restarted:
    """Starts a running proxy anew on the same port, with what `more` asks for besides. What the old one is answering
    runs to its end; if the new one cannot start, the old one goes on.

    Raises LaunchError, StateError.
    """
    if _is_of_service(running.pid):
        raise LaunchError(f"the proxy is the service's, which is to start it anew: {shlex.join(RESTART)}")
    with _alone(home), Living(home, running) as living:
        wanted = _with_ports(again(home, running, more), beside=running)
        closed = wanted.merged(Wanted(options=("server=false",)))
        child = _child(home, closed, free_port(wanted) if more.port else wanted.port or 0, hosts, None, environ)
        try:
            child.told()
            began = time.monotonic()
            if not living.close(began + DRAIN):
                raise LaunchError(f"the running proxy (process {running.pid}) does not close its port")
        except BaseException:
            child.give_up()
            raise
        runtime = child.let_in()
        gap = time.monotonic() - began
        remember(home, runtime.pid, wanted)
        child.release()
        return Restarted(runtime, gap, living.told() is not None)


def _is_of_service(pid: int) -> bool:
    """Whether systemd has started it for `understudy service`; it would take what we start for nothing of its own."""
    try:
        return any(line.endswith(f"/{UNIT}") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    except OSError:
        return False


def free_port(wanted: Wanted) -> int:
    """The port that is asked for, or the first that nobody listens on. Raises LaunchError."""
    if wanted.port is not None:
        if (why := _taken(wanted.port)) is not None:
            raise LaunchError(f"port {wanted.port} cannot be had: {why}; choose another with --port, or leave it out")
        return wanted.port
    return _first_free(PORT, wanted.option("web_port"))


def _first_free(first: int, but: str | None = None) -> int:
    candidates = (port for port in range(first, first + TRIED + 1) if str(port) != but)
    found = next((port for port in candidates if _taken(port) is None), None)
    if found is None:
        raise LaunchError(f"none of the ports {first} to {first + TRIED} can be had")
    return found


def _taken(port: int) -> str | None:
    """Why the port cannot be had; None where it can."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        return error.strerror
    return None


def _as_redirected(home: Path, wanted: Wanted) -> Wanted:
    """Where connections are redirected already, the shared proxy takes them, on the ports that they are led to."""
    known = record.read(home)
    if known is None or known.boot != machine.boot() or any(mode.startswith("transparent") for mode in wanted.modes):
        return wanted
    redirected = (f"transparent@{host}:{port}" for host, port in zip(LOOPBACK, known.redirect.ports, strict=True))
    return replace(wanted, modes=(*(wanted.modes or ("regular",)), *redirected), transparent=True)


def _with_ports(wanted: Wanted, beside: Runtime | None = None) -> Wanted:
    """With ports for redirected connections and for mitmweb's page, where it needs any and has none.

    `beside`: a proxy that still has its page while the new one comes up.
    """
    if wanted.transparent and not any(mode.startswith("transparent") for mode in wanted.modes):
        port = _first_free(REDIRECTED_PORT)
        redirected = (f"transparent@{host}:{port}" for host in LOOPBACK)
        wanted = replace(wanted, modes=(*(wanted.modes or ("regular",)), *redirected))
    if wanted.program == "mitmweb" and (wanted.option("web_port") is None or (beside is not None and beside.web)):
        wanted = wanted.merged(Wanted(options=(f"web_port={_first_free(WEB_PORT)}",)))
    return wanted


def _child(
    home: Path, wanted: Wanted, port: int, hosts: frozenset[str], log: Path | None, environ: Mapping[str, str]
) -> Child:
    return Child(_prepared(home, wanted, port, hosts), None, log or logs.folder(home) / "proxy.log", environ)


def _prepared(home: Path, wanted: Wanted, port: int, hosts: frozenset[str], *, terse: bool = True) -> list[str]:
    """The command line, with everything there that it needs."""
    program, script = program_path(wanted.program), script_path()
    if program is None:
        raise LaunchError(f"there is no {wanted.program} beside this Python or on the PATH; install mitmproxy there")
    if script is None:
        raise LaunchError("the installation has no mitmproxy script; install Understudy again")
    if sys.platform == "linux" and any(mode.startswith("local") for mode in wanted.modes):
        raise LaunchError(LOCAL_MODE_ON_LINUX)
    if catches_us(home):
        raise LaunchError(
            "this command runs among the programs whose calls are redirected, and so would the proxy: its own calls "
            "would come back to it. Start it from another shell"
        )
    from understudy.workstation.keeping import ensure  # It loads cryptography.

    confdir = Confdir(home)
    words = command_line(program, script, confdir, wanted, port, terse=terse)
    ensure(confdir, hosts, time.time())
    return words


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Nobody else starts a shared proxy meanwhile. Gives the lock's file."""
    private_folder(home)
    lock = os.open(home / ".start.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _none_runs(home: Path) -> None:
    if (running := shared_proxy(home)) is not None:
        raise RunsAlready(running)

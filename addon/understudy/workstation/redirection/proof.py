"""The proof that a redirection works, both ways: what the chosen programs ask arrives, what the proxy asks goes out."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pwd import getpwuid

from understudy.workstation.redirection import plan
from understudy.workstation.redirection.machine import Impossible
from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector
from understudy.workstation.redirection.shell import SYSTEM, carry_out, needs_sudo
from understudy.workstation.redirection.step import Step

PATIENCE = 5.0
"""Seconds for one connection. What is redirected is answered in milliseconds."""
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
"""The system's, for another user, who often may not enter our own."""


@dataclass(frozen=True, slots=True)
class Start:
    """How to start a Python. `uid`: as whom, which takes root; None: as the one who asks."""

    argv: tuple[str, ...]
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """What connections to one address at port 443 met: TCP with TLS, and UDP. The words are the prober's."""

    address: str
    tcp: str
    udp: str


def from_inside(redirect: Redirect, pem: str) -> tuple[Met, ...]:
    """What the chosen programs meet. sudo may ask. Raises Impossible, Failed."""
    selector = redirect.selector
    if isinstance(selector, OtherUser):
        return _met(_python_of(selector), redirect, pem)
    if selector.systemd:
        return _met(Start(plan.in_slice((sys.executable,))), redirect, pem)
    return _met(Start((sys.executable,)), redirect, pem, selector)


def from_here(redirect: Redirect, pem: str) -> tuple[Met, ...]:
    """What this process, and whatever else is where it is, meets. Raises Impossible."""
    return _met(Start((sys.executable,)), redirect, pem)


def faults_inside(met: Sequence[Met]) -> tuple[str, ...]:
    """What is wrong with what the chosen programs met, in sentences."""
    found = [f"{each.address}: {_TCP_FAULTS[each.tcp]}" for each in met if each.tcp in _TCP_FAULTS]
    found += [f"{each.address}: HTTP/3 (UDP 443) is not refused" for each in met if each.udp == "open"]
    if not found and not any(each.tcp == "ours" for each in met):
        found = ["there is no way to any of the addresses, so that nothing could be tried"]
    return tuple(found)


def faults_outside(met: Sequence[Met]) -> tuple[str, ...]:
    """What is wrong with what the proxy's own calls would meet, in sentences. To be asked while the proxy answers."""
    back = [each.address for each in met if each.tcp in ("ours", "misnamed")]
    return tuple(f"{address}: a connection of the proxy's own kind comes back to the proxy" for address in back)


def unproven(met: Sequence[Met]) -> tuple[str, ...]:
    """The addresses that there is no way to, so that nothing gets there, and nothing could be tried."""
    return tuple(each.address for each in met if each.tcp == "no route")


_TCP_FAULTS: Mapping[str, str] = {
    "theirs": "connections go to the host itself, not to the proxy",
    "misnamed": "the proxy answers with a certificate that programs refuse",
    "refused": "connections are refused; the proxy does not listen there",
    "silent": "nothing answers within five seconds",
    "broken": "the proxy hangs up in the middle of the handshake",
}


def _met(python: Start, redirect: Redirect, pem: str, group: Cgroup | None = None) -> tuple[Met, ...]:
    # The proxy goes by the name that is asked for, whichever of its hosts' addresses that is asked at.
    targets = [(address, redirect.hosts[0]) for address in redirect.addresses]
    with _started(python, _prober()) as process:
        try:
            if group is not None:
                carry_out([plan.enter(group, process.pid)])
            asked = {"targets": targets, "pem": pem, "seconds": PATIENCE}
            said, trouble = process.communicate(json.dumps(asked), timeout=4 * PATIENCE)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise Impossible(f"could not try a connection: {trouble.strip().rpartition(chr(10))[2]}")
    return tuple(Met(**each) for each in json.loads(said))


def steps(selector: Selector) -> tuple[Step, ...]:
    """What the proof does as root, or as another user, to be shown."""
    match selector:
        case Cgroup(systemd=True):
            return ()
        case Cgroup() as group:
            return (replace(plan.enter(group, "PID"), why="a connection is tried: its process enters the group"),)
        case OtherUser() as user:
            why = f"connections of {user.name} are tried, by the first of these that {user.name} can run"
            words = [(*_start(user, python).argv, *_words(_prober())) for python in _pythons_for(user)]
            return tuple(Step(why, argv, root=False) for argv in words)


def _pythons_for(user: OtherUser) -> tuple[str, ...]:
    """Our own may belong to the one who asks: it is not what root is to run."""
    return PYTHONS if user.uid == 0 else (*PYTHONS, sys.executable)


def _start(user: OtherUser, python: str) -> Start:
    return Start(("sudo", "-u", user.name, "--", python)) if needs_sudo() else Start((python,), user.uid)


def _python_of(user: OtherUser) -> Start:
    """A Python that this user may run. Raises Impossible."""
    pythons = _pythons_for(user)
    for python in pythons:
        start = _start(user, python)
        try:
            with _started(start, "") as process:
                process.communicate()
        except OSError:
            continue
        if process.returncode == 0:
            return start
    raise Impossible(f"{user.name} can run none of {', '.join(pythons)}, so that nothing can be tried as that user")


def _prober() -> str:
    return files("understudy.workstation.redirection").joinpath("prober.py").read_text()


def _words(program: str) -> tuple[str, ...]:
    return ("-I", "-S", "-c", program)


def _started(python: Start, program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        (*python.argv, *_words(program)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PATH": SYSTEM},
        user=python.uid,
        group=getpwuid(python.uid).pw_gid if python.uid is not None else None,
        extra_groups=() if python.uid is not None else None,
    )

"""Takes this process, and so what it starts, into the redirected group, and makes sure that it works there."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from understudy.workstation.redirection import machine, plan, proof, record
from understudy.workstation.redirection.machine import Impossible
from understudy.workstation.redirection.redirect import Cgroup
from understudy.workstation.redirection.shell import carry_out

SENT = "UNDERSTUDY_SENT_INTO_THE_SLICE"
"""Set for the command that systemd starts, so that it is not sent there again and again."""


def enter(home: Path, again: Sequence[str]) -> None:
    """From here on this process's new connections to the hosts go to the proxy, and those of what it starts.

    Proves it from inside before it returns. Start no proxy afterwards: it would be caught too. `again`: the command
    line that this process was started with; where systemd alone can put a process into the group, this process becomes
    that command anew, in there. sudo may ask. Raises Impossible, Failed, StateError.
    """
    known = record.read(home)
    if known is None or known.boot != machine.boot():
        raise Impossible("nothing is redirected yet; run: understudy transparent up")
    group = known.redirect.selector
    if not isinstance(group, Cgroup):
        raise Impossible(f"the connections of {group.name} are redirected; run the program as that user, without this")
    proxy, ports = machine.transparent_proxy(home)
    if ports != known.redirect.ports:
        raise Impossible("the proxy listens elsewhere by now; run: understudy transparent up")
    if others := known.redirect.other_than(proxy.hosts):
        raise Impossible("; ".join(others) + "; run: understudy transparent up")
    if not machine.catches(group, os.getpid()):
        if group.systemd:
            _begin_anew(again)
        if machine.number_of(group.folder) != known.group:
            raise Impossible("the control group was removed, or made anew; run: understudy transparent up")
        carry_out([plan.enter(group, os.getpid())])
    if found := proof.faults_inside(proof.from_here(known.redirect, machine.certificate_of(proxy))):
        raise Impossible("it does not work here: " + "; ".join(found) + "; run: understudy transparent up")


def _begin_anew(again: Sequence[str]) -> NoReturn:
    """This process becomes `again`, in the slice. Not run by us. Raises Impossible, OSError."""
    if SENT in os.environ:
        raise Impossible("systemd did not start it in the slice; use: understudy transparent up, without --systemd")
    os.execvpe("systemd-run", plan.in_slice(tuple(again)), {**os.environ, SENT: "1"})

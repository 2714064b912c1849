"""Whether a redirection does what it should, and what to do where it does not."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from understudy.state.runtime import Runtime
from understudy.workstation.redirection import machine, making, record
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.shell import Failed

UP = "understudy transparent up"
DOWN = "understudy transparent down"


class State(Enum):
    """How things stand, by the word that `status --json` has for it."""

    OFF = "off"
    """Nothing was made."""
    IN_STEP = "in step"
    HALF = "half"
    """Something of what was made is missing or changed: calls may go out as the programs' own."""
    GONE = "gone"
    """The machine was started anew, or somebody removed the rules: calls go out as the programs' own."""
    STALE = "stale"
    """No proxy takes what is redirected: it is refused, and nothing goes out."""
    LOOP = "loop"
    """The proxy is in the group that it serves: its own calls come back to it."""
    UNKNOWN = "unknown"
    """Only root can see the rules."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How things stand. `reasons`: sentences; `mend`: the command that mends it, empty where nothing is broken."""

    state: State
    known: Record | None = None
    reasons: tuple[str, ...] = ()
    mend: str = ""

    @property
    def sound(self) -> bool:
        """Whether there is nothing to mend."""
        return self.state in (State.OFF, State.IN_STEP)


def examine(home: Path, proxies: Sequence[Runtime]) -> Condition:
    """Looks, and changes nothing. `proxies`: those that run. sudo asks nothing; without it the rules are not seen.

    Raises StateError.
    """
    known = record.read(home)
    if known is None:
        return Condition(State.OFF)
    if known.boot != machine.boot():
        return Condition(State.GONE, known, ("the machine was started anew; nothing is redirected",), UP)
    listening = {ports: each for each in proxies if (ports := machine.transparent_ports(each))}
    if any(machine.catches(known.redirect.selector, each.pid) for each in proxies):
        return Condition(
            State.LOOP, known, ("the proxy runs in the group whose calls it serves",), "understudy restart"
        )
    if known.redirect.ports not in listening:
        why = "no proxy takes what is redirected: it is refused, and nothing goes out"
        return Condition(State.STALE, known, (why,), UP if listening else f"understudy start --transparent, or: {DOWN}")
    if others := known.redirect.other_than(listening[known.redirect.ports].hosts):
        return Condition(State.HALF, known, others, UP)
    return _rules(known)


def _rules(known: Record) -> Condition:
    try:
        found = making.faults(known, ask=False)
    except Failed as error:
        return Condition(State.UNKNOWN, known, (str(error),), "sudo -v && understudy transparent status")
    if not found:
        return Condition(State.IN_STEP, known)
    return Condition(State.GONE if found == (making.GONE,) else State.HALF, known, found, UP)


def catches_us(home: Path) -> bool:
    """Whether a proxy that this process started would be redirected to itself. Raises StateError."""
    known = record.read(home)
    return known is not None and machine.catches(known.redirect.selector, os.getpid())

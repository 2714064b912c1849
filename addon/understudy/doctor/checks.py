"""All checks, in the order in which things break, and going through them."""

import importlib
from collections.abc import Callable, Iterable, Iterator

from understudy.doctor import software
from understudy.doctor.check import Check, Finding, Result, examine, healthy
from understudy.doctor.machine import Machine
from understudy.state.errors import StateError

VERSION = 1
"""Of what `as_object` gives."""

GROUPS = (
    "software.CHECKS",
    "folder.CHECKS",
    "store.CHECKS",
    "accounts.CHECKS",
    "clock.CHECKS",
    "authority.CHECKS",
    "ports.CHECKS",
    "shell.CHECKS",
    "redirection.CHECKS",
    "store.LATER",
    "accounts.LATER",
    "options.CHECKS",
)
"""Where the checks are, in the order in which things break. What a group needs may not be installed."""


def all_checks() -> Iterator[Check[Machine]]:
    """Every check, in its order. One that cannot be loaded says so in its place."""
    for group in GROUPS:
        module, _, name = group.partition(".")
        try:
            yield from getattr(importlib.import_module(f"understudy.doctor.{module}"), name)
        except ImportError as error:
            yield Check(module, _not_loaded(error))


def _not_loaded(error: ImportError) -> Callable[[Machine], Result]:
    def look(machine: Machine) -> Result:
        raise error

    return look


def look(machine: Machine, more: Iterable[Check[Machine]] = ()) -> Iterator[Finding]:
    """What each check finds, as it finds it. Nothing is changed."""
    return (finding for _, finding in examine((*all_checks(), *more), machine, software.missing()))


def mend(machine: Machine) -> Iterator[tuple[bool, str]]:
    """Carries out the safe repairs that are due. Gives each with whether it was done, in words.

    In a folder that is not Understudy's there are none.
    """
    if machine.stranger:
        return
    for check, finding in examine(all_checks(), machine, software.missing()):
        if finding.result.fixable and check.mend is not None:
            try:
                yield from ((True, done) for done in check.mend(machine))
            except StateError as error:
                yield False, f"{check.name}: {error}"
            except Exception as error:
                yield False, f"{check.name} ({type(error).__name__})"


def as_object(findings: Iterable[Finding], fixed: Iterable[str] = ()) -> dict[str, object]:
    """`{"version", "healthy", "checks": [{"name", "state", "said", "why", "command", "fixable"}], "fixed": [...]}`.

    `state` is one of ok, warn, bad, skipped; `why` and `command` are null where there is nothing to say.
    """
    found = [*findings]
    checks = [
        {
            "name": finding.name,
            "state": finding.result.state.value,
            "said": finding.result.said,
            "why": finding.result.why or None,
            "command": finding.result.command or None,
            "fixable": finding.result.fixable,
        }
        for finding in found
    ]
    return {
        "version": VERSION,
        "healthy": healthy(found),
        "checks": checks,
        "fixed": [*fixed],
    }

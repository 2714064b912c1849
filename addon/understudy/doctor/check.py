"""A check and what it found, and the frame that carries checks out: whatever one of them does, the others are told."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from traceback import extract_tb
from typing import Generic, TypeVar

Patient = TypeVar("Patient")


class State(StrEnum):
    """How bad it is. Only `BAD` makes an installation unhealthy."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    SKIPPED = "skipped"
    """It cannot be told, or does not apply here; `said` has why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found, in words for the user that hold nothing secret."""

    state: State
    said: str
    """What is so, or what is wrong."""
    why: str = ""
    """Why that matters; empty where nothing is wrong."""
    command: str = ""
    """The one command that mends it."""
    fixable: bool = False
    """Whether `doctor --fix` mends it."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Patient]):
    """One question. `look` changes nothing; `mend` carries out the safe repair and says what it did, line by line."""

    name: str
    look: Callable[[Patient], Result]
    mend: Callable[[Patient], Iterable[str]] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's name and what it found."""

    name: str
    result: Result


def ok(said: str) -> Result:
    """All is well: `said` is what was seen."""
    return Result(State.OK, said)


def skipped(said: str) -> Result:
    """`said` is why nothing can be told."""
    return Result(State.SKIPPED, said)


def warn(said: str, why: str, command: str = "", *, fixable: bool = False) -> Result:
    """It works for now."""
    return Result(State.WARN, said, why, command, fixable)


def bad(said: str, why: str, command: str = "", *, fixable: bool = False) -> Result:
    """It does not work, or is dangerous."""
    return Result(State.BAD, said, why, command, fixable)


def examine(
    checks: Iterable[Check[Patient]], patient: Patient, missing: Collection[str] = ()
) -> Iterator[tuple[Check[Patient], Finding]]:
    """Carries out the checks, one after the other.

    `missing`: packages that are known not to be there. What needs one of them cannot be told; any other exception is a
    finding of its own.
    """
    for check in checks:
        try:
            result = check.look(patient)
        except ImportError as error:
            absent = (error.name or "").partition(".")[0]
            result = skipped(f"cannot be told without {absent}") if absent in missing else _failed(error)
        except Exception as error:
            result = _failed(error)
        yield check, Finding(check.name, replace(result, fixable=result.fixable and check.mend is not None))


def _failed(error: Exception) -> Result:
    """Without the exception's own message, which may quote what is not for others to see."""
    frames = extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return bad(
        f"the check itself failed ({type(error).__name__}{place})",
        "Whether this part works is not known. It is a fault of Understudy's; please report it.",
        "understudy diag",
    )


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing is bad."""
    return all(finding.result.state is not State.BAD for finding in findings)

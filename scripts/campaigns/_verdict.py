"""Judges a run of the policy campaign by what its hosts heard and what happened to its accounts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from campaigns._lives import Call, Life

FOR_GOOD = 20 * 60.0
"""Seconds of a limit for which a session moves for good."""
CACHE_UNIT = 128


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a host. `name`: `TALK#NUMBER`; `session`: the talk that it belongs to, or belongs below."""

    name: str
    session: str
    began: float
    ended: float
    """Both in epoch seconds."""
    failure: str
    """What the host heard, of one that failed; empty where it was answered."""


@dataclass(slots=True)
class Verdict:
    """The figures of one run; the lists say what went wrong."""

    requests: int
    answered: int
    in_vain: int = 0
    """Failed while nobody could serve."""
    failed: list[str] = field(default_factory=list)
    """Failed while somebody could."""
    at_first: int = 0
    """Answered by the account that answered the session's first request."""
    moves: int = 0
    moved: list[str] = field(default_factory=list)
    """Moves without reason."""
    away: int = 0
    """Answered elsewhere although the session's own account could have served."""
    pressed: list[str] = field(default_factory=list)
    """Calls to an account that was known to be limited."""
    early: int = 0
    """Those that may be made all the same."""
    tokens: int = 0
    cached: int = 0
    """As the backend says."""
    common: int = 0
    """What the account had seen before of the same talk: cached where no key is needed for that."""
    hops: list[float] = field(default_factory=list)
    """Seconds from the first call to the last, of answered requests whose other calls have met limits alone."""
    retries: list[float] = field(default_factory=list)
    """The same where there were faults."""


def judge(asked: Sequence[Asked], lives: Mapping[str, Life]) -> Verdict:
    """The figures of a run."""
    calls: dict[str, list[Call]] = {}
    for call in sorted((call for life in lives.values() for call in life.calls), key=attrgetter("at")):
        calls.setdefault(call.request, []).append(call)
    well = sorted((request for request in asked if not request.failure), key=attrgetter("session"))
    answers = [calls[request.name] for request in well]
    verdict = Verdict(len(asked), len(well))
    for first, *others in (answer for answer in answers if len(answer) > 1):
        faults = any(call.failed for call in (first, *others))
        (verdict.retries if faults else verdict.hops).append(others[-1].at - first.at)
    for request in asked:
        if request.failure:
            _judge_failure(verdict, request, calls.get(request.name, []), lives)
    for _, requests in groupby(well, key=attrgetter("session")):
        _judge_moves(verdict, [calls[request.name] for request in requests], lives)
    for life in lives.values():
        _judge_calls(verdict, life)
    _count_tokens(verdict, (calls[-1] for calls in answers))
    return verdict


def _judge_failure(verdict: Verdict, request: Asked, calls: Sequence[Call], lives: Mapping[str, Life]) -> None:
    """Whether the request failed although an account that it has not met could have served it."""
    met = {call.label for call in calls}
    could = [label for label, life in lives.items() if label not in met and life.could_serve(request.ended)]
    if could:
        path = [f"{call.label} ({'limited' if call.until else 'failed'})" for call in calls]
        tried = f"after {', '.join(path)} " if path else ""
        words = f"{request.name} failed {tried}at {request.ended:.2f} though {', '.join(could)} could serve"
        verdict.failed.append(f"{words}: {request.failure}")
    else:
        verdict.in_vain += 1


def _judge_moves(verdict: Verdict, answers: Iterable[Sequence[Call]], lives: Mapping[str, Life]) -> None:
    """Whether a session left an account, its own or the one that served it meanwhile, for a reason alone.

    What it left is where its latest answer came from that was whole by then; of requests at about the same time neither
    knows what the other has come to.
    """
    served = sorted(((calls[0], calls[-1]) for calls in answers), key=lambda pair: pair[0].at)
    own = left = served[0][1].label
    verdict.at_first += sum(answer.label == own for _, answer in served)
    for number, (begun, answer) in enumerate(served):
        earlier = sorted((each for _, each in served[:number]), key=attrgetter("ended"))
        whole = [each.label for each in earlier if each.ended + lives[each.label].grace < begun.at]
        left = whole[-1] if whole else left
        verdict.moves += bool(earlier) and answer.label != earlier[-1].label
        if answer.label != own:
            verdict.away += not _had_reason(lives[own], begun, answer)
            known = {left, *(each.label for each in earlier[len(whole) :])}
            if answer.label not in known and not _had_reason(lives[left], begun, answer):
                words = f"{answer.request} moved from {left} to {answer.label} at {answer.at:.2f}"
                verdict.moved.append(f"{words}, while its own is {own}")
            block = lives[own].block(answer.at)
            own = answer.label if block is not None and block.until - answer.at > FOR_GOOD else own


def _had_reason(left: Life, begun: Call, answer: Call) -> bool:
    """Whether the account was in trouble when the request made its first call, or when it made its last."""
    return any(left.in_trouble(call.at, call.request) for call in (begun, answer))


def _judge_calls(verdict: Verdict, life: Life) -> None:
    """Whether the account was left alone while it was known to be limited."""
    for call in life.calls:
        if (limit := life.limit(call)) is None:
            continue
        if life.may_try(call):
            verdict.early += 1
        else:
            known = f"known to be limited since {limit.known:.2f} until {limit.until:.2f}"
            verdict.pressed.append(f"{call.request} asked {call.label} at {call.at:.2f}, {known}")


def _count_tokens(verdict: Verdict, answers: Iterable[Call]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for call in sorted(answers, key=attrgetter("at")):
        place = call.label, call.request.partition("#")[0]
        verdict.tokens += call.tokens
        verdict.cached += call.cached
        verdict.common += min(seen.get(place, 0), call.tokens) // CACHE_UNIT * CACHE_UNIT
        seen[place] = call.tokens

"""What happened to each account of the policy campaign, and what the proxy was told of it: from the backend's journal.

Nothing here asks the code that decides. All times are epoch seconds.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter

from campaigns._weather import IN_STREAM, Spell, Strike, Weather
from understudy.sandbox.journal import Entry

GRACE = 0.3
"""Seconds for what is on its way."""
MARGIN = 0.5
"""Seconds by which an account must have been able to serve when a request failed."""
NEAR = 0.05
"""Seconds by which a moment that was computed may be wrong."""
COOLING = 6.0
BREAKER = 30.0
IN_A_ROW = 3
"""Seconds for which an account may be left alone after a failure, and after so many in a row."""
TRIES = 15 * 60.0
"""Seconds between two early tries of one account."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it reached the backend. `ended`: when the backend was done with it."""

    request: str
    label: str
    at: float
    ended: float
    answered: bool
    until: float | None = None
    """The end of the limit for which it was refused; None: it was not."""
    tokens: int = 0
    cached: int = 0

    @property
    def failed(self) -> bool:
        """Neither answered nor limited."""
        return not self.answered and self.until is None


@dataclass(frozen=True, slots=True)
class Block:
    """A limit as the proxy was told of it. `until`: the end that was named.

    It is over then, or with another answer: `soonest` with any, `latest` with one to a request that was made in spite
    of it. What the proxy makes of answers that were on their way is left to it.
    """

    known: float
    until: float
    soonest: float
    latest: float

    @property
    def half(self) -> float:
        """When the account may be tried in spite of it."""
        return (self.known + self.until) / 2


@dataclass(slots=True)
class Life:
    """What happened to one account. Spans are pairs of their begin and their end.

    `slack`: seconds that things may have been on their way besides, on a machine that has much to do.
    """

    slack: float
    calls: list[Call] = field(default_factory=list)
    enforced: list[tuple[float, float]] = field(default_factory=list)
    """While the backend refused it."""
    struck: list[tuple[float, float]] = field(default_factory=list)
    """While a fault waited for the next request."""
    blocks: list[Block] = field(default_factory=list)

    @property
    def grace(self) -> float:
        """Seconds for a request that was sent before its account was known to be limited."""
        return GRACE + self.slack

    def could_serve(self, at: float) -> bool:
        """Whether a request that nobody else could serve had to be served here, at `at` and for a while before.

        A limit that was lifted without a word counts as soon as it may be tried, and nobody is trying. Where the latest
        requests have failed in a row, one at a time may come.
        """
        margin = MARGIN + self.slack
        if any(begin - margin < at < end + margin for begin, end in (*self.enforced, *self.struck)):
            return False
        block = self.block(at, margin)
        if block is None:
            return at > _opened(call for call in self.calls if call.at < at - margin) + BREAKER
        tries = any(block.half - margin < call.at < at + margin and self.limit(call) for call in self.calls)
        return at - margin > block.half and not tries and not self._tried(at)

    def in_trouble(self, at: float, request: str) -> bool:
        """Whether there was a reason to ask somebody else at `at` for this request."""
        calls = [call for call in self.calls if call.at < at]
        met = any(call.request == request for call in calls)
        resting = any(call.failed and at < call.ended + COOLING + self.grace for call in calls)
        return met or resting or self.block(at, self.grace) is not None or at < _opened(calls) + BREAKER

    def block(self, at: float, after: float = 0.0) -> Block | None:
        """The limit that may be in the way at `at`, or was so many seconds before."""
        return _last(block for block in self.blocks if block.known < at < block.latest + after)

    def limit(self, call: Call) -> Block | None:
        """The limit that was known when this call was made, and not only on its way, if there was one."""
        return _last(b for b in self.blocks if b.known + self.grace < call.at < min(b.soonest, b.until - NEAR))

    def may_try(self, call: Call) -> bool:
        """Whether the call may be made in spite of a limit."""
        limit = self.limit(call)
        return limit is None or (call.at > limit.half - NEAR and not self._tried(call.at))

    def _tried(self, before: float) -> bool:
        """Whether it was asked in spite of a limit, in vain and not long before, and has not answered since."""
        tries = [c.at for c in self.calls if before - TRIES < c.at < before and not c.answered and self.limit(c)]
        answers = [call.at for call in self.calls if call.answered and call.at < before]
        return max(tries, default=0.0) > max(answers, default=0.0)


def _last(blocks: Iterable[Block]) -> Block | None:
    """The one that ends last, from when it was known first."""
    return max(blocks, key=lambda block: (block.until, -block.known), default=None)


def _opened(calls: Iterable[Call]) -> float:
    """When so many failures in a row were complete, if nothing was answered that was asked since."""
    row, opened = 0, -math.inf
    for call in sorted(calls, key=attrgetter("ended")):
        row = 0 if call.answered else row + call.failed
        if row >= IN_A_ROW:
            opened = call.ended
        elif call.answered and call.at > opened:
            opened = -math.inf
    return opened


@dataclass(frozen=True, slots=True)
class Window:
    """The minute that an account's answers use up: what each costs, in percent, and when it is reset."""

    cost: float
    resets_at: float
    used: float = 0.0

    def at(self, now: float) -> "Window":
        """The window at `now`."""
        if now < self.resets_at:
            return self
        over = MINUTE * (int((now - self.resets_at) // MINUTE) + 1)
        return replace(self, used=0.0, resets_at=self.resets_at + over)


def read_lives(
    entries: Sequence[Entry], weather: Weather, windows: Mapping[str, Window], waited: Mapping[str, float]
) -> dict[str, Life]:
    """The accounts' lives, by label. `windows`: as they were at first; `waited`: by request, how long its host did."""
    lives, slack = {}, _slack(entries, waited)
    for label, window in windows.items():
        mine = [entry for entry in entries if entry.account == label]
        spells = [spell for spell in weather.spells if spell.label == label]
        reader = Reader(spells, window, slack)
        lifts: list[tuple[float, Entry | None]] = [(at, None) for lifted, at in weather.lifts if lifted == label]
        for at, entry in sorted([*((entry.time, entry) for entry in mine), *lifts], key=itemgetter(0)):
            reader.lift(at) if entry is None else reader.read(entry)
        lives[label] = reader.life
        lives[label].struck = list(_struck(label, mine, weather.strikes, spells))
    return lives


def _slack(entries: Sequence[Entry], waited: Mapping[str, float]) -> float:
    """The longest that a request was on its way, of those that were answered at once."""
    calls = Counter(map(_request_of, entries))
    at_once = ((e, name) for e in entries if e.step == "answer" and calls[name := _request_of(e)] == 1)
    return max((waited[name] - _ended_at(entry) + entry.time for entry, name in at_once), default=0.0)


def _request_of(entry: Entry) -> str:
    """The request's name: the first word of its last item."""
    assert isinstance(entry.body, dict)
    return str(entry.body["input"][-1]["content"][0]["text"]).partition(" ")[0]


def _told_at(entry: Entry) -> float:
    """When the head of the answer left, or the connection was broken."""
    return entry.time + (entry.answered_at or entry.finished_at or entry.at) - entry.at


def _ended_at(entry: Entry) -> float:
    return entry.time + (entry.finished_at or entry.at) - entry.at


class Reader:
    """Goes through what happened to an account, in order, and keeps its window as the backend does."""

    def __init__(self, spells: Sequence[Spell], window: Window, slack: float) -> None:
        self.life = Life(slack, enforced=[(spell.begins, spell.ends) for spell in spells])
        self._spells = spells
        self._window = window

    def lift(self, at: float) -> None:
        """All limits are over."""
        self.life.enforced = [(begin, min(end, at) if begin < at else end) for begin, end in self.life.enforced]
        self._window = Window(self._window.cost, math.ceil(at + MINUTE))

    def read(self, entry: Entry) -> None:
        """A request came."""
        self._window = self._window.at(entry.time)
        call = self._call(entry)
        self.life.calls.append(call)
        if call.until is not None:
            self._limited(call, call.until, fills=entry.step != IN_STREAM)
        elif entry.answered_at is not None:
            # The head of any other answer has figures: of a limit that is over, or that this one has used up.
            self._heard(call, _told_at(entry))

    def _call(self, entry: Entry) -> Call:
        return Call(
            _request_of(entry),
            entry.account or "",
            entry.time,
            _ended_at(entry),
            entry.step == "answer" and entry.ending == "finished",
            self._until(entry),
            entry.input_tokens or 0,
            entry.cached_tokens or 0,
        )

    def _until(self, entry: Entry) -> float | None:
        begun = (spell for spell in self._spells if spell.begins <= _told_at(entry))
        latest = max(begun, key=attrgetter("begins"), default=None)
        spell = latest if latest and entry.time < latest.ends + NEAR else None
        if entry.step == IN_STREAM and spell:
            return math.ceil(entry.time + math.ceil(spell.named - spell.begins))
        if entry.step == "usage_limit":
            return self._window.resets_at if spell is None or self._window.used >= 100 else spell.named
        return None

    def _limited(self, call: Call, until: float, *, fills: bool) -> None:
        self.life.blocks.append(Block(call.ended, until, until, until))
        if fills:
            self._window = replace(self._window, used=100.0, resets_at=until)

    def _heard(self, call: Call, told: float) -> None:
        self.life.blocks = [_ended(block, call.at - self.life.grace, told) for block in self.life.blocks]
        was, resets_at = self._window.used, self._window.resets_at
        if call.answered:
            self._window = replace(self._window, used=min(100.0, was + self._window.cost))
        if was < 100 <= self._window.used:
            self.life.enforced.append((call.at, resets_at))
            self.life.blocks.append(Block(told, resets_at, resets_at, resets_at))


def _ended(block: Block, asked: float, told: float) -> Block:
    """The block after an answer that came at `told`, to what was asked at `asked` or later."""
    soonest = min(block.soonest, told) if block.known < told else block.soonest
    latest = min(block.latest, told) if block.known < asked else block.latest
    return replace(block, soonest=soonest, latest=latest)


def _struck(
    label: str, entries: Sequence[Entry], strikes: Sequence[Strike], spells: Sequence[Spell]
) -> Iterator[tuple[float, float]]:
    """While faults waited for their requests. A fault ends with the next one, and with a limit of its account."""
    begins = [*(strike.begins for strike in strikes), *(spell.begins for spell in spells)]
    for strike in strikes:
        if strike.label == label:
            hit = [e.time for e in entries if _told_at(e) >= strike.begins and e.step == strike.step]
            used_up = hit[strike.count - 1] if len(hit) >= strike.count else math.inf
            yield strike.begins, min(used_up, *(at for at in begins if at > strike.begins), math.inf)

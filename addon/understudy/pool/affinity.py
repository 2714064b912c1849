"""Remembers which account a session belongs to: prompt caches and turn state live with one account.

What one process remembers can be merged with what others do. Any order of merging comes to the same: the later use of
a session wins.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from understudy.pool.ledger import EMPTY, Ledger, record
from understudy.wire.usage import Usage

CAPACITY = 512
LIFETIME = 20 * 60.0
"""Seconds since the last use for which a binding is warm; sliding."""
SKEW = 60.0
"""Seconds that a use may lie in the future: whoever wrote it down looked at the clock after us."""
NEWS = 60.0
"""Seconds by which a binding has to be prolonged before it is worth a write."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What is known of one session. `used_at`: its last use, in epoch seconds.

    `account_id`: None where it belongs to no account (any more), and there are only figures of it.
    """

    account_id: str | None
    used_at: float
    ledger: Ledger = EMPTY

    def merged(self, other: "Binding") -> "Binding":
        """The one that was used later, with the figures of both."""
        if self == other:
            return self
        later = max(self, other, key=_lateness)
        return replace(later, ledger=self.ledger.merged(other.ledger))


@dataclass(frozen=True, slots=True)
class Bindings:
    """What processes tell each other: bindings by session, and the generation of the pool that they are good for."""

    generation: int = 0
    sessions: Mapping[str, Binding] = field(default_factory=dict)

    def at(self, generation: int) -> "Bindings":
        """The same without any binding, unless they are of this generation. What sessions have used is kept."""
        if generation == self.generation:
            return self
        kept = {session: replace(b, account_id=None) for session, b in self.sessions.items() if b.ledger.accounts}
        return Bindings(generation, kept)

    def plausible(self, now: float) -> "Bindings":
        """The same, with each use that lies in the future (the clock has been set back since) `SKEW` before `now`: it
        is warm, and whatever is used from now on counts more.
        """
        if all(binding.used_at <= now + SKEW for binding in self.sessions.values()):
            return self
        past = {s: b if b.used_at <= now + SKEW else replace(b, used_at=now - SKEW) for s, b in self.sessions.items()}
        return replace(self, sessions=past)

    def merged(self, other: "Bindings", capacity: int = CAPACITY) -> "Bindings":
        """What either knows, of the same generation; the `capacity` sessions that were used last."""
        merged = dict(self.sessions)
        for session, binding in other.sessions.items():
            known = merged.get(session)
            merged[session] = binding if known is None else known.merged(binding)
        return Bindings(self.generation, _last_used(merged, capacity))

    def is_news_to(self, known: "Bindings", everything: bool = False) -> bool:
        """Whether it is worth telling to whoever knows `known`: that a binding lasts a little longer is not, nor are
        figures alone, unless it is about `everything`.
        """
        if known.generation != self.generation:
            return bool(known.sessions or self.sessions)
        if everything:
            return known.sessions != self.sessions
        return any(_is_news(binding, known.sessions.get(session)) for session, binding in self.sessions.items())


class Affinity:
    """Session key (a hash, never the key itself) to account id; the least recently used go first.

    One thread uses it, but for `changes`, `told` and `hear`, which another one may use meanwhile.
    """

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._generation = 0
        self._sessions: dict[str, Binding] = {}
        self._heard = self._taken = (Bindings(), 0.0)
        """What others told last and when, and what of it is in `_sessions` already."""
        self.changes = 0
        """Counts the changes that were made here, and not heard."""

    def __len__(self) -> int:
        return len(self._known())

    def at(self, generation: int) -> "Affinity":
        """Itself, without any binding of another generation: the user has switched accounts since."""
        if generation != self._generation:
            # In this order, so that `told` never has old bindings under the new generation.
            self._known()
            self._sessions = dict(self._all().at(generation).sessions)
            self._generation = generation
            self.changes += 1
        return self

    def account(self, session: str | None, now: float) -> str | None:
        """The id of the account that `session` is bound to at `now` (epoch seconds), while the binding is warm; reading
        does not prolong it.
        """
        binding = self._binding(session)
        if binding is None:
            return None
        if binding.used_at > now + SKEW:
            self._sessions = dict(self._all().plausible(now).sessions)
        return binding.account_id if now - binding.used_at <= self._lifetime else None

    def owner(self, session: str | None) -> str | None:
        """The id of the account that `session` belonged to last, however long ago, as long as that is remembered."""
        binding = self._binding(session)
        return None if binding is None else binding.account_id

    def ledger(self, session: str | None) -> Ledger:
        """What `session` has used so far. It outlasts the binding."""
        binding = self._binding(session)
        return EMPTY if binding is None else binding.ledger

    def bind(self, session: str | None, account_id: str, now: float) -> None:
        """Binds `session` to the account, or prolongs the binding it has. Requests without a session bind nothing."""
        if session:
            known = self._binding(session)
            self._put(session, Binding(account_id, _after(known, now), EMPTY if known is None else known.ledger))

    def charge(self, session: str | None, account_id: str, usage: Usage, now: float) -> int:
        """Writes down what an answer of the account to `session` has used, and prolongs the binding, whosever it is.

        Gives the tokens that it cost to come from another account, see `ledger.record`.
        """
        if not session:
            return 0
        known = self._binding(session) or Binding(None, now)
        ledger, cost = record(known.ledger, account_id, usage.input_tokens, usage.cached_tokens)
        self._put(session, Binding(known.account_id, _after(known, now), ledger))
        return cost

    def forget_account(self, account_id: str) -> None:
        """Unbinds all sessions of the account, also in what others remember of their uses so far."""
        for session, binding in list(self._known().items()):
            if binding.account_id == account_id:
                self._put(session, replace(binding, account_id=None))

    def told(self, now: float) -> Bindings:
        """All that is remembered here, for others."""
        return self._all().plausible(now)

    def hear(self, told: Bindings, now: float) -> None:
        """Takes in, from the next use on, what others remember: all of it, what was heard before counts no more. What
        is told of another generation waits until it is ours.
        """
        self._heard = (told.plausible(now), now)

    def _all(self) -> Bindings:
        generation = self._generation  # Before its bindings, see `at`.
        return Bindings(generation, self._sessions.copy())

    def _known(self) -> dict[str, Binding]:
        heard = self._heard
        told, now = heard
        if heard is not self._taken and told.generation == self._generation:
            self._taken = heard
            self._sessions = dict(self._all().plausible(now).merged(told, self._capacity).sessions)
        return self._sessions

    def _binding(self, session: str | None) -> Binding | None:
        return self._known().get(session) if session else None

    def _put(self, session: str, binding: Binding) -> None:
        sessions = self._known()
        sessions[session] = binding
        if len(sessions) > self._capacity:
            others = (other for other in sessions if other != session)
            del sessions[min(others, key=lambda other: sessions[other].used_at, default=session)]
        self.changes += 1


def _after(known: Binding | None, now: float) -> float:
    """The time of a use at `now`. It is later than the one before also where the clock has been set back a little."""
    if known is None or known.used_at > now + SKEW:
        return now
    return max(now, math.nextafter(known.used_at, math.inf))


def _lateness(binding: Binding) -> tuple[float, bool, str]:
    # Of two uses at the same time either will do, if only everybody takes the same one. To be unbound is news.
    return binding.used_at, binding.account_id is None, binding.account_id or ""


def _last_used(sessions: dict[str, Binding], capacity: int) -> dict[str, Binding]:
    if len(sessions) <= capacity:
        return sessions
    last = sorted(sessions, key=lambda session: (sessions[session].used_at, session), reverse=True)
    return {session: sessions[session] for session in last[:capacity]}


def _is_news(binding: Binding, known: Binding | None) -> bool:
    if known is None or abs(binding.used_at - known.used_at) >= NEWS:
        return True
    return (known.account_id, _served(known)) != (binding.account_id, _served(binding))


def _served(binding: Binding) -> str | None:
    """The account that has answered last; its own, where nobody has yet."""
    return binding.ledger.last.account_id if binding.ledger.last else binding.account_id

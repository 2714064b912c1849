"""Remembers which account a session belongs to: prompt caches and turn state live with one account."""

from collections import OrderedDict

CAPACITY = 512
LIFETIME = 20 * 60.0
"""Seconds since the last use; sliding."""


class Affinity:
    """Session key (a hash, never the key itself) to account id; the least recently used go first."""

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._bindings: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._generation = 0

    def __len__(self) -> int:
        return len(self._bindings)

    def at(self, generation: int) -> "Affinity":
        """Itself, without any binding of another generation: the user has switched accounts since."""
        if generation != self._generation:
            self._bindings.clear()
            self._generation = generation
        return self

    def account(self, session: str | None, now: float) -> str | None:
        """The id of the account that `session` is bound to at `now` (epoch seconds); reading does not prolong it."""
        binding = self._bindings.get(session) if session else None
        if binding is None or now - binding[1] > self._lifetime:
            return None
        return binding[0]

    def bind(self, session: str | None, account_id: str, now: float) -> None:
        """Binds `session` to the account, or prolongs the binding it has. Requests without a session bind nothing."""
        if session is None:
            return
        self._bindings[session] = (account_id, now)
        self._bindings.move_to_end(session)
        while len(self._bindings) > self._capacity:
            self._bindings.popitem(last=False)

"""What this process knows beyond the pool: which session is whose, how accounts have done, and what is running."""

from collections import Counter
from collections.abc import Iterable

from understudy.pool.account import Account, Lane
from understudy.pool.affinity import Affinity
from understudy.pool.breaker import Breaker
from understudy.pool.budget import RetryBudget
from understudy.pool.choose import Rules
from understudy.pool.pool import Pool
from understudy.pool.session import Isolation, Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import Course
from understudy.pool.vitals import FRESH, Vitals
from understudy.proxy.roster import Roster
from understudy.proxy.turn import Turn
from understudy.wire.request import HostRequest


class Memory:
    """One for the life of the addon. `claims`: by account id, the requests that other processes have running."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self.affinity = Affinity()
        self.unnamed = Affinity()
        """Of sessions that no host names: this process's own, so that they never crowd out those that are named."""
        self.turn_states = Affinity()
        self.breaker = Breaker()
        self.budget = RetryBudget()
        self.course = Course()
        self.vitals: dict[str, Vitals] = {}
        self.claims: Counter[str] = Counter()
        self.probing_elsewhere: frozenset[str] = frozenset()
        """The ids of the accounts that other processes are trying after failures."""
        self.apart: dict[str, set[str]] = {}
        """By account id, the models that count against another limit than the main one."""

    def standings(self, accounts: Iterable[Account]) -> tuple[Standing, ...]:
        """The accounts as the choice sees them."""
        return tuple(map(self.standing, accounts))

    def standing(self, account: Account) -> Standing:
        """An account as the choice sees it."""
        return Standing(
            account,
            self._roster.snapshot(account.id),
            self.vitals.get(account.id, FRESH),
            self.claims[account.id],
            self.breaker.probes(account.id) or account.id in self.probing_elsewhere,
            frozenset(self.apart.get(account.id, ())),
        )

    def sessions(self, request: HostRequest) -> Affinity:
        """Where the session of a request is remembered."""
        return self.affinity if request.named else self.unnamed

    def recognise(self, turn: Turn, pool: Pool, now: float) -> None:
        """Finds out whose session a request is of. `now`: epoch seconds."""
        request = turn.request
        assert request is not None
        bindings = self.sessions(request).at(pool.affinity_generation)
        turn.bound = bindings.account(request.session, now)
        turn.owner = bindings.owner(request.session)
        answered = bindings.ledger(request.session).last
        turn.maker = answered.account_id if answered else None
        turn.turn_owner = self.turn_states.at(pool.affinity_generation).owner(request.turn_state)

    def session(self, turn: Turn, rules: Rules) -> Session:
        """The request as far as the choice is concerned.

        What can be read by one account alone is that one's which has answered last; and a conversation that is kept
        from others is not theirs because the user has switched accounts since. A paid lane keeps none.
        """
        request = turn.request
        assert request is not None
        maker = turn.maker
        isolated = rules.isolation is not Isolation.OFF and not self._is_paid(maker)
        return Session(
            model=request.model,
            turn=turn.turn_owner,
            bound=turn.bound,
            owner=turn.turn_owner or (maker if request.held else None) or turn.owner or (maker if isolated else None),
            served=maker if turn.bound else None,
            held=request.held,
            met=turn.passed_over | turn.late,
        )

    def _is_paid(self, account_id: str | None) -> bool:
        account = self._roster.known(account_id)
        return account is not None and account.lane is Lane.PLATFORM

    def counts_apart(self, account_id: str, model: str, apart: bool) -> None:
        """An answer has shown whether the model counts against another limit than the main one."""
        models = self.apart.setdefault(account_id, set())
        (models.add if apart else models.discard)(model)

    def weigh(self, account_id: str, now: float, health: float, tokens: float) -> None:
        """The account has done well, or not."""
        self.vitals[account_id] = self.vitals.get(account_id, FRESH).after(now, health=health, tokens=tokens)

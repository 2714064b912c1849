"""Chooses the account for an attempt, and says why: `choose(standings, session, now, rules, course)`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from understudy.pool.account import Account, Lane
from understudy.pool.obstacles import COSTS_MONEY, Cause, Obstacle, Why, standing_obstacle
from understudy.pool.pool import Pin
from understudy.pool.session import Isolation, Session, may_move
from understudy.pool.standing import Standing
from understudy.pool.strategies import By, Course, Strategy, pick
from understudy.wire.text import DAY


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user has said about choosing."""

    strategy: Strategy = Strategy.STICKY
    pin: Pin | None = None
    isolation: Isolation = Isolation.OFF
    soft_quota: float = 5.0
    """Percent of the main limit's windows."""
    overflow: bool = False
    """Whether paid lanes may serve where nobody else can."""
    overflow_limit: int = 0
    """Requests a day that a paid lane may carry out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The account for the next attempt, and why this one.

    `passed`: what was in the way of whom, in pool order; of the chosen one, too, where it is a last resort.
    """

    account: Account
    by: By
    passed: tuple[Obstacle, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.account.label} ({self.by.words})"


@dataclass(frozen=True, slots=True)
class Exhausted:
    """No account can serve. One obstacle an account, in pool order; none where the pool is empty."""

    obstacles: tuple[Obstacle, ...]

    @property
    def by_limits(self) -> bool:
        """Every usable account is limited: waiting for a reset helps, and nothing else does."""
        return Cause.LIMIT in self._causes and Cause.TROUBLE not in self._causes

    @property
    def by_entitlement(self) -> bool:
        """No account that could serve another model has this one."""
        return Cause.UNENTITLED in self._causes and not self._causes & {Cause.LIMIT, Cause.TROUBLE}

    @property
    def resets_at(self) -> float | None:
        """The soonest recovery that the backend named (epoch seconds)."""
        return min((o.resets_at for o in self.obstacles if o.resets_at is not None), default=None)

    @property
    def recovers_at(self) -> float | None:
        """The soonest recovery from a limit that is known or guessed (epoch seconds)."""
        ends = (o.until for o in self.obstacles if o.cause is Cause.LIMIT and o.until is not None)
        return min(ends, default=None)

    def words(self, now: float, *, told: bool = False) -> str:
        """`work: usage limit until 14:05; home: disabled`. `now`: epoch seconds. `told`: to a host."""
        named = [o for o in self.obstacles if o.why is not Why.PINNED_AWAY] or self.obstacles
        return "; ".join(f"{o.label}: {o.words(now, told=told)}" for o in named) or "there are no accounts"

    @property
    def _causes(self) -> set[Cause]:
        return {o.cause for o in self.obstacles}


Weighed = tuple[Standing, Obstacle | None]


def choose(
    standings: Sequence[Standing],
    session: Session,
    now: float,
    rules: Rules,
    course: Course,
) -> Choice | Exhausted:
    """The account for the next attempt at `now` (epoch seconds), or why there is none. `standings`: in pool order.

    In this order: the user's pin, the account that alone can read the conversation, the session's own, the strategy's;
    then, where the alternative is to fail, one that failed a moment ago, one that is limited, and a paid lane.
    """
    if rules.pin and standings and not candidates([s.account for s in standings], rules.pin):
        return Exhausted((Obstacle(rules.pin.name, Why.UNKNOWN, "no account is called so"),))
    weighed = weigh(standings, session, now, rules)
    free = [standing for standing, found in weighed if found is None]
    chosen = _own(free, session, rules) or _for_new(free, rules, course, now) or _last_resort(weighed)
    passed = tuple(found for _, found in weighed if found is not None)
    return Exhausted(passed) if chosen is None else Choice(chosen[0].account, chosen[1], passed)


def weigh(standings: Sequence[Standing], session: Session, now: float, rules: Rules) -> list[Weighed]:
    """Each account with what keeps it from serving this request at `now` (epoch seconds), if anything does."""
    owner = next((s.account for s in standings if s.account.id == (session.owner or session.bound)), None)
    return [(s, session.met.get(s.account.id) or obstacle(s, session, owner, rules, now)) for s in standings]


def given_up(standings: Sequence[Standing], session: Session, now: float, rules: Rules) -> Exhausted:
    """What is to be said of a request that has no attempt left, though there may be accounts that it has not met."""
    unasked = "not asked: this request has used up its attempts"
    weighed = weigh(standings, session, now, rules)
    return Exhausted(tuple(o or Obstacle(s.account.label, Why.UNASKED, unasked) for s, o in weighed))


def obstacle(standing: Standing, session: Session, owner: Account | None, rules: Rules, now: float) -> Obstacle | None:
    """What keeps an account from serving this request, or None. `owner`: whose conversation it is.

    What time does not change comes first: to wait for the end of a limit helps only those who may serve after it.
    """
    account = standing.account
    if _is_pinned_away(account, rules.pin):
        return Obstacle(account.label, Why.PINNED_AWAY, "another account is pinned")
    barred = _elsewhere(account, session, owner, rules.isolation) or _unpaid(account, rules, now)
    if barred is not None:
        return barred
    found = standing_obstacle(standing, session.model, now)
    if account.lane is Lane.PLATFORM and (found is None or found.why is Why.COOLING):
        return Obstacle(account.label, Why.PAID, COSTS_MONEY)
    return _probed(found, standing) if found else None


def _elsewhere(account: Account, session: Session, owner: Account | None, isolation: Isolation) -> Obstacle | None:
    """A conversation that this account cannot go on with, or may not. That of an account that is gone stays there."""
    if (session.owner or session.bound) in (None, account.id):
        return None
    whose = owner.label if owner else "an account that is gone"
    if session.held:
        return Obstacle(account.label, Why.HELD, f"only {whose} can read this conversation")
    if not may_move(owner, account, isolation):
        return Obstacle(account.label, Why.ISOLATED, f"the conversation stays with {whose}")
    return None


def _unpaid(account: Account, rules: Rules, now: float) -> Obstacle | None:
    """A paid lane that no request may use. It is never free: at the best it is taken where nobody else is left."""
    if account.lane is Lane.CODEX:
        return None
    if not rules.overflow:
        return Obstacle(account.label, Why.OVERFLOW_OFF, "codex_overflow is off")
    if account.spending.on(int(now // DAY)) >= rules.overflow_limit:
        reason = f"{rules.overflow_limit} paid requests today, which is codex_overflow_limit"
        return Obstacle(account.label, Why.SPENT, reason)
    return None


def _probed(found: Obstacle, standing: Standing) -> Obstacle:
    """A breaker lets one request through at a time; while that is out there is nothing to wait for here."""
    if found.why is Why.BREAKER and standing.probing:
        return Obstacle(found.label, Why.PROBING, "it is being probed after failures")
    return found


def _own(free: Sequence[Standing], session: Session, rules: Rules) -> tuple[Standing, By] | None:
    """The account that the request has already, by the user's will or by what it belongs to."""
    by_id = {standing.account.id: standing for standing in free}
    pinned = next((s for s in free if rules.pin and is_named(s.account, rules.pin.name)), None)
    if pinned is not None:
        return pinned, By.PREFERRED if rules.pin and rules.pin.soft else By.PIN
    named = (
        (session.owner if session.held else None, By.HELD),
        (session.turn, By.TURN),
        (session.bound, By.SESSION),
        # Its cache is warm, too: to go from one stand-in to the next would cost another one.
        (session.served, By.MEANWHILE),
    )
    return next(((by_id[account_id], by) for account_id, by in named if account_id in by_id), None)


def _for_new(free: Sequence[Standing], rules: Rules, course: Course, now: float) -> tuple[Standing, By] | None:
    return pick(rules.strategy, free, course, rules.soft_quota, now) if free else None


def _last_resort(weighed: Sequence[Weighed]) -> tuple[Standing, By] | None:
    """Whoever may be asked where the alternative is to fail; of several the one whose trouble ends first."""
    for may, by in _LAST_RESORTS:
        found = [(o.until or 0.0, s) for s, o in weighed if o and may(o) and _is_for(s.account.lane, by)]
        if found:
            return min(found, key=lambda pair: pair[0])[1], by
    return None


def _is_for(lane: Lane, by: By) -> bool:
    """A paid lane is never asked merely to see whether it works again."""
    return lane is Lane.CODEX or by is By.OVERFLOW


_LAST_RESORTS: tuple[tuple[Callable[[Obstacle], bool], By], ...] = (
    (lambda met: met.why is Why.COOLING, By.COOLING),
    (lambda met: met.why is Why.BREAKER, By.PROBE),
    (lambda met: met.early, By.EARLY),
    (lambda met: met.why is Why.PAID, By.OVERFLOW),
)


def candidates(accounts: Sequence[Account], pin: Pin | None) -> Sequence[Account]:
    """The accounts that may serve at all: the one with a hard pin, else every one."""
    return tuple(account for account in accounts if not _is_pinned_away(account, pin))


def _is_pinned_away(account: Account, pin: Pin | None) -> bool:
    return pin is not None and not pin.soft and not is_named(account, pin.name)


def is_named(account: Account, name: str) -> bool:
    """Whether the user can mean `account` by `name`: its label, our id, or ChatGPT's account id."""
    return name.casefold() == account.label.casefold() or name in (account.id, account.account_id)


def find(accounts: Collection[Account], name: str) -> Account | None:
    """The account that the user calls `name`, or None. A label wins over an id that reads the same."""
    named = [account for account in accounts if is_named(account, name)]
    return next((account for account in named if account.label == name), named[0] if named else None)

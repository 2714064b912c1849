"""Whatever happens, in whatever order: requests are played through the policy beside each other, for hours, while the
user changes the pool, and after each step nothing has been done that must never be done.

What is allowed is said here once more, in the simplest words, and never asked of the code that decides it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from support.logins import NOW
from support.logins import account as login
from understudy.pool import health, lifts
from understudy.pool.account import Account, Block, Ground, Health, Lane
from understudy.pool.breaker import OPEN, Breaker
from understudy.pool.budget import RetryBudget
from understudy.pool.choose import Choice, Exhausted, Rules, choose
from understudy.pool.obstacles import Obstacle, early_try
from understudy.pool.policy import (
    ROWS,
    Deliver,
    Hop,
    Move,
    Stay,
    Tried,
    draws_on_budget,
    next_move,
    obstacle_of,
    spent,
)
from understudy.pool.pool import Pin
from understudy.pool.record import SERVED, block_by_figures, changed, paid, record
from understudy.pool.session import Isolation, Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import By, Course, Strategy
from understudy.pool.vitals import FRESH, Vitals
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.quota import MAIN_LIMIT, Credits, Snapshot, Source, Window

MODELS = ("big", "small")
SESSIONS = ("s1", "s2", "s3")
WARM = 20 * 60.0
QUARTER = 15 * 60.0
RANKS = ("free", By.COOLING, By.PROBE, By.EARLY, By.OVERFLOW)
"""Who is asked before whom."""


@dataclass
class Request:
    """One host's request while it lives. `seed`: of its own random numbers."""

    id: str
    name: str
    model: str
    held: bool
    seed: int
    arrived_at: float
    turn: str | None
    bound: str | None
    owner: str | None
    served: str | None
    choice: Choice | None = None
    sent_at: float = 0.0
    tried: list[Tried] = field(default_factory=list)
    met: dict[str, Obstacle] = field(default_factory=dict)
    last_word: Move | Exhausted | None = None

    @property
    def session(self) -> Session:
        return Session(self.model, self.turn, self.bound, self.owner, self.served, self.held, self.met)


PLANS = ("plus", "pro", "team")
SECONDS = (0.1, 1.0, 7.0, 20.0, 40.0, 300.0, 1000.0, 3600.0, 5 * 3600.0, 2 * 86400.0)
EVENTS = {
    "a_request_comes": 30,
    "an_attempt_ends": 60,
    "time_passes": 15,
    "figures_come": 3,
    "the_user_disables_or_enables": 2,
    "the_user_pins": 1,
    "the_user_logs_in_again": 5,
    "the_user_lifts_the_blocks": 1,
    "the_user_removes_an_account": 0.2,
    "the_user_reorders": 0.5,
}
"""What may happen, and how often."""


class Life:
    """A pool, a proxy, its hosts and their user. One seed is one history."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.now = NOW
        self.pool = {account.id: account for account in map(self.new_account, range(random.randint(1, 6)))}
        overflow_limit = random.randint(0, 2)
        isolation = random.choice([*Isolation, *[Isolation.OFF] * 5])
        self.wishes = Rules(random.choice([*Strategy]), None, isolation, 5.0, overflow_limit > 0, overflow_limit)
        # Some days it is all limits, on others the network is bad: so histories get into every corner.
        kinds = random.sample([*Kind, Kind.USAGE_LIMIT, Kind.SERVER_ERROR, Kind.TRANSPORT], random.randint(1, 2))
        self.weather: list[Kind | None] = [*[None] * random.randint(0, 2), *kinds * 2]
        self.pace = random.sample(SECONDS, 3)
        self.course, self.breaker, self.budget = Course(), Breaker(), RetryBudget()
        self.snapshots: dict[str, Snapshot] = {}
        self.vitals: dict[str, Vitals] = {}
        self.bindings: dict[str, tuple[str, float]] = {}
        self.servers: dict[str, str] = {}
        self.early_tries: dict[str, float] = {}
        self.paid: dict[tuple[str, int], int] = {}
        self.running: list[Request] = []
        self.seen: set[str] = set()

    def new_account(self, number: int) -> Account:
        account = replace(login(str(number)), reserve_percent=self.random.choice([0.0, 0.0, 10.0]))
        if number and self.random.random() < 0.2:
            return replace(account, lane=Lane.PLATFORM, plan="")
        plan = self.random.choice(PLANS)
        return replace(account, plan=plan, account_id="ws-team" if plan == "team" else account.account_id)

    def step(self) -> None:
        [event] = self.random.choices([*EVENTS], [*EVENTS.values()])
        getattr(self, event)()

    # What happens

    def a_request_comes(self) -> None:
        name = self.random.choice(SESSIONS)
        owner, used_at = self.bindings.get(name, (None, 0.0))
        warm = self.now - used_at <= WARM
        request = Request(
            f"r{self.random.random()}",
            name,
            model=self.random.choice(MODELS),
            held=self.random.random() < 0.1,
            seed=self.random.randint(0, 9),
            arrived_at=self.now,
            turn=self.random.choice([*[None] * 9, *self.pool]),
            bound=owner if warm else None,
            owner=owner,
            served=self.servers.get(name) if warm else None,
        )
        self.budget.request(self.now)
        self.running.append(request)
        self.next_account(request)

    def an_attempt_ends(self) -> None:
        if not self.running:
            return
        request = self.random.choice(self.running)
        self.now = max(self.now, request.sent_at) + self.random.choice([0.0, 0.5, 20.0])
        kind, seconds = self.random.choice(self.weather), self.random.choice(self.pace)
        if kind is None:
            self.answered(request)
            return
        self.failed(
            request,
            Outcome(
                kind,
                None,
                kind.code,
                resets_at=self.now + seconds if kind is Kind.USAGE_LIMIT else None,
                authoritative=self.random.random() < 0.5,
                limit_id=self.random.choice([MAIN_LIMIT, "spark"]),
                retry_after=min(seconds, 5.0) if kind in (Kind.SHORT_LIMIT, Kind.SERVER_ERROR) else None,
            ),
        )

    def time_passes(self) -> None:
        self.now += self.random.choice(self.pace)

    def figures_come(self) -> None:
        account, used = self.account(), self.random.choice([0.0, 50.0, 92.0, 96.0, 100.0])
        windows = (
            Window("5h", MAIN_LIMIT, used, 300, self.now + self.random.choice(self.pace)),
            Window("weekly", MAIN_LIMIT, used / 2, 10080, None),
        )
        credits = self.random.choice([None, Credits(True, False, "5")])
        snapshot = Snapshot("plus", windows, credits, self.now, Source.USAGE)
        before = self.snapshots.get(account.id)
        self.snapshots[account.id] = snapshot
        limits = tuple(block for block in account.blocks if block.ground is Ground.LIMIT)
        self.change(account.id, lambda account: lifts.by_figures(account, before, snapshot, self.now), limits)
        full = block_by_figures(snapshot, MAIN_LIMIT, "big", self.now)
        if full is not None:
            self.change(account.id, lambda account: health.block(account, full))

    # What the user does

    def the_user_disables_or_enables(self) -> None:
        enabled = self.random.random() < 0.7
        self.change(self.account().id, lambda account: replace(account, enabled=enabled))

    def the_user_pins(self) -> None:
        pin = Pin(self.account().id, soft=self.random.random() < 0.5)
        self.wishes = replace(self.wishes, pin=self.random.choice([None, None, pin]))
        self.bindings.clear()

    def the_user_logs_in_again(self) -> None:
        self.change(self.account().id, lambda account: health.renewed(account, account.tokens, self.now))

    def the_user_lifts_the_blocks(self) -> None:
        account = self.account()
        self.change(account.id, lifts.by_user, account.blocks)

    def the_user_removes_an_account(self) -> None:
        if len(self.pool) > 1:
            del self.pool[self.account().id]

    def the_user_reorders(self) -> None:
        account = self.account()
        self.pool = {account.id: account} | self.pool

    # How the proxy goes on

    def next_account(self, request: Request) -> None:
        standings, session = self.standings(), request.session
        choice = choose(standings, session, self.now, self.wishes, self.course)
        assert choice == choose(standings, session, self.now, self.wishes, self.course)
        self.is_right(request, choice)
        if isinstance(choice, Exhausted):
            self.end(request, choice)
            return
        account = choice.account
        if choice.by is By.EARLY:
            self.change(account.id, lambda a: early_try(a, self.now) or self.refuse("tried a moment ago"))
            self.early_tries[account.id] = self.now
        elif choice.by is By.OVERFLOW:
            day = (account.id, int(self.now // 86400))
            self.paid[day] = self.paid.get(day, 0) + 1
            self.change(account.id, lambda a: paid(a, self.now, self.wishes.overflow_limit) or self.refuse("paid out"))
        elif choice.by is By.PROBE:
            self.breaker.probe(account.id, request.id)
        elif choice.by.is_of_strategy and request.bound is None:
            self.course = self.course.after(account.id, self.now)
        self.send(request, choice, self.now)

    def send(self, request: Request, choice: Choice, at: float) -> None:
        request.choice, request.sent_at = choice, at
        asked = {attempt.account_id for attempt in request.tried} | {choice.account.id}
        assert len(request.tried) < 6, "a seventh call"
        assert len(asked) <= 4, "a fifth account"
        self.seen |= {
            text
            for text, met in (("a sixth call", len(request.tried) == 5), ("a fourth account", len(asked) == 4))
            if met
        }
        assert at - request.arrived_at <= 90, "past the deadline"

    def answered(self, request: Request) -> None:
        assert request.choice is not None
        account_id = request.choice.account.id
        self.weigh(account_id, SERVED.health, SERVED.tokens)
        self.breaker.succeeded(account_id)
        if account_id in self.pool:
            may_go = (b for b in self.pool[account_id].blocks if b.model in ("", request.model))
            self.change(account_id, lambda a: lifts.by_success(a, request.model, request.sent_at), tuple(may_go))
        bound = request.bound if request.bound in self.pool else None
        self.bindings[request.name] = (bound or account_id, self.now)
        self.servers[request.name] = account_id
        self.end(request, Deliver())

    def failed(self, request: Request, outcome: Outcome) -> None:
        assert request.choice is not None
        account_id = request.choice.account.id
        request.tried.append(Tried(account_id, outcome.kind))
        self.seen.add(outcome.kind.name)
        may_retry = not self.breaker.is_outage(self.now) and self.budget.withdraw(self.now)
        move = next_move(outcome, request.tried, Random(request.seed), may_retry=may_retry)
        assert move == next_move(outcome, request.tried, Random(request.seed), may_retry=may_retry)
        assert may_retry or not draws_on_budget(outcome) or isinstance(move, Deliver)
        self.learn(request, outcome, move)
        request.met[account_id] = obstacle_of(account_id, outcome)
        if isinstance(move, Deliver) or spent(request.tried, self.now - request.arrived_at, move):
            self.end(request, move)
        elif isinstance(move, Stay) and self.may_stay(account_id):
            self.send(request, request.choice, self.now + move.delay)
        elif spent(request.tried, self.now - request.arrived_at, Hop()):
            self.end(request, move)
        else:
            self.next_account(request)

    def learn(self, request: Request, outcome: Outcome, move: Move) -> None:
        account_id = request.tried[-1].account_id
        changes = record(outcome, request.model, move, self.now)
        self.weigh(account_id, changes.health, changes.tokens)
        if ROWS[outcome.kind].fails and self.breaker.failed(account_id, self.now):
            opened = Block(self.now + OPEN, "failing", authoritative=False, ground=Ground.BREAKER, since=self.now)
            self.change(account_id, lambda account: health.block(account, opened))
        self.change(account_id, lambda account: changed(account, changes, self.now))

    def may_stay(self, account_id: str) -> bool:
        account = self.pool.get(account_id)
        return account is not None and account.enabled and account.health is Health.OK

    def end(self, request: Request, last_word: Move | Exhausted) -> None:
        request.last_word = last_word
        self.running.remove(request)
        self.breaker.ended(request.id)

    # What must hold

    def is_right(self, request: Request, choice: Choice | Exhausted) -> None:
        ranks = {account.id: self.rank(account, request) for account in self.pool.values()}
        best = min((rank for rank in ranks.values() if rank is not None), default=None)
        self.seen.add("EXHAUSTED" if isinstance(choice, Exhausted) else choice.by)
        if isinstance(choice, Exhausted):
            assert best is None, f"{ranks} could have served: {choice}"
            return
        taken = ranks[choice.account.id]
        assert taken is not None, f"{choice} must not be asked"
        assert taken == best, f"{choice} was asked before its betters: {ranks}"
        if taken:
            assert choice.by is RANKS[taken]
            return
        assert not choice.by.is_last_resort
        self.is_of_the_session(request, choice, [account_id for account_id, rank in ranks.items() if rank == 0])

    def is_of_the_session(self, request: Request, choice: Choice, free: list[str]) -> None:
        pinned = self.wishes.pin.name if self.wishes.pin else None
        wishes = (pinned, request.owner if request.held else None, request.turn, request.bound, request.served)
        wanted = [account_id for account_id in wishes if account_id in free]
        if wanted:
            assert choice.account.id == wanted[0], f"{wanted[0]} could have served: {choice}"

    def rank(self, account: Account, request: Request) -> int | None:
        """The account's place in `RANKS` for the request; None where it must not be asked at all."""
        blocks = [b for b in account.blocks if b.until > self.now and b.model in ("", request.model)]
        grounds = {block.ground for block in blocks}
        if not self.may_ever_serve(account, request) or grounds & {Ground.LOGIN, Ground.ENTITLEMENT}:
            return None
        if account.lane is Lane.PLATFORM:
            so_far = self.paid.get((account.id, int(self.now // 86400)), 0)
            return 4 if so_far < self.wishes.overflow_limit and grounds <= {Ground.COOLING} else None
        if Ground.LIMIT in grounds:
            limits = [block for block in blocks if block.ground is Ground.LIMIT]
            halfway = all(self.now - block.since >= block.until - self.now for block in limits)
            return 3 if halfway and self.now - self.early_tries.get(account.id, 0.0) >= QUARTER else None
        if Ground.BREAKER in grounds:
            return None if self.breaker.probes(account.id) else 2
        return 1 if grounds else 0

    def may_ever_serve(self, account: Account, request: Request) -> bool:
        pin, owner = self.wishes.pin, request.owner
        if not account.enabled or account.health is Health.NEEDS_LOGIN or account.id in request.met:
            return False
        if pin is not None and not pin.soft and pin.name != account.id:
            return False
        if owner not in (None, account.id) and (request.held or not self.are_of_one_kind(owner, account)):
            return False
        return not account.reserve_percent or self.left(account) > account.reserve_percent

    def are_of_one_kind(self, owner_id: str | None, account: Account) -> bool:
        owner = self.pool.get(owner_id or "")
        if self.wishes.isolation is Isolation.OFF:
            return True
        if self.wishes.isolation is Isolation.ACCOUNT or owner is None or Lane.PLATFORM in (owner.lane, account.lane):
            return False
        return "team" not in (owner.plan, account.plan) or owner.account_id == account.account_id

    def left(self, account: Account) -> float:
        snapshot = self.snapshots.get(account.id)
        if snapshot is None:
            return 100.0
        ends = [(w, snapshot.updated_at + 7200 if w.resets_at is None else w.resets_at) for w in snapshot.windows]
        return 100.0 - max((w.used_percent for w, end in ends if self.now < end), default=0.0)

    def change(self, account_id: str, change: Callable[[Account], Account], may_go: tuple[Block, ...] = ()) -> None:
        """Changes an account, if it is still there. No block shrinks but those that may go."""
        if account_id not in self.pool:
            return
        before, after = self.pool[account_id], change(self.pool[account_id])
        for old in before.blocks:
            alike = [new for new in after.blocks if (new.ground, new.model) == (old.ground, old.model)]
            assert len(alike) <= 1
            kept = alike and alike[0].until >= old.until
            assert kept or old.until <= self.now or old in may_go, f"{old} has become {alike}"
        if may_go and all(block.tried_at is None for block in after.blocks):
            self.early_tries.pop(account_id, None)  # What was tried is over: the next limit is another one.
        self.pool[account_id] = after

    # Helpers

    def account(self) -> Account:
        return self.random.choice([*self.pool.values()])

    def standings(self) -> list[Standing]:
        return [
            Standing(a, self.snapshots.get(a.id), self.vitals.get(a.id, FRESH), 0, self.breaker.probes(a.id))
            for a in self.pool.values()
        ]

    def weigh(self, account_id: str, points: float, tokens: float) -> None:
        self.vitals[account_id] = self.vitals.get(account_id, FRESH).after(self.now, health=points, tokens=tokens)

    def refuse(self, why: str) -> Account:
        raise AssertionError(why)


HISTORIES = settings(max_examples=150, deadline=None)
STEPS = 300


@HISTORIES
@given(seed=st.integers(0, 2**32))
def test_nothing_is_ever_done_that_must_not_be_done(seed: int) -> None:
    life = Life(seed)
    for number in range(STEPS):
        note(f"step {number} at {life.now - NOW:.1f} s")
        life.step()


def test_histories_get_into_every_corner() -> None:
    """Or what they prove would be less than it seems."""
    seen: set[str] = set()
    for seed in range(50):
        life = Life(seed)
        for _ in range(STEPS):
            life.step()
        seen |= life.seen
    assert seen >= {*By, *Kind.__members__, "EXHAUSTED", "a fourth account", "a sixth call"}

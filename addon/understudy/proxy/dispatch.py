"""Finds the account for every attempt of a claimed request, and decides what follows from how each ended."""

import asyncio
import logging
import time
from dataclasses import replace
from random import Random

from understudy.pool.account import Account, Lane
from understudy.pool.choose import Choice, Exhausted, Rules, candidates, choose, given_up
from understudy.pool.obstacles import Obstacle, Why, early_try, standing_obstacle
from understudy.pool.policy import (
    MAX_ATTEMPTS,
    Deliver,
    Hop,
    Move,
    Stay,
    code_of,
    draws_on_budget,
    next_move,
    obstacle_of,
    spent,
)
from understudy.pool.record import paid
from understudy.pool.session import Session
from understudy.pool.strategies import By
from understudy.pool.waiting import worth_waiting
from understudy.proxy import refusals, views
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.front import Front
from understudy.proxy.jobs import Jobs
from understudy.proxy.learning import Learner
from understudy.proxy.memory import Memory
from understudy.proxy.options import Settings
from understudy.proxy.preparer import Preparer
from understudy.proxy.roster import Roster
from understudy.proxy.standin import StandIns
from understudy.proxy.together import Together
from understudy.proxy.turn import Attempt, Sent, Turn, Wait
from understudy.state.refresher import LoginServer
from understudy.state.tokens import TokenKeeper
from understudy.wire.endpoints import Op
from understudy.wire.identity import OPENCODE, answer_key
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.reply import Reply, header
from understudy.wire.request import without_reasoning
from understudy.wire.text import clock_time

logger = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds between two looks at the pool while a request waits: limits are lifted early."""
SPREAD = 0.5
"""Seconds over which those that wait for the same reset are spread."""


class Dispatcher:
    """One for the life of the addon; what it decides for a request is written into the request's turn."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        keeper: TokenKeeper,
        memory: Memory,
        jobs: Jobs,
        catalogue: Catalogue,
        random: Random,
    ) -> None:
        self.settings = settings
        self.roster = roster
        self.keeper = keeper
        self.memory = memory
        self.learner = Learner(roster, memory)
        self._preparer = Preparer(settings, roster, keeper, memory, self.rules)
        self._stand_ins = StandIns(settings, roster, catalogue)
        self._catalogue = catalogue
        self._together = Together(roster, lambda: self._serving(Op.CREATE))
        self.front = Front(settings, jobs, catalogue, self._serving, self._together.retell)
        self._random = random

    def apply(self, settings: Settings) -> None:
        """New options, from the next request on."""
        for part in (self, self._preparer, self._stand_ins, self.front):
            part.settings = settings
        self.keeper.server = LoginServer(settings.issuer, settings.route)

    async def end(self) -> None:
        """The process ends: a refresh that is cut off would lose the login, and what was learned is to be kept."""
        await self.keeper.drain()
        await self._catalogue.end()
        await asyncio.to_thread(self.roster.write)
        await asyncio.to_thread(self.front.archive.close)

    def rules(self) -> Rules:
        """How accounts are chosen now: this process's options, and the pool's pin where they name no account."""
        rules = self.settings.rules
        return rules if rules.pin else replace(rules, pin=self.roster.pool().pin)

    def upcoming(self) -> str:
        """What a new session's next request would use, and why; or why there is nobody."""
        now = time.time()
        standings = self.memory.standings(self.roster.accounts())
        choice = choose(standings, Session(), now, self.rules(), self.memory.course)
        if (until := worth_waiting(choice, now, self.settings.wait)) is not None:
            return f"waits until {clock_time(until, now)}"
        return str(choice) if isinstance(choice, Choice) else f"refused ({choice.words(now)})"

    def _serving(self, op: Op) -> list[Account]:
        """The accounts that may serve, in their order; of a usage the one whose it is: that of a new session."""
        may_serve = candidates(self.roster.accounts(), self.rules().pin)
        accounts = [account for account in may_serve if account.enabled and account.lane is Lane.CODEX]
        if op is not Op.USAGE:
            return accounts
        choice = choose(self.memory.standings(accounts), Session(), time.time(), self.rules(), self.memory.course)
        return [choice.account] if isinstance(choice, Choice) else accounts

    # What the stream asks

    async def prepare(self, turn: Turn) -> None:
        """Reads the host's request and finds the account for its first attempt: `turn.next`; or lets the request go.

        Raises RequestRefused, with the reply, where the request cannot be carried out whoever does it.
        """
        if turn.endpoint.op.is_carried:
            self.memory.budget.request(time.monotonic())
        turn.next = await self.front.answer(turn)
        if turn.next is not None:
            return
        assert turn.request is not None
        settings = self.settings
        turn.hold, turn.stall_timeout = settings.hold, settings.stall_timeout
        self._stand_ins.begin(turn)
        self.memory.recognise(turn, self.roster.pool(), time.time())
        if turn.kept and not turn.flow.is_replay and self._is_nobodys(turn):
            turn.released = True
            return
        turn.next = self.front.begin(turn) or await self._next(turn)
        self.write_request(turn)

    def committed(self, turn: Turn) -> None:
        """An attempt's answer goes to the host."""
        self.learner.committed(turn)
        if etag := header(turn.response_headers, "x-models-etag"):
            self._catalogue.seen_etag(turn.sent[-1].attempt.account.id, etag)
        response = turn.flow.response
        if turn.request is not None and turn.request.codex and response is not None:
            self._together.tell(response)

    def finished(self, turn: Turn) -> None:
        """The request has ended, whatever way."""
        self.learner.finished(turn)
        kept = self.front.archive.keep(turn)
        account = turn.sent[-1].attempt.account if turn.sent else None
        if kept and account and account.lane is Lane.CODEX and turn.request and not turn.request.named:
            self.memory.unnamed.bind(answer_key(kept), account.id, time.time())

    async def decide(self, turn: Turn) -> str:
        """Decides what follows an attempt that has ended with nothing delivered: `turn.next`. Gives it in words.

        The flow still shows the attempt that has ended: `write_request` puts the next one into it.
        """
        sent = turn.sent[-1]
        outcome, account = sent.outcome, sent.attempt.account
        assert outcome is not None
        self.learner.counts(sent, outcome)
        move = self._move(turn, outcome)
        self.learner.failed(turn, sent, outcome, move)
        sent.attempt = replace(sent.attempt, body=b"")  # The flow shows it, and every attempt may have another.
        if isinstance(move, Deliver):
            turn.next = await self._last_word(turn, outcome)
            if turn.next is not outcome.reply:
                self._name_refusal(turn)
        else:
            turn.passed_over[account.id] = obstacle_of(account.label, outcome)
            turn.next = await self._follow_up(turn, sent, move)
            self._name_refusal(turn)
        sent.code = code_of(outcome, _made_of(move, turn.next, account))
        return views.in_words(turn.next, account)

    async def look_again(self, turn: Turn) -> None:
        """Decides anew for a request that has waited: limits that it has met may be over, others may have come up."""
        if isinstance(turn.next, Attempt):
            account = self.roster.known(turn.next.account.id)
            if account is not None and self._may_stay(turn, account):
                return
            turn.next = await self._elsewhere(turn)
        else:
            turn.waiting += time.monotonic() - turn.waits_since
            turn.passed_over = {i: met for i, met in turn.passed_over.items() if met.why is not Why.LIMIT}
            turn.next = await self._next(turn)
        self._name_refusal(turn)
        self.write_request(turn)

    def write_request(self, turn: Turn) -> None:
        """Puts the attempt that comes next into the flow, with the placeholder where the token will be."""
        attempt = turn.next
        if not isinstance(attempt, Attempt):
            return
        provider, shown = attempt.provider, turn.flow.request
        shown.data.authority = provider.authority.encode() if shown.is_http2 else b""
        shown.data.method = b"POST"
        shown.data.scheme = provider.scheme.encode()
        shown.data.host, shown.data.port = provider.host, provider.port
        shown.data.path = attempt.path.encode()
        shown.data.content = attempt.body
        shown.data.headers = attempt.head(shown, attempt.placeholder)
        shown.data.trailers = None

    # What follows

    def _move(self, turn: Turn, outcome: Outcome) -> Move:
        may_retry = not self.memory.breaker.is_outage(time.time())
        move = next_move(outcome, turn.tried, self._random, may_retry=may_retry)
        draws = draws_on_budget(outcome) and not isinstance(move, Deliver)
        if draws and not self.memory.budget.withdraw(time.monotonic()):
            return Deliver()
        if isinstance(move, Stay) and move.strip and not self._strip(turn, outcome):
            return Deliver()
        return move

    def _strip(self, turn: Turn, outcome: Outcome) -> bool:
        """Leaves out of the request the reasoning that the backend could not read. Whether there was any."""
        assert turn.request is not None
        body = without_reasoning(turn.request.body, outcome.items)
        if body is not None:
            turn.request = replace(turn.request, body=body)
        return body is not None

    async def _last_word(self, turn: Turn, outcome: Outcome) -> Attempt | Wait | Reply | None:
        """The backend's own, unless there is another model to ask for."""
        if outcome.kind is not Kind.NOT_ENTITLED:
            return outcome.reply
        if len(turn.tried) < MAX_ATTEMPTS and self._stand_ins.fall_back(turn):
            return await self._next(turn)
        return await self._stand_ins.refusal(turn)

    async def _follow_up(self, turn: Turn, sent: Sent, move: Move) -> Attempt | Wait | Reply:
        """The attempt that `move` asks for, if the request may still make one, or the last word."""
        if spent(turn.tried, turn.age(), move):
            if sent.outcome and sent.outcome.kind is Kind.NOT_ENTITLED and not self._stand_ins.has_more(turn):
                return await self._stand_ins.refusal(turn)
            return self._give_up(turn)
        decided = await (self._again(turn, sent, move) if isinstance(move, Stay) else self._next(turn))
        # A refresh on the way may have taken its time.
        if isinstance(decided, Attempt) and spent((), turn.age(), Stay(decided.delay)):
            return self._give_up(turn)
        return decided

    async def _next(self, turn: Turn) -> Attempt | Wait | Reply:
        """An attempt on the account that the pool chooses, a wait for one, or the reply that says why there is none."""
        while True:
            now = time.time()
            if self.memory.breaker.must_wait(turn.flow.id, now):
                turn.told = ()  # No model serves.
                return refusals.challenged()
            choice = self._choose(turn)
            if turn.late and (isinstance(choice, Exhausted) or choice.by.is_last_resort):
                turn.late.clear()  # Nobody else is left: now it is worth the wait.
                continue
            if isinstance(choice, Exhausted):
                if choice.by_entitlement and self._stand_ins.fall_back(turn):
                    continue
                return await self._nobody(turn, choice, now)
            # What is left costs something, or is likely to fail: where somebody will be free soon, it need not be.
            if wait := self._wait(turn, choice, now):
                return wait
            if await self._takes(turn, choice, now) and (made := await self._preparer.attempt(turn, choice)):
                self.memory.breaker.sends(turn.flow.id)
                return made

    def _choose(self, turn: Turn) -> Choice | Exhausted:
        standings, rules = self.memory.standings(self.roster.accounts()), self.rules()
        return choose(standings, self.memory.session(turn, rules), time.time(), rules, self.memory.course)

    async def _takes(self, turn: Turn, choice: Choice, now: float) -> bool:
        """What a choice takes before it may be used. False where another request has it; then that is an obstacle.

        What all processes count by is timed as it is written: another one may have had its turn since `now`.
        """
        account = choice.account
        if choice.by is By.EARLY and not await self.roster.claim(account.id, lambda a: early_try(a, time.time())):
            met = next(met for met in choice.passed if met.label == account.label)
            turn.passed_over[account.id] = replace(met, early=False)
            return False
        if choice.by is By.OVERFLOW:
            return await self._spends(turn, account)
        if choice.by is By.PROBE:
            self.memory.breaker.probe(account.id, turn.flow.id)
        elif choice.by.is_of_strategy and self.roster.known(turn.bound) is None:
            self.memory.course = self.memory.course.after(account.id, now)
        return True

    async def _spends(self, turn: Turn, account: Account) -> bool:
        """Counts a request that costs money. False, and an obstacle, where it may not."""
        limit = self.settings.rules.overflow_limit
        if turn.came is None:
            turn.passed_over[account.id] = Obstacle(account.label, Why.OVERFLOW_OFF, "codex_overflow was off")
            return False
        if not await self.roster.claim(account.id, lambda a: paid(a, time.time(), limit)):
            turn.passed_over[account.id] = Obstacle(account.label, Why.SPENT, "its paid requests of today are used up")
            return False
        logger.warning(
            "understudy: no ChatGPT account can serve: %s carries out a request, and it costs money", account.label
        )
        return True

    def _is_nobodys(self, turn: Turn) -> bool:
        """Whether no account may use the model of a request, as far as is known, nor any that could stand in."""
        assert turn.request is not None
        models, asked = self.settings.models, turn.asked
        return models.passes_through(asked) or (
            not models.fallbacks(asked)
            and isinstance(choice := self._choose(turn), Exhausted)
            and choice.by_entitlement
        )

    async def _nobody(self, turn: Turn, exhausted: Exhausted, now: float) -> Wait | Reply:
        """No account can serve: the host waits where it is worth it, or hears why."""
        assert turn.request is not None
        if exhausted.by_entitlement:
            return await self._stand_ins.refusal(turn)
        return self._wait(turn, exhausted, now) or self._refused(turn, exhausted, now)

    def _wait(self, turn: Turn, found: Choice | Exhausted, now: float) -> Wait | None:
        """A wait for the first limit to end, where that is worth it and the user wants to wait for so long."""
        ends = worth_waiting(found, now, self.settings.wait - turn.waiting)
        if ends is None:
            return None
        turn.waits_since = time.monotonic()
        return Wait(min(LOOK_AGAIN, max(0.0, ends - now) + self._random.uniform(0, SPREAD)))

    async def _again(self, turn: Turn, sent: Sent, move: Stay) -> Attempt | Wait | Reply:
        """Another attempt on the same account, or on the next where this one has no token to offer any more."""
        renewing = sent.attempt.token if move.renew else None
        account = self.roster.known(sent.attempt.account.id)
        if account is None or not self._may_stay(turn, account):
            return await self._elsewhere(turn)
        choice = replace(sent.attempt.choice, account=account)
        if choice.by is By.OVERFLOW and not await self._spends(turn, account):
            return await self._elsewhere(turn)
        again = await self._preparer.attempt(turn, choice, delay=move.delay, instead_of=renewing)
        return again or await self._elsewhere(turn)

    async def _elsewhere(self, turn: Turn) -> Attempt | Wait | Reply:
        return self._give_up(turn) if spent(turn.tried, turn.age(), Hop()) else await self._next(turn)

    def _may_stay(self, turn: Turn, account: Account) -> bool:
        """Whether nothing has come up meanwhile that keeps the account from another attempt of this request."""
        assert turn.request is not None
        if account.lane is Lane.PLATFORM and not self.settings.rules.overflow:
            return False
        standing = replace(self.memory.standing(account), snapshot=None)
        met = standing_obstacle(standing, turn.request.model, time.time())
        return (
            met is None
            or met.why in (Why.COOLING, Why.BREAKER)
            or (met.why is Why.LIMIT and turn.sent[-1].attempt.choice.by is By.EARLY)
        )

    # Last words

    def _give_up(self, turn: Turn) -> Wait | Reply:
        """No attempt is left to this request, though there may be accounts that it has not met."""
        now = time.time()
        standings, rules = self.memory.standings(self.roster.accounts()), self.rules()
        left = given_up(standings, self.memory.session(turn, rules), now, rules)
        wait = None if spent(turn.tried, turn.age(), Stay()) else self._wait(turn, left, now)
        return wait or self._refused(turn, left, now)

    def _refused(self, turn: Turn, exhausted: Exhausted, now: float) -> Reply:
        turn.told = ()  # No model serves.
        reply = refusals.no_account(exhausted, now, self._only())
        sleeps = turn.request is not None and turn.request.host_name == OPENCODE
        return refusals.without_long_pause(reply) if sleeps else reply

    def _only(self) -> str:
        """Why no other account may serve, for the host's user; empty where every one may."""
        pin = self.rules().pin
        if pin is None or pin.soft:
            return ""
        return refusals.BY_OPTION if self.settings.rules.pin else refusals.PINNED

    def _name_refusal(self, turn: Turn) -> None:
        if isinstance(turn.next, Reply):
            turn.given_up, turn.refused_as = True, refusals.code_of(turn.next)


def _made_of(move: Move, decided: Attempt | Wait | Reply | None, account: Account) -> Move:
    """What has become of `move`: there may have been no attempt left, or nobody, or another account than meant."""
    if isinstance(decided, Attempt):
        return Stay() if decided.account.id == account.id else Hop()
    return move if isinstance(decided, Wait) else Deliver()

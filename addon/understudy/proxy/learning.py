"""What is learned from a request's attempts: blocks and what ends them, dead logins, quota, whose session it is."""

import logging
import time

from understudy.pool import lifts
from understudy.pool.account import Account, Block, Ground, Lane
from understudy.pool.affinity import LIFETIME
from understudy.pool.breaker import OPEN
from understudy.pool.health import block as with_block
from understudy.pool.obstacles import Cause, standing_obstacle
from understudy.pool.policy import ROWS, Deliver, Move
from understudy.pool.record import SERVED, Changes, block_by_figures, changed, record
from understudy.pool.thresholds import crossings
from understudy.proxy.memory import Memory
from understudy.proxy.roster import Change, Roster
from understudy.proxy.turn import Sent, Turn
from understudy.state.refresher import tell_dead
from understudy.wire import outcome as outcomes
from understudy.wire.answer import Stage, error_of
from understudy.wire.jsontext import loads
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.quota import MAIN_LIMIT, Snapshot, active_limit, from_headers, from_usage_limit, merge
from understudy.wire.request import turn_state_key
from understudy.wire.text import safe_text
from understudy.wire.usage import read_usage

logger = logging.getLogger(__name__)


class Learner:
    """Writes it into the roster, which other processes see, and into this process's memory."""

    def __init__(self, roster: Roster, memory: Memory) -> None:
        self._roster = roster
        self._memory = memory

    def counts(self, sent: Sent, outcome: Outcome) -> None:
        """Counts a failure, before it is decided what follows: it may be the one that makes an outage of it."""
        account_id, now = sent.attempt.account.id, time.time()
        if ROWS[outcome.kind].fails and self._memory.breaker.failed(account_id, now):
            opened = Block(now + OPEN, "failing", authoritative=False, ground=Ground.BREAKER, since=now)
            self._change(account_id, lambda account: with_block(account, opened))

    def failed(self, turn: Turn, sent: Sent, outcome: Outcome, move: Move) -> None:
        """An attempt has ended with nothing delivered, and `move` follows."""
        now = time.time()
        self._roster.used(sent.attempt.account.id, now)
        self._apply(turn, sent, outcome, move, now)
        for snapshot in (_figures_of(turn, outcome, now), *(turn.relay.snapshots if turn.relay else ())):
            self._figures(turn, sent, snapshot)

    def committed(self, turn: Turn) -> None:
        """An attempt's answer goes to the host: its account serves the session."""
        sent, now = turn.sent[-1], time.time()
        account_id = sent.attempt.account.id
        self._roster.used(account_id, now)
        self._figures(turn, sent, from_headers(turn.response_headers, now))
        self._memory.turn_states.bind(turn_state_key(turn.response_headers), account_id, now)
        if turn.relay is None or turn.relay.shown_output:
            self._memory.breaker.succeeded(account_id)
        # What is paid for by the request is nobody's home.
        if turn.request is not None and sent.attempt.account.lane is Lane.CODEX:
            self._memory.sessions(turn.request).bind(turn.request.thread, self._home_of(turn, account_id, now), now)

    def finished(self, turn: Turn) -> None:
        """The request has ended, whatever way."""
        self._memory.breaker.ended(turn.flow.id)
        sent = turn.sent[-1] if turn.sent else None
        if sent is None or sent.outcome is not None or turn.relay is None or turn.request is None:
            return
        now = time.time()
        for snapshot in turn.relay.snapshots:
            self._figures(turn, sent, snapshot)
        outcome = _end_of(turn, now)
        turn.failed_as = _failure_of(turn, outcome)
        if outcome is not None:
            self.counts(sent, outcome)
            self._apply(turn, sent, outcome, Deliver(), now)
        elif turn.relay.shown_output:
            self._served(turn, sent, now)

    def _served(self, turn: Turn, sent: Sent, now: float) -> None:
        assert turn.request is not None and turn.relay is not None
        account_id, model, asked_at = sent.attempt.account.id, turn.request.model, sent.epoch
        self._memory.weigh(account_id, now, SERVED.health, SERVED.tokens)
        self._memory.breaker.succeeded(account_id)
        apart = model in self._memory.apart.get(account_id, ())
        self._change(account_id, lambda account: lifts.by_success(account, model, asked_at, apart=apart))
        usage = read_usage(turn.relay.terminal_event) if turn.relay.terminal_event else None
        if usage is not None:
            turn.usage = usage
            sessions = self._memory.sessions(turn.request)
            turn.move_cost = sessions.charge(turn.request.session, account_id, usage, now)

    def _home_of(self, turn: Turn, account_id: str, now: float) -> str:
        """The account that the session belongs to from now on. One that only passed by another returns, to a cache that
        is warm still; where its own is gone for longer than such a cache lives, it moves for good.
        """
        bound = self._roster.known(turn.bound)
        if bound is None or turn.request is None or turn.request.held:
            return account_id
        met = standing_obstacle(self._memory.standing(bound), turn.request.model, now)
        away = met is not None and (
            met.cause is Cause.UNUSABLE or (met.cause is Cause.LIMIT and (met.until or now) - now > LIFETIME)
        )
        return account_id if away else bound.id

    def _figures(self, turn: Turn, sent: Sent, snapshot: Snapshot | None) -> None:
        """Figures that an answer brought: kept, announced where little is left, and a block where nothing is."""
        if snapshot is None or turn.request is None:
            return
        account_id, asked_at, model = sent.attempt.account.id, sent.epoch, turn.request.model
        before = self._roster.snapshot(account_id)
        self._roster.learn(account_id, snapshot)
        known = merge(before, snapshot)
        for crossing in crossings(before, known):
            words = crossing.words(sent.attempt.account.label, known.updated_at)
            logger.warning("understudy: %s (%s)", words, crossing.code)
        limit_id = snapshot.active_limit or MAIN_LIMIT
        told = any(window.limit_id == limit_id for window in snapshot.windows)
        full = block_by_figures(known, limit_id, model, known.updated_at) if told else None
        if snapshot.active_limit:
            self._memory.counts_apart(account_id, model, limit_id != MAIN_LIMIT)

        def learnt(account: Account) -> Account:
            account = lifts.by_figures(account, before, known, asked_at)
            return with_block(account, full) if full else account

        self._change(account_id, learnt)

    def _apply(self, turn: Turn, sent: Sent, outcome: Outcome, move: Move, now: float) -> None:
        assert turn.request is not None
        account_id, changes = sent.attempt.account.id, record(outcome, turn.request.model, move, now)
        self._memory.weigh(account_id, now, changes.health, changes.tokens)
        if changes.challenged:
            self._memory.breaker.challenged(now)
        if changes.dead:
            self._bury(sent, changes, now)
        elif outcome.kind is Kind.UNAUTHORIZED:
            self._change(account_id, _if_still(sent, lambda account: changed(account, changes, now)))
        elif changes.block is not None:
            self._change(account_id, lambda account: changed(account, changes, now))

    def _bury(self, sent: Sent, changes: Changes, now: float) -> None:
        """The account's login is dead, unless it has a new one: said once, however many requests find it out."""
        account_id = sent.attempt.account.id
        before = self._roster.known(account_id)
        self._change(account_id, _if_still(sent, lambda account: changed(account, changes, now)))
        after = self._roster.known(account_id)
        if before and after and before.health is not after.health:
            tell_dead(after, self._roster.accounts())
            for sessions in (self._memory.affinity, self._memory.unnamed):
                sessions.forget_account(account_id)

    def _change(self, account_id: str, change: Change) -> None:
        """Nothing is written where nothing changes."""
        account = self._roster.known(account_id)
        if account is not None and change(account) != account:
            self._roster.change(account_id, change)


def _if_still(sent: Sent, change: Change) -> Change:
    """`change` for an account that still has the token which the attempt was made with: a new login is not to blame."""
    return lambda account: change(account) if account.tokens.access == sent.attempt.token else account


def _figures_of(turn: Turn, outcome: Outcome, now: float) -> Snapshot | None:
    """What an answer that was not delivered says of the quota: in its head, or else in the body of a 429."""
    if (found := from_headers(turn.response_headers, now)) is not None or outcome.kind is not Kind.USAGE_LIMIT:
        return found
    try:
        body = loads(outcome.reply.body if outcome.reply else b"")
        return from_usage_limit(body, now, active_limit(turn.response_headers))
    except ValueError:
        return None


def _failure_of(turn: Turn, outcome: Outcome | None) -> str:
    """What a committed answer failed in, in our words or the backend's code; empty where it did not."""
    relay = turn.relay
    if relay is None or relay.terminal is not Stage.FAILED or relay.terminal_event is None or turn.broken is not None:
        return ""
    error = error_of(relay.terminal_event)
    return outcome.reason if outcome else safe_text(error.code or error.type or "failed")


def _end_of(turn: Turn, now: float) -> Outcome | None:
    """How a committed answer failed, as far as it says something of the account; None where it did not."""
    relay = turn.relay
    if turn.broken is not None:
        return outcomes.transport(turn.broken)
    if relay is None or relay.terminal is not Stage.FAILED or relay.terminal_event is None:
        return None
    return outcomes.from_failure(relay.terminal_event, turn.response_headers, now, turn.errors)

"""Finds the account for every attempt of a claimed request, and lets the pool learn from how it ended."""

import asyncio
import logging
import time
from dataclasses import replace
from random import Random

from mitmproxy import http

from understudy import __version__
from understudy.oauth.renewal import NeedsLogin, RefreshFailed, RefreshPending
from understudy.pool.account import Account
from understudy.pool.affinity import Affinity
from understudy.pool.budget import RetryBudget
from understudy.pool.choose import Cause, Exhausted, Obstacle, candidates, choose, obstacle
from understudy.pool.health import block as with_block
from understudy.pool.health import needs_login
from understudy.pool.policy import Deliver, Move, Stay, block_for, draws_on_budget, next_move, obstacle_of, spent
from understudy.pool.pool import Pin
from understudy.proxy import refusals
from understudy.proxy.messages import fields
from understudy.proxy.options import Settings
from understudy.proxy.roster import Change, Roster
from understudy.proxy.turn import Attempt, Sent, Turn
from understudy.state.errors import StateError
from understudy.state.refresher import LoginServer, tell_dead
from understudy.state.tokens import PATIENCE, TokenKeeper
from understudy.wire.jsontext import loads
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.quota import Snapshot, from_headers, from_usage_limit
from understudy.wire.relay import RelayOptions
from understudy.wire.reply import Reply
from understudy.wire.request import HostRequest, read_request, upstream_headers
from understudy.wire.secret import Secret

logger = logging.getLogger(__name__)

LARGE_BODY = 512 * 1024
"""Bytes past which a request body is read in a thread, so that other hosts' streams do not wait for it."""


class Dispatcher:
    """One for the life of the addon; what it decides for a request is written into the request's turn."""

    def __init__(self, settings: Settings, roster: Roster, keeper: TokenKeeper, random: Random) -> None:
        self.settings = settings
        self.roster = roster
        self.keeper = keeper
        self._random = random
        self._affinity = Affinity()
        self._budget = RetryBudget()
        self._told: set[tuple[str, str]] = set()

    def apply(self, settings: Settings) -> None:
        """New options, from the next request on."""
        self.settings = settings
        self.keeper.server = LoginServer(settings.issuer, settings.route)

    async def end(self) -> None:
        """The process ends: a refresh that is cut off would lose the login, and what was learned is to be kept."""
        await self.keeper.drain()
        await asyncio.to_thread(self.roster.write)

    async def prepare(self, turn: Turn) -> None:
        """Reads the host's request and finds the account for its first attempt: `turn.next`.

        Raises RequestRefused, with the reply, where the request cannot be carried out whoever does it.
        """
        self._budget.request(time.monotonic())
        request = await self._read(turn.flow)
        if turn.replayed_stream is not None:
            request = replace(request, stream=turn.replayed_stream)
        self._tell_removed(request)
        turn.request = request
        turn.bound = self._bindings().account(request.session, time.monotonic())
        settings = self.settings
        turn.hold, turn.stall_timeout = settings.hold, settings.stall_timeout
        turn.relay_options = RelayOptions(request.stream, request.codex, settings.record, len(request.body))
        turn.next = await self._next(turn)
        self.write_request(turn)

    async def decide(self, turn: Turn) -> str:
        """Decides what follows an attempt that has ended with nothing delivered: `turn.next`. Gives it in words.

        The flow still shows the attempt that has ended: `write_request` puts the next one into it.
        """
        sent = turn.sent[-1]
        outcome, account = sent.outcome, sent.attempt.account
        assert outcome is not None
        move = next_move(outcome, turn.tried, self._random)
        if draws_on_budget(outcome) and not isinstance(move, Deliver) and not self._budget.withdraw(time.monotonic()):
            move = Deliver()
        self._learn(turn, sent, outcome, move)
        if isinstance(move, Deliver):
            turn.next = outcome.reply
        else:
            turn.passed_over[account.id] = obstacle_of(account.label, outcome)
            turn.next = await self._follow_up(turn, sent, move)
            if isinstance(turn.next, Reply):
                turn.given_up, turn.refused_as = True, refusals.code_of(turn.next)
        return _in_words(turn.next, account)

    async def _follow_up(self, turn: Turn, sent: Sent, move: Move) -> Attempt | Reply:
        """The attempt that `move` asks for, if the request may still make one, or the last word."""
        if spent(turn.tried, time.monotonic() - turn.arrived_at, move):
            return self._give_up(turn)
        decided = await (self._again(turn, sent, move) if isinstance(move, Stay) else self._next(turn))
        # A refresh on the way may have taken its time.
        if isinstance(decided, Attempt) and spent((), time.monotonic() - turn.arrived_at, Stay(decided.delay)):
            return self._give_up(turn)
        return decided

    def write_request(self, turn: Turn) -> None:
        """Puts the attempt that comes next into the flow, with the placeholder where the token will be."""
        attempt, request = turn.next, turn.request
        if not isinstance(attempt, Attempt) or request is None:
            return
        provider, shown = attempt.provider, turn.flow.request
        shown.data.authority = provider.authority.encode() if shown.is_http2 else b""
        shown.data.method = b"POST"
        shown.data.scheme = provider.scheme.encode()
        shown.data.host, shown.data.port = provider.host, provider.port
        shown.data.path = provider.responses_path.encode()
        shown.data.content = request.body
        shown.data.headers = attempt.head(shown, attempt.placeholder)
        shown.data.trailers = None

    def committed(self, turn: Turn) -> None:
        """An attempt's answer goes to the host: its account serves the session."""
        sent, request = turn.sent[-1], turn.request
        if request is None or request.session is None:
            return
        account_id = sent.attempt.account.id
        bound = self._known(turn.bound)
        # A session that only passed by stays bound; one whose account is limited or gone moves for good.
        if bound is not None and ((met := obstacle(bound, time.time())) is None or met.cause is Cause.TROUBLE):
            account_id = bound.id
        self._bindings().bind(request.session, account_id, time.monotonic())

    def finished(self, turn: Turn) -> None:
        """The request has ended, whatever way."""
        if turn.sent and turn.sent[-1].outcome is None:
            account_id = turn.sent[-1].attempt.account.id
            self.roster.used(account_id, time.time())
            self.roster.learn(account_id, from_headers(turn.response_headers, time.time()))
            for snapshot in turn.relay.snapshots if turn.relay else ():
                self.roster.learn(account_id, snapshot)

    def pin(self) -> Pin | None:
        """The account that the user wants: this process's option, else what the pool says."""
        return Pin(self.settings.account) if self.settings.account else self.roster.pool().pin

    def _only(self) -> str:
        """Why no other account may serve, for the host's user; empty where every one may."""
        pin = self.pin()
        if pin is None or pin.soft:
            return ""
        return refusals.BY_OPTION if self.settings.account else refusals.PINNED

    def _bindings(self) -> Affinity:
        return self._affinity.at(self.roster.pool().affinity_generation)

    async def _read(self, flow: http.HTTPFlow) -> HostRequest:
        headers, content = fields(flow.request.headers), flow.request.raw_content or b""
        if len(content) > LARGE_BODY:
            return await asyncio.to_thread(read_request, headers, content)
        return read_request(headers, content)

    async def _next(self, turn: Turn) -> Attempt | Reply:
        """An attempt on the account that the pool chooses, or the reply that says why there is none."""
        while True:
            now = time.time()
            choice = choose(
                self.roster.accounts(),
                now,
                bound=turn.bound,
                pin=self.pin(),
                passed_over=turn.passed_over | turn.late,
            )
            if isinstance(choice, Exhausted) and turn.late:
                turn.late.clear()  # Nobody else is left: now it is worth the wait.
                continue
            if isinstance(choice, Exhausted):
                return refusals.no_account(choice, now, self._only())
            attempt = await self._attempt(turn, choice)
            if attempt is not None:
                return attempt

    async def _again(self, turn: Turn, sent: Sent, move: Stay) -> Attempt | Reply:
        """Another attempt on the same account, or on the next where this one has no token to offer any more."""
        renewing = sent.attempt.token if move.renew else None
        account = self._known(sent.attempt.account.id)
        if account is None or obstacle(account, time.time()) is not None:
            return await self._next(turn)
        attempt = await self._attempt(turn, account, delay=move.delay, instead_of=renewing)
        return attempt or await self._next(turn)

    async def _attempt(
        self, turn: Turn, account: Account, *, delay: float = 0.0, instead_of: Secret | None = None
    ) -> Attempt | None:
        """An attempt on `account` with a fresh token; None, and the account passed over, where it has none."""
        assert turn.request is not None
        if instead_of is None and account.tokens.access in turn.refused:
            instead_of = account.tokens.access
        now = time.time()
        usable = instead_of is None and self.keeper.is_fresh(account, now)
        patience = PATIENCE if not usable and self._others_can_serve(turn, account) else None
        try:
            if instead_of is not None:
                account = await self.keeper.renew(account.id, instead_of, now, patience)
            elif not usable:
                account = await self.keeper.fresh(account.id, now, patience)
        except NeedsLogin as error:
            self.roster.stir()
            turn.passed_over[account.id] = Obstacle(account.label, Cause.UNUSABLE, f"needs login ({error.reason})")
            return None
        except RefreshFailed as error:
            met = turn.late if isinstance(error, RefreshPending) else turn.passed_over
            met[account.id] = Obstacle(account.label, Cause.TROUBLE, f"no fresh token ({error.reason})")
            return None
        except StateError as error:
            if patience is None:
                raise
            turn.passed_over[account.id] = Obstacle(account.label, Cause.TROUBLE, f"no fresh token ({error})")
            return None
        headers = upstream_headers(
            turn.request,
            account.account_id,
            fedramp=account.fedramp,
            turn_state=account.id == turn.bound,
            version=__version__,
        )
        return Attempt(account, self.settings.backend, headers, account.tokens.access, delay)

    def _others_can_serve(self, turn: Turn, account: Account) -> bool:
        """Whether another account could carry the request out at once, with the token that it has."""
        now, met = time.time(), turn.passed_over | turn.late | {account.id: None}
        others = (other for other in candidates(self.roster.accounts(), self.pin()) if other.id not in met)
        return any(obstacle(other, now) is None and other.tokens.expires_at > now for other in others)

    def _give_up(self, turn: Turn) -> Reply:
        """No attempt is left to this request, though there may be accounts that it has not met."""
        now = time.time()
        left = {
            account.id: turn.passed_over.get(account.id)
            or obstacle(account, now)
            or Obstacle(account.label, Cause.TROUBLE, "not asked: this request has used up its attempts")
            for account in candidates(self.roster.accounts(), self.pin())
        }
        return refusals.no_account(Exhausted(tuple(left.values())), now, self._only())

    def _learn(self, turn: Turn, sent: Sent, outcome: Outcome, move: Move) -> None:
        """What the pool keeps of an outcome: the snapshot, a block, a login that is dead."""
        account_id, now = sent.attempt.account.id, time.time()
        self.roster.used(account_id, now)
        self.roster.learn(account_id, _snapshot(turn, outcome, now))
        found = block_for(outcome, move, now)
        if outcome.kind is Kind.REVOKED:
            self._bury(sent, outcome.reason, now)
        elif found is not None and outcome.kind is Kind.UNAUTHORIZED:
            self.roster.change(account_id, _if_still(sent, lambda account: with_block(account, found)))
        elif found is not None:
            self.roster.change(account_id, lambda account: with_block(account, found))

    def _bury(self, sent: Sent, reason: str, now: float) -> None:
        """The account's login is dead, unless it has a new one: said once, however many requests find it out."""
        account_id = sent.attempt.account.id
        before = self._known(account_id)
        self.roster.change(account_id, _if_still(sent, lambda account: needs_login(account, reason, now)))
        after = self._known(account_id)
        if before and after and before.health is not after.health:
            tell_dead(after, self.roster.accounts())

    def _known(self, account_id: str | None) -> Account | None:
        return next((account for account in self.roster.accounts() if account.id == account_id), None)

    def _tell_removed(self, request: HostRequest) -> None:
        for name in request.removed:
            if (request.host_name, name) not in self._told and len(self._told) < 1000:
                self._told.add((request.host_name, name))
                logger.info(
                    "understudy: %s sends %s, which this backend does not take: left out", request.host_name, name
                )


def _if_still(sent: Sent, change: Change) -> Change:
    """`change` for an account that still has the token which the attempt was made with: a new login is not to blame."""
    return lambda account: change(account) if account.tokens.access == sent.attempt.token else account


def _snapshot(turn: Turn, outcome: Outcome, now: float) -> Snapshot | None:
    """What an answer that was not delivered says of the quota: in its head, or else in the body of a 429."""
    if (found := from_headers(turn.response_headers, now)) is not None or outcome.kind is not Kind.USAGE_LIMIT:
        return found
    try:
        return from_usage_limit(loads(outcome.reply.body if outcome.reply else b""), now)
    except ValueError:
        return None


def _in_words(decided: Attempt | Reply | None, account: Account) -> str:
    """What follows an attempt, for its line."""
    if not isinstance(decided, Attempt):
        return "given to the host"
    if decided.account.id != account.id:
        return f"replaced by {decided.account.label}"
    return f"tried again after {decided.delay:.1f} s" if decided.delay else "tried again"

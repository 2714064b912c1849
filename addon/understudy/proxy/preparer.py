"""Makes an attempt of a choice: a fresh token of the account, and the request as its provider takes it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from understudy import __version__
from understudy.oauth.renewal import NeedsLogin, RefreshFailed, RefreshPending
from understudy.pool.account import Account, Lane
from understudy.pool.choose import Choice, Rules, choose
from understudy.pool.obstacles import Obstacle, Why
from understudy.proxy.memory import Memory
from understudy.proxy.options import Settings
from understudy.proxy.roster import Roster
from understudy.proxy.turn import Attempt, Turn
from understudy.state.errors import StateError
from understudy.state.tokens import PATIENCE, TokenKeeper
from understudy.wire.provider import Provider
from understudy.wire.request import HostRequest, read_request, upstream_headers, with_model, without_turn_state
from understudy.wire.secret import Secret


class Preparer:
    """`settings` may be set at any time. `rules`: how accounts are chosen now."""

    def __init__(
        self, settings: Settings, roster: Roster, keeper: TokenKeeper, memory: Memory, rules: Callable[[], Rules]
    ) -> None:
        self.settings = settings
        self.keeper = keeper
        self._roster = roster
        self._memory = memory
        self._rules = rules

    async def attempt(
        self, turn: Turn, choice: Choice, *, delay: float = 0.0, instead_of: Secret | None = None
    ) -> Attempt | None:
        """An attempt on the account with a fresh token; None, and the account passed over, where it has none."""
        account = choice.account
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
            self._roster.stir()
            turn.passed_over[account.id] = Obstacle(account.label, Why.NEEDS_LOGIN, f"needs login ({error.reason})")
            return None
        except RefreshFailed as error:
            met = turn.late if isinstance(error, RefreshPending) else turn.passed_over
            met[account.id] = Obstacle(account.label, Why.NO_TOKEN, f"no fresh token ({error.reason})")
            return None
        except StateError as error:
            if patience is None:
                raise
            turn.passed_over[account.id] = Obstacle(account.label, Why.NO_TOKEN, f"no fresh token ({error})")
            return None
        return await self._made(turn, replace(choice, account=account), delay)

    async def _made(self, turn: Turn, choice: Choice, delay: float) -> Attempt:
        account = choice.account
        provider, request = await self._carried_by(turn, account)
        turn_state = account.id == (turn.turn_owner or turn.bound)
        headers = upstream_headers(
            request,
            account.account_id,
            fedramp=account.fedramp,
            turn_state=turn_state,
            version=__version__,
        )
        body = request.body if turn_state or request.turn_state is None else without_turn_state(request.body)
        path = provider.target(request.rules)
        return Attempt(choice, provider, path, headers, account.tokens.access, body, delay)

    async def _carried_by(self, turn: Turn, account: Account) -> tuple[Provider, HostRequest]:
        """The provider of the account, and the request as that one takes it."""
        assert turn.request is not None
        if account.lane is Lane.CODEX:
            return self.settings.backend, turn.request
        assert turn.came is not None
        rules = self.settings.platform.rules_for(turn.endpoint.op)
        request = await asyncio.to_thread(read_request, *turn.came, rules)
        if request.model != turn.request.model:
            request = replace(request, model=turn.request.model, body=with_model(request.body, turn.request.model))
        return self.settings.platform, request

    def _others_can_serve(self, turn: Turn, account: Account) -> bool:
        """Whether another account could carry the request out at once, with the token that it has."""
        now, session = time.time(), self._memory.session(turn, self.settings.rules)
        met = {account.id: Obstacle(account.label, Why.NO_TOKEN, "")}
        lives = [other for other in self._roster.accounts() if other.tokens.expires_at > now]
        others = replace(session, met={**session.met, **met})
        choice = choose(self._memory.standings(lives), others, now, self._rules(), self._memory.course)
        return isinstance(choice, Choice) and not choice.by.is_last_resort

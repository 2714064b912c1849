"""Which model serves: the one that a host asks for, one in its place, or none; and what the host is told of that."""

import logging
import time
from dataclasses import replace

from understudy.pool.choose import candidates
from understudy.pool.obstacles import Why
from understudy.proxy import refusals
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.options import Settings
from understudy.proxy.roster import Roster
from understudy.proxy.turn import Turn
from understudy.wire.outcome import Kind
from understudy.wire.reply import Reply
from understudy.wire.request import with_model
from understudy.wire.text import safe_text

logger = logging.getLogger(__name__)

MODEL_FIELD = "x-understudy-model"
"""Tells the host that another model than the one asked for has answered."""

MOST_TOLD = 1000


class StandIns:
    """The models that stand in for others, as the option `codex_models` has it. `settings` may be set at any time."""

    def __init__(self, settings: Settings, roster: Roster, catalogue: Catalogue) -> None:
        self.settings = settings
        self._roster = roster
        self._catalogue = catalogue
        self._told: set[tuple[str, str, str]] = set()

    def begin(self, turn: Turn) -> None:
        """The model that serves instead of the one asked for, whoever carries it out."""
        assert turn.request is not None
        turn.asked = turn.request.model
        self._serve_as(turn, self.settings.models.alias(turn.asked))

    def fall_back(self, turn: Turn) -> bool:
        """Whether there is another model for the one that no account has; then the request asks for that one."""
        rest = self._rest(turn)
        if not rest:
            return False
        turn.fallen.add(rest[0])
        turn.passed_over = {i: met for i, met in turn.passed_over.items() if met.why is not Why.UNENTITLED}
        self._serve_as(turn, rest[0])
        return True

    def has_more(self, turn: Turn) -> bool:
        """Whether there is another model that this request has not asked for."""
        return bool(self._rest(turn))

    def _rest(self, turn: Turn) -> list[str]:
        return [model for model in self.settings.models.fallbacks(turn.asked) if model not in turn.fallen]

    async def refusal(self, turn: Turn) -> Reply:
        """The backend's words for a model that no account has, and the models that they do have.

        Where others were tried in its place its last words are about them.
        """
        refused = (s.outcome.reply for s in reversed(turn.sent) if s.outcome and s.outcome.kind is Kind.NOT_ENTITLED)
        said = None if turn.fallen else next(refused, None)
        turn.told = ()
        pool = self._roster.pool()
        accounts = candidates(pool.accounts, self.settings.rules.pin or pool.pin)
        models = await self._catalogue.models(accounts, self.settings.backend, self.settings.route, time.time())
        return refusals.unentitled(self.settings.models.alias(turn.asked), models, said)

    def _serve_as(self, turn: Turn, model: str) -> None:
        """Another model than the host has asked for: its body says so, the host is told, and the user, once."""
        request = turn.request
        assert request is not None
        if model == request.model:
            return
        said = (request.host_name, safe_text(turn.asked), model)
        if said not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(said)
            logger.warning("understudy: %s asks for %s: %s serves", *said)
        turn.request = replace(request, model=model, body=with_model(request.body, model))
        turn.told = ((MODEL_FIELD, model),)

"""Earlier answers, for hosts that refer to them, and what becomes of the answers to come."""

import time
import uuid
from pathlib import Path

from understudy.proxy.options import Settings
from understudy.proxy.turn import Turn
from understudy.state.answers.store import Answers, Mode, open_answers
from understudy.wire.answer import Answer
from understudy.wire.endpoints import Op
from understudy.wire.frames import warmed
from understudy.wire.jsontext import loads
from understudy.wire.reply import Reply
from understudy.wire.stored import Latest, Recall, Restored, Stored, as_stored, id_of


class Archive:
    """What this process has kept, as `codex_history` has it; a WebSocket's own memory goes before."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._mode: Mode | None = None
        self.answers: Answers | None = None
        """None where nothing is kept."""
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """Another mode begins with what that one has."""
        if settings.history is self._mode:
            return
        self.close()
        self._mode = settings.history
        self.answers = open_answers(self._folder, settings.history)

    def close(self) -> None:
        """Writes what is not written yet."""
        if self.answers is not None:
            self.answers.close()
            self.answers = None

    def new_memory(self) -> Latest:
        """What a new WebSocket remembers: its latest answer, and all that is kept here."""
        return Latest(lambda: self.answers)

    def recall(self, turn: Turn) -> Recall | None:
        """What the request may refer to."""
        return turn.memory or self.answers

    def keeps(self, turn: Turn, asked: Restored) -> bool:
        """Whether the answer is to be kept: for the host, for its socket, or for its next turn's sake."""
        return turn.memory is not None or self.lists(turn, asked) or self._helps(turn)

    def keep(self, turn: Turn) -> str | None:
        """The answer of a turn is whole: gives the id by which it is kept, or None."""
        answer = turn.relay.kept() if turn.relay is not None and turn.broken is None and not turn.failed_as else None
        if answer is None or turn.restored is None:
            return None
        return self._keep(turn, turn.restored, answer).id

    def warm(self, turn: Turn) -> Reply:
        """The answer to a request that is to be remembered and nothing else (`generate: false`)."""
        assert turn.request is not None and turn.restored is not None
        now = time.time()
        id = f"resp_{uuid.uuid4().hex}"
        body = warmed(id, turn.request.model, int(now))
        self._keep(turn, turn.restored, Answer(f'{{"id":"{id}"}}', ()))
        return Reply(200, (("content-type", "text/event-stream"),), body)

    def _keep(self, turn: Turn, restored: Restored, answer: Answer) -> Stored:
        stored = stored_of(restored, answer, time.time(), listed=self.lists(turn, restored))
        if turn.memory is not None:
            turn.memory.keep(stored, restored.before)
        if self.answers is not None and (stored.listed or self._helps(turn)):
            self.answers.put(stored)
        return stored

    def lists(self, turn: Turn, asked: Restored) -> bool:
        """Whether the host has it stored: the API's default."""
        return self.answers is not None and turn.endpoint.op is Op.CREATE and asked.store

    def _helps(self, turn: Turn) -> bool:
        """Whether the host cannot bring the reasoning back that its next turn needs."""
        return self.answers is not None and turn.endpoint.op is Op.CHAT


def stored_of(restored: Restored, answer: Answer, now: float, *, listed: bool, background: bool = False) -> Stored:
    """An answer with what it was asked. `now`: epoch seconds."""
    previous, conversation = restored.previous, restored.conversation
    response = as_stored(
        answer.response, previous=previous, conversation=conversation, store=listed, background=background
    )
    return Stored(
        id=id_of(loads(answer.response)) or "",
        created_at=now,
        previous=previous,
        conversation=conversation,
        given=restored.given,
        output=answer.output,
        response=response,
        listed=listed,
    )

"""An account that asks the backend's model: its steps, its quota, and what every answer to it says of them."""

import time
from dataclasses import dataclass, replace

from understudy.sandbox.catalogue import etag_of
from understudy.sandbox.intake import Intake, front_headers
from understudy.sandbox.journal import Record
from understudy.sandbox.member import Act, Member
from understudy.sandbox.performance import Pairs, Performance, Scene, complete, stage
from understudy.sandbox.prompts import Call
from understudy.sandbox.replies import Reply
from understudy.sandbox.steps import Answer
from understudy.sandbox.stream import Form
from understudy.sandbox.validate import refusal
from understudy.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Account:
    """An account whose good token came."""

    world: World
    intake: Intake
    member: Member
    access: str

    @property
    def now(self) -> float:
        """The moment: epoch seconds of the clock of the account's servers."""
        return self.member.clock(time.time())

    def refusal(self, call: Call, *, lite: bool) -> Reply | None:
        """Why the backend does not take this request; None where it does."""
        return refusal(call.body, models=self.member.models, lite_header=lite, form=call.form)

    def perform(self, call: Call, record: Record) -> Performance:
        """The answer by the account's next step, unless the request itself is answered with a failure."""
        now, member = self.now, self.member
        refused = self.world.reader(member.prompts.mark).refusal(call.items)
        if refused is not None:
            act = Act(refused, 0, member.quota.at(now))
        elif call.form is Form.PREWARM:
            act = Act(Answer(), 0, member.quota.at(now))
        else:
            act = member.act(call.model, now)
            self.intake.note(record, step=act.step.do)
        return self._stage(act, call, record, now)

    def greet(self, record: Record) -> Performance:
        """The answer to a WebSocket's handshake, by the next step if that is for one."""
        now = self.now
        act = self.member.greet(now)
        if act is None:
            return Performance(200, self._greeting(record))
        self.intake.note(record, step=act.step.do)
        performance = self._stage(act, Call({"model": "", "stream": True}, 0), record, now)
        return replace(performance, headers=self._greeting(record)) if performance.status == 200 else performance

    def decline(self, reply: Reply) -> Performance:
        """A refusal, with the header fields of every answer."""
        return complete(reply, front_headers(self.now))

    def _stage(self, act: Act, call: Call, record: Record, now: float) -> Performance:
        self.world.suffer(act.step, self.access)
        asked = self.member.ask(call, act, now)
        self.intake.note(record, response_id=asked.response_id)
        headers = self._headers(asked.response_id[5:21])
        return stage(act.step, Scene(asked, act.quota, now, act.resets_at, headers, self.member.spec.headers))

    def _greeting(self, record: Record) -> Pairs:
        return self._headers(f"{self.member.prompts.mark}{record.entry.number:08x}")

    def _headers(self, state: str) -> Pairs:
        models = ("x-models-etag", etag_of(self.member.models))
        return (*front_headers(self.now), ("x-codex-turn-state", f"ts-{state}"), models)

"""Answers in the background: begun by a host that does not wait for them, and asked for later, by it or by another."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

from understudy.proxy import refusals
from understudy.proxy.archive import Archive, stored_of
from understudy.proxy.solo import Solo
from understudy.proxy.turn import Follow, Turn
from understudy.wire.background import BackgroundAnswer
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.jsontext import dump_object, members
from understudy.wire.reply import Reply
from understudy.wire.stored import Restored

MOST_RUNNING = 64
KEPT_FOR = 3600.0
"""Seconds for which the events of an answer that has ended can still be followed."""
MOST_KEPT = 64
_OURS = frozenset({"background", "stream", "store", "stream_options"})


@dataclass(slots=True, eq=False)
class Job:
    """One answer in the background."""

    answer: BackgroundAnswer
    restored: Restored = field(repr=False)
    solo: Solo
    streams: bool
    """Whether it was begun as a stream: only then can it be followed."""
    task: "asyncio.Task[None] | None" = None
    ended_at: float | None = None
    """Monotonic seconds."""
    stored: bool = False


class Jobs:
    """Those of this process. What has ended is in the archive as well."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._jobs: dict[str, Job] = {}

    def begin(self, turn: Turn) -> Reply | Follow:
        """Begins the answer that a turn asks for; gives what its host hears at once."""
        request, restored = turn.request, turn.restored
        assert request is not None and restored is not None
        self._forget()
        if self._archive.answers is None:
            return refusals.nothing_kept("background")
        if sum(job.ended_at is None for job in self._jobs.values()) >= MOST_RUNNING:
            return refusals.too_many_jobs(MOST_RUNNING)
        answer = BackgroundAnswer(f"resp_{uuid.uuid4().hex}", request.model, int(time.time()))
        job = Job(answer, restored, Solo(turn.flow, _body(turn.content), answer), request.stream)
        self._jobs[answer.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job))
        return Follow(answer) if request.stream else _reply(answer)

    async def answer(self, endpoint: Endpoint) -> Reply | Follow | None:
        """What a host hears that asks for an answer in the background, or wants it cancelled; None: it is none."""
        job = self._known(endpoint.ids[0]) if endpoint.ids else None
        if endpoint.op is Op.RETRIEVE and "true" in endpoint.parameters.get("stream", []):
            return self._followed(job, endpoint)
        if job is None:
            return None
        if endpoint.op is Op.CANCEL:
            job.answer.cancel()
            await job.solo.cancel()
        elif endpoint.op is Op.DELETE:
            del self._jobs[job.answer.id]
            job.answer.cancel()
            await job.solo.cancel()
            return _deleted(job.answer.id) if job.ended_at is None else None
        elif endpoint.op is not Op.RETRIEVE:
            return None
        return _reply(job.answer)

    async def _run(self, job: Job) -> None:
        await job.solo.run()
        job.ended_at = time.monotonic()
        whole = job.answer.answer()
        if whole is not None and self._archive.answers is not None and job.answer.id in self._jobs:
            stored = stored_of(job.restored, whole, time.time(), listed=True, background=True)
            self._archive.answers.put(stored)
            job.stored = True

    def _known(self, id: str) -> Job | None:
        """What has ended is known as long as it is kept: the user may have wiped that."""
        job = self._jobs.get(id)
        if job is not None and job.stored and (self._archive.answers is None or self._archive.answers.get(id) is None):
            del self._jobs[id]
            return None
        return job

    def _followed(self, job: Job | None, endpoint: Endpoint) -> Reply | Follow:
        if job is None or not job.streams or not job.answer.whole:
            return refusals.not_followable(endpoint.ids[0])
        after = endpoint.parameters.get("starting_after", ["-1"])[-1]
        return Follow(job.answer, int(after) if after.lstrip("-").isdecimal() and len(after) < 16 else -1)

    def _forget(self) -> None:
        """Lets go of what nobody will follow any more."""
        now = time.monotonic()
        ended = sorted((job.ended_at, id) for id, job in self._jobs.items() if job.ended_at is not None)
        for at, (ended_at, id) in enumerate(reversed(ended)):
            if at >= MOST_KEPT or ended_at < now - KEPT_FOR:
                del self._jobs[id]


def _body(content: bytes) -> bytes:
    """The body as it is carried out: as a stream, and kept by us alone."""
    raws = {name: part.raw for name, part in members(content).items() if name not in _OURS}
    return dump_object(raws | {"stream": "true", "store": "false"}).encode()


def _deleted(id: str) -> Reply:
    deleted = {"id": id, "object": "response", "deleted": True}
    return Reply(200, (("content-type", "application/json"),), json.dumps(deleted).encode())


def _reply(answer: BackgroundAnswer) -> Reply:
    return Reply(200, (("content-type", "application/json"),), answer.response)

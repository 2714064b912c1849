"""Answers in the background: begun by a host that does not wait for them, and asked for later, by it or by another."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from understudy.proxy import refusals
from understudy.proxy.archive import Archive, stored_of
from understudy.proxy.solo import Solo
from understudy.proxy.turn import Follow, Turn
from understudy.wire.background import BackgroundAnswer
from understudy.wire.conversations import named, page
from understudy.wire.endpoints import Endpoint, Op
from understudy.wire.jsontext import dump_object, members
from understudy.wire.reply import Headers, Reply
from understudy.wire.stored import Restored, as_stored

MOST_RUNNING = 64
KEPT_FOR = 3600.0
"""Seconds for which the events of an answer that has ended can still be followed."""
MOST_KEPT = 64
MOST_BYTES = 64 * 1024 * 1024
"""How much may be kept of all answers that have ended."""
_OURS = frozenset({"background", "stream", "store", "stream_options"})
_OPS = frozenset({Op.RETRIEVE, Op.DELETE, Op.CANCEL, Op.INPUT_ITEMS})


@dataclass(slots=True, eq=False)
class Job:
    """One answer in the background."""

    answer: BackgroundAnswer
    restored: Restored | None = field(repr=False)
    """What it is made from. None once the answer is in the archive: then that speaks of it."""
    keep: Callable[["Job"], None]
    """Puts the answer into the archive: at its end, before anybody can have heard of that."""
    solo: Solo | None = None
    """Who carries it out. None once it has ended: there is a whole flow in it."""
    task: "asyncio.Task[None] | None" = None
    ended_at: float | None = None
    """Monotonic seconds."""

    @property
    def size(self) -> int:
        """Bytes, about, that are kept of it."""
        restored = self.restored
        asked = len(restored.body) + sum(map(len, restored.own or ())) if restored is not None else 0
        return self.answer.size + asked

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self.answer.head(status, headers)

    def data(self, data: bytes) -> None:
        """More of it."""
        told = self.answer.ended
        self.answer.data(data)
        if self.answer.ended and not told:
            self.keep(self)

    def end(self) -> None:
        """There is no more of it."""
        self.answer.end()

    async def stop(self) -> None:
        """Nobody wants it any more."""
        self.answer.cancel()
        if self.solo is not None:
            await self.solo.cancel()


class Jobs:
    """Those of this process. What has come to its end is in the archive, but for its events."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._jobs: dict[str, Job] = {}

    def begin(self, turn: Turn) -> Reply | Follow:
        """Begins the answer that a turn asks for; gives what its host hears at once."""
        request, restored = turn.request, turn.restored
        assert request is not None and restored is not None
        self._forget()
        if self.archive.answers is None:
            return refusals.nothing_kept("background")
        if not restored.store:
            return refusals.background_is_stored()
        if sum(job.ended_at is None for job in self._jobs.values()) >= MOST_RUNNING:
            return refusals.too_many_jobs(MOST_RUNNING)
        restate = partial(
            as_stored,
            previous=restored.previous,
            conversation=restored.conversation,
            store=True,
            background=True,
            metadata=request.metadata,
        )
        id = f"resp_{uuid.uuid4().hex}"
        answer = BackgroundAnswer(id, request.model, int(time.time()), restate, streams=request.stream)
        self._jobs[id] = job = Job(answer, restored, self._keep)
        job.solo = solo = Solo(turn.flow, _body(turn.content), job)
        job.task = asyncio.get_running_loop().create_task(self._run(job, solo))
        return Follow(answer) if request.stream else _json(answer.response)

    async def answer(self, endpoint: Endpoint) -> Reply | Follow | None:
        """What a host hears that asks for an answer in the background, or wants it cancelled; None: the archive knows,
        if anybody does. Raises RequestRefused for a page of its input that there is not.
        """
        if endpoint.op not in _OPS:
            return None
        self._forget()
        job = self._jobs.get(endpoint.ids[0])
        if endpoint.op is Op.RETRIEVE and "true" in endpoint.parameters.get("stream", []):
            return await self._followed(job, endpoint)
        if job is None:
            return None
        if endpoint.op is Op.DELETE:
            del self._jobs[job.answer.id]
        if (restored := job.restored) is None:
            return None
        if endpoint.op is Op.INPUT_ITEMS:
            return _input_items(job.answer.id, restored, endpoint)
        if endpoint.op is not Op.RETRIEVE:
            await job.stop()
        return _deleted(job.answer.id) if endpoint.op is Op.DELETE else _json(job.answer.response)

    async def _run(self, job: Job, solo: Solo) -> None:
        await solo.run()
        job.solo, job.ended_at = None, time.monotonic()
        self._forget()

    def _keep(self, job: Job) -> None:
        whole, restored, answers = job.answer.take(), job.restored, self.archive.answers
        if whole is None or restored is None or answers is None or job.answer.id not in self._jobs:
            return
        answers.put(stored_of(restored, whole, time.time(), listed=True, background=True))
        job.restored = None

    async def _followed(self, job: Job | None, endpoint: Endpoint) -> Reply | Follow:
        said = endpoint.parameters.get("starting_after", ["-1"])[-1]
        after = int(said) if said.lstrip("-").isdecimal() and len(said) < 16 else -1
        if job is None or not job.answer.tells_all_after(after) or not await self._is_kept(job):
            return refusals.not_followable(endpoint.ids[0])
        return Follow(job.answer, after)

    async def _is_kept(self, job: Job) -> bool:
        """What is in the archive can be followed as long as it is there: the user may have wiped that."""
        answers = self.archive.answers
        if job.restored is not None:
            return True
        return answers is not None and await asyncio.to_thread(answers.get, job.answer.id) is not None

    def _forget(self) -> None:
        """Lets go of what nobody will follow any more, and of what takes up too much: the oldest first."""
        now, room = time.monotonic(), MOST_BYTES
        ended = sorted((job.ended_at, id) for id, job in self._jobs.items() if job.ended_at is not None)
        for at, (ended_at, id) in enumerate(reversed(ended)):
            size = self._jobs[id].size
            if at >= MOST_KEPT or ended_at < now - KEPT_FOR or size > room:
                del self._jobs[id]
            else:
                room -= size


def _body(content: bytes) -> bytes:
    """The body as it is carried out: as a stream, and kept by us alone."""
    raws = {name: part.raw for name, part in members(content).items() if name not in _OURS}
    return dump_object(raws | {"stream": "true", "store": "false"}).encode()


def _input_items(id: str, restored: Restored, endpoint: Endpoint) -> Reply:
    """With the ids that the archive will give them."""
    own = [named(text, id, place) for place, text in enumerate(restored.given)]
    before = [
        named(text, restored.previous or restored.conversation or "", at) for at, text in enumerate(restored.before)
    ]
    return _json(page([*before, *own], endpoint.parameters))


def _deleted(id: str) -> Reply:
    return _json(json.dumps({"id": id, "object": "response", "deleted": True}))


def _json(text: str) -> Reply:
    return Reply(200, (("content-type", "application/json"),), text.encode())

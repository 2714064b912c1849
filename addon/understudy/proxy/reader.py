"""Reads what a host asks for, in whatever dialect, into a Responses request that any account can carry out."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from understudy.proxy.archive import Archive
from understudy.proxy.messages import fields
from understudy.proxy.options import Settings
from understudy.proxy.turn import Turn
from understudy.wire.bulk import Bulk, put_aside
from understudy.wire.chat.request import read_chat
from understudy.wire.chat.voice import ChatVoice
from understudy.wire.endpoints import Op
from understudy.wire.provider import Rules
from understudy.wire.relay import RelayOptions
from understudy.wire.reply import Headers
from understudy.wire.request import HostRequest, decoded, read_request
from understudy.wire.sse import Event
from understudy.wire.stored import Recall, Restored, as_stored, restore
from understudy.wire.voice import Voice

logger = logging.getLogger(__name__)

LARGE_BODY = 512 * 1024
"""Bytes past which a request body is read in a thread, so that other hosts' streams do not wait for it."""
MOST_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `restored`: the Responses request that it was made of, without the long texts in `bulk`."""

    request: HostRequest
    restored: Restored = field(repr=False)
    bulk: Bulk
    voice: Callable[[], Voice] | None = None
    """Tells the answer, where the host speaks another dialect."""

    def content(self) -> bytes:
        """The body of the Responses request, whole: what it referred to is in it."""
        return self.bulk.back_in(self.restored.body)

    def kept(self) -> Restored:
        """What is kept beside the answer: the items are whole. The body is not, which tells little more by then."""
        if not self.bulk.texts:
            return self.restored
        return replace(self.restored, own=tuple(self.bulk.back_in(t.encode()).decode() for t in self.restored.given))


class Reader:
    """`settings` may be set at any time."""

    def __init__(self, settings: Settings, archive: Archive, retell: Callable[[Event], bytes]) -> None:
        """`retell`: how hosts that know the backend's event of the quota are told it."""
        self.settings = settings
        self._archive = archive
        self._retell = retell
        self._told: set[tuple[str, str]] = set()

    async def read(self, turn: Turn) -> HostRequest:
        """Reads the request of a turn, and writes into the turn what its answer will need.

        Raises RequestRefused, with the reply, where it cannot be carried out whoever does it.
        """
        shown = turn.flow.request
        headers, content = fields(shown.headers), shown.raw_content or b""
        rules = self.settings.backend.rules_for(turn.endpoint.op)
        work = partial(read, turn.endpoint.op, headers, content, self._archive.recall(turn), rules)
        reading = await asyncio.to_thread(work) if len(content) > LARGE_BODY else work()
        request = reading.request
        if turn.replayed_stream is not None:
            request = replace(request, stream=turn.replayed_stream)
        # Bodies may be large and answers may take long: what only some requests need, only these have.
        if self.settings.rules.overflow:
            turn.came = (headers, reading.content())
        if request.background:
            turn.content = reading.content()
        keep = self._archive.keeps(turn, reading.restored)
        turn.restored = reading.kept() if keep or request.background else None
        turn.relay_options = RelayOptions(
            request.stream,
            request.codex and reading.voice is None,
            self.settings.record,
            len(request.body),
            voice=reading.voice,
            keep=keep,
            restate=self._restate(turn, reading),
            retell=self._retell,
        )
        self._tell_removed(request)
        return request

    def _restate(self, turn: Turn, reading: Reading) -> Callable[[str], str] | None:
        """What the answer's Responses object says of what the host has asked for and the backend knows nothing of; None
        where the host has asked for nothing of the kind: then every byte goes on as it came.
        """
        asked, request = reading.restored, reading.request
        named = request.store or asked.previous or asked.conversation or request.metadata
        if turn.endpoint.op is not Op.CREATE or not named:
            return None
        return partial(
            as_stored,
            previous=asked.previous,
            conversation=asked.conversation,
            store=self._archive.lists(turn, asked),
            metadata=request.metadata,
        )

    def _tell_removed(self, request: HostRequest) -> None:
        for name in request.removed:
            if (request.host_name, name) not in self._told and len(self._told) < MOST_TOLD:
                self._told.add((request.host_name, name))
                logger.info(
                    "understudy: %s sends %s, which this backend does not take: left out", request.host_name, name
                )


def read(op: Op, headers: Headers, content: bytes, recall: Recall | None, rules: Rules) -> Reading:
    """Reads a body as it came, in whatever coding, for a provider. Raises RequestRefused, and nothing else."""
    content, bulk = put_aside(decoded(headers, content))
    dropped: tuple[str, ...] = ()
    voice = None
    if op is Op.CHAT:
        chat = read_chat(content, recall.reasoning_before if recall else _none)
        content, dropped = chat.body, chat.dropped
        voice = partial(ChatVoice, chat.options, uuid.uuid4().hex, time.time())
    restored = restore(content, recall)
    request = read_request(headers, restored.body, rules, restored.previous)
    whole = replace(request, body=bulk.back_in(request.body), removed=(*dropped, *request.removed))
    return Reading(whole, restored, bulk, voice)


def _none(call_id: str) -> tuple[str, ...]:
    """What is remembered of a tool call where nothing is."""
    return ()

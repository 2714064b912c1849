"""How many copies of a large body are alive: while it is read, and while its answer comes."""

import asyncio
import base64
import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from types import ModuleType

from mitmproxy.test import tflow

from support.desk import Desk, able, limit
from understudy.proxy.turn import Turn

MIB = 1024 * 1024
SIZE = 8 * MIB
IMAGE = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * (SIZE * 3 // 4 // 256)).decode()
TEXT = "lorem ipsum " * (SIZE // 12)
PICTURED = [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}]}]
WORDS = [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}]
UNSTORED: dict[str, object] = {"store": False}


def turn_of(input: object, **more: object) -> Turn:
    flow = tflow.tflow()
    flow.request.method, flow.request.path = "POST", "/v1/responses"
    flow.request.headers.fields = ()
    flow.request.raw_content = json.dumps(
        {"model": "gpt-5", "input": input, "stream": True, **more}, ensure_ascii=False
    ).encode()
    return Turn(flow, time.monotonic())


async def peak(desk: Desk, turn: Turn) -> float:
    """How much is needed at once to prepare the turn, beyond its body as it came, in multiples of that."""
    size = len(turn.flow.request.raw_content or b"")
    tracemalloc.start()
    try:
        await desk.dispatcher.prepare(turn)
        return tracemalloc.get_traced_memory()[1] / size
    finally:
        tracemalloc.stop()


def copies() -> int:
    """The bytes and texts that are alive, as large as half the body or larger, but for this module's own."""
    gc.collect()
    # Some 3.12 hang where the module of asyncio's own C code is looked into; no body hangs on a module.
    held = gc.get_referents(*(thing for thing in gc.get_objects() if not isinstance(thing, ModuleType)))
    # The collector does not follow what holds nothing but texts.
    held += gc.get_referents(*(thing for thing in held if not gc.is_tracked(thing)))
    return len({id(part) for part in held if is_large(part)} - {id(IMAGE), id(TEXT)})


def is_large(thing: object) -> bool:
    return isinstance(thing, bytes | str | bytearray) and sys.getsizeof(thing) > SIZE // 2


async def sent(desk: Desk, turn: Turn) -> None:
    await desk.dispatcher.prepare(turn)
    await asyncio.sleep(0)  # The loop still holds the result that it has just handed over.
    desk.commit(turn)


class TestWhileItIsRead:
    """Beyond the body that came."""

    async def test_images_are_copied_once_into_the_body_that_goes(self, home: Path) -> None:
        assert await peak(Desk(home, (able("work"),)), turn_of(PICTURED, **UNSTORED)) < 1.2

    async def test_a_letter_beyond_ascii_does_not_make_them_wider(self, home: Path) -> None:
        assert await peak(Desk(home, (able("work"),)), turn_of(PICTURED, instructions="\U0001f600", **UNSTORED)) < 1.2

    async def test_an_item_that_has_to_be_changed_does_not_copy_the_others(self, home: Path) -> None:
        told = [{"role": "system", "content": "Be brief."}, *PICTURED]
        assert await peak(Desk(home, (able("work"),)), turn_of(told, **UNSTORED)) < 1.2

    async def test_words_need_room_to_be_read(self, home: Path) -> None:
        assert await peak(Desk(home, (able("work"),)), turn_of(WORDS, **UNSTORED)) < 4.2


class TestWhileItsAnswerComes:
    """In the whole process."""

    async def test_there_is_the_body_that_went(self, home: Path) -> None:
        desk, turn = Desk(home, (able("work"),)), turn_of(PICTURED, **UNSTORED)
        await sent(desk, turn)
        assert copies() == 1

    async def test_words_are_not_kept_either(self, home: Path) -> None:
        desk, turn = Desk(home, (able("work"),)), turn_of(WORDS, **UNSTORED)
        await sent(desk, turn)
        assert copies() == 1

    async def test_an_answer_that_is_to_be_stored_has_its_input_kept_beside_it(self, home: Path) -> None:
        desk, turn = Desk(home, (able("work"),)), turn_of(PICTURED)
        await sent(desk, turn)
        assert copies() == 2

    async def test_attempts_that_failed_have_left_none(self, home: Path) -> None:
        desk = Desk(home, (able("work"), able("home"), able("third")))
        # Each account gets a body of its own: the turn state is left out for it.
        turn = turn_of(PICTURED, client_metadata={"x-codex-turn-state": "of-another-account"}, **UNSTORED)
        await desk.dispatcher.prepare(turn)
        await asyncio.sleep(0)
        for _ in range(2):
            await desk.fail(turn, limit())
            desk.dispatcher.write_request(turn)
        desk.commit(turn)
        assert copies() == 2, "the body that went, and the one that other accounts would get"


async def test_what_is_kept_of_the_input_is_whole(home: Path) -> None:
    desk, turn = Desk(home, (able("work"),)), turn_of(PICTURED)
    await desk.dispatcher.prepare(turn)
    assert turn.restored is not None
    assert [json.loads(text) for text in turn.restored.given] == PICTURED

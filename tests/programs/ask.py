"""A program on the OpenAI Python SDK that asks once, in the way its argument names, and prints what it got as JSON.

One line an event, `{"at": monotonic seconds, "event": {...}}`, then one for the whole response.
"""

import asyncio
import json
import sys
import time
from typing import Any

from openai import APIStatusError, AsyncOpenAI, OpenAI

ASKED: dict[str, Any] = {"model": "gpt-5.5", "input": "What does an understudy do?"}


def tell(event: Any) -> Any:
    print(json.dumps({"at": time.monotonic(), "event": event.to_dict(mode="json")}), flush=True)
    return event


def answer(response: Any) -> None:
    print(json.dumps({"response": response.to_dict(mode="json"), "text": response.output_text}))


def create() -> None:
    answer(OpenAI().responses.create(**ASKED))


def create_stream() -> None:
    with OpenAI().responses.create(**ASKED, stream=True) as events:
        *_, last = (tell(event) for event in events)
    answer(last.response)


def stream() -> None:
    with OpenAI().responses.stream(**ASKED) as events:
        for event in events:
            tell(event)
        answer(events.get_final_response())


async def async_create() -> None:
    async with AsyncOpenAI() as client:
        answer(await client.responses.create(**ASKED))


async def async_create_stream() -> None:
    async with AsyncOpenAI() as client, await client.responses.create(**ASKED, stream=True) as events:
        *_, last = [tell(event) async for event in events]
    answer(last.response)


async def async_stream() -> None:
    async with AsyncOpenAI() as client, client.responses.stream(**ASKED) as events:
        async for event in events:
            tell(event)
        answer(await events.get_final_response())


try:
    way = globals()[sys.argv[1]]()
    if way is not None:
        asyncio.run(way)
except APIStatusError as error:
    print(json.dumps({"status": error.status_code, "error": error.body}))

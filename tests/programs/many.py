"""A program on the OpenAI Python SDK that asks many things at once: `many.py COUNT`. Prints one JSON line an answer."""

import asyncio
import json
import sys

from openai import AsyncOpenAI


async def ask(client: AsyncOpenAI, number: int) -> None:
    key = f"session-{number}"
    if number % 2:
        response = await client.responses.create(model="gpt-5.5", input="hi", prompt_cache_key=key)
    else:
        async with client.responses.stream(model="gpt-5.5", input="hi", prompt_cache_key=key) as events:
            response = await events.get_final_response()
    print(json.dumps({"key": key, "id": response.id, "text": response.output_text}))


async def main() -> None:
    async with AsyncOpenAI(max_retries=0) as client:
        await asyncio.gather(*(ask(client, number) for number in range(int(sys.argv[1]))))


asyncio.run(main())

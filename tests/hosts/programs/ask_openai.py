"""A program on the OpenAI Python SDK: `ask_openai.py WAY PROMPT...` has one conversation and prints the answers."""

import asyncio
import json
import sys
import time

from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

MODEL = "gpt-5.5"
WAY, *PROMPTS = sys.argv[1:]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "get_weather", "description": "The weather in a city.", "parameters": PARAMETERS, "strict": True}
TOOLS = [{"type": "function", **FUNCTION}]
CHAT_TOOLS = [{"type": "function", "function": FUNCTION}]


class Weather(BaseModel):
    city: str
    degrees: int


def get_weather(city):
    return f"sunny in {city}"


def converse(ask):
    """`ask` gives the items that follow those that it is asked with, and prints what is text."""
    items = []
    for prompt in PROMPTS:
        items.append({"role": "user", "content": prompt})
        while True:
            output = ask(items)
            items += output
            calls = [item for item in output if item.type == "function_call"]
            for call in calls:
                weather = get_weather(**json.loads(call.arguments))
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": weather})
            if not calls:
                break


def show(response):
    print(response.output_text, flush=True)
    return response.output


def listen(events):
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        elif event.type == "response.completed":
            print(flush=True)
            return event.response.output
        elif event.type == "response.failed":
            sys.exit(f"\nThe answer failed: {event.response.error.message}")
        elif event.type == "error":
            sys.exit(f"\nThe answer failed: {event}")
    sys.exit("\nThe answer has no end.")


def create():
    client = OpenAI()
    converse(lambda items: show(client.responses.create(model=MODEL, input=items, tools=TOOLS)))


def stream():
    client = OpenAI()
    converse(lambda items: listen(client.responses.create(model=MODEL, input=items, tools=TOOLS, stream=True)))


def helper():
    """By the SDK's helper for streams."""
    client = OpenAI()

    def ask(items):
        with client.responses.stream(model=MODEL, input=items, tools=TOOLS) as events:
            return listen(events)

    converse(ask)


def asynchronous():
    client = AsyncOpenAI()

    async def ask(items):
        return show(await client.responses.create(model=MODEL, input=items, tools=TOOLS))

    with asyncio.Runner() as runner:
        converse(lambda items: runner.run(ask(items)))
        runner.run(client.close())


def previous():
    """The conversation is in the API's care."""
    client, last, known = OpenAI(), None, 0

    def ask(items):
        nonlocal last, known
        response = client.responses.create(model=MODEL, input=items[known:], tools=TOOLS, previous_response_id=last)
        last, known = response.id, len(items) + len(response.output)
        return show(response)

    converse(ask)


def connect():
    """By the asynchronous client: the other has two threads on one TLS connection, and may hang."""
    with asyncio.Runner() as runner:
        connection = runner.run(AsyncOpenAI().responses.connect().enter())

        def events():
            while True:
                yield runner.run(connection.recv())

        def ask(items):
            given = [item if isinstance(item, dict) else item.model_dump(exclude_none=True) for item in items]
            runner.run(connection.response.create(model=MODEL, input=given, tools=TOOLS))
            return listen(events())

        converse(ask)
        runner.run(connection.close())


def parse():
    client = OpenAI()
    for prompt in PROMPTS:
        weather = client.responses.parse(model=MODEL, input=prompt, text_format=Weather).output_parsed
        print(f"{weather.degrees} degrees in {weather.city}", flush=True)


def background():
    client = OpenAI()
    for prompt in PROMPTS:
        response = client.responses.create(model=MODEL, input=prompt, background=True)
        while response.status in ("queued", "in_progress"):
            time.sleep(0.2)
            response = client.responses.retrieve(response.id)
        show(response)


def chat():
    client, messages = OpenAI(), []
    for prompt in PROMPTS:
        messages.append({"role": "user", "content": prompt})
        while True:
            answer = client.chat.completions.create(model=MODEL, messages=messages, tools=CHAT_TOOLS)
            message = answer.choices[0].message
            messages.append(message)
            for call in message.tool_calls or ():
                weather = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": weather})
            if not message.tool_calls:
                break
        print(message.content, flush=True)


def chat_stream():
    client, messages = OpenAI(), []
    for prompt in PROMPTS:
        messages.append({"role": "user", "content": prompt})
        while True:
            with client.chat.completions.stream(model=MODEL, messages=messages, tools=CHAT_TOOLS) as events:
                for event in events:
                    if event.type == "content.delta":
                        print(event.delta, end="", flush=True)
                message = events.get_final_completion().choices[0].message
            messages.append(message)
            for call in message.tool_calls or ():
                weather = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": weather})
            if not message.tool_calls:
                break
        print(flush=True)


globals()[WAY]()

"""A program on the OpenAI Agents SDK: `ask_agents.py WAY PROMPT...` has one conversation and prints the answers."""

import asyncio
import sys

from agents import Agent, Runner, SQLiteSession, function_tool, set_default_openai_responses_transport

WAY, *PROMPTS = sys.argv[1:]


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def main():
    if WAY == "websocket":
        set_default_openai_responses_transport("websocket")
    agent = Agent(name="Prompter", instructions="Be brief.", model="gpt-5.5", tools=[get_weather])
    session = SQLiteSession("a conversation")
    for prompt in PROMPTS:
        if WAY == "stream":
            result = Runner.run_streamed(agent, prompt, session=session)
            async for event in result.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    print(event.data.delta, end="", flush=True)
            print(flush=True)
        else:
            result = await Runner.run(agent, prompt, session=session)
            print(result.final_output, flush=True)


asyncio.run(main())

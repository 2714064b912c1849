"""A program on LangChain: `ask_langchain.py WAY PROMPT...` has one conversation and prints the answers."""

import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

API, _, MANNER = sys.argv[1].partition("_")


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def ask(model, messages):
    if MANNER != "stream":
        answer = model.invoke(messages)
        print(answer.text, flush=True)
        return answer
    answer = None
    for chunk in model.stream(messages):
        print(chunk.text, end="", flush=True)
        answer = chunk if answer is None else answer + chunk
    print(flush=True)
    return answer


model = ChatOpenAI(model="gpt-5.5", use_responses_api=API == "responses").bind_tools([get_weather])
messages = []
for prompt in sys.argv[2:]:
    messages.append(HumanMessage(prompt))
    while True:
        answer = ask(model, messages)
        messages.append(answer)
        calls = answer.tool_calls
        messages += [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in calls]
        if not calls:
            break

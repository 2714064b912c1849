"""LangChain, by both of OpenAI's APIs."""

from hosts.cases import ToolCases
from hosts.sdk import python_host


class TestLangChain(ToolCases):
    """The model with a tool bound to it."""

    hosts = tuple(
        python_host(f"langchain, {way}", "python-langchain", "ask_langchain.py", way)
        for way in ("responses", "responses_stream", "chat", "chat_stream")
    )

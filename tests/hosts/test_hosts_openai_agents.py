"""OpenAI's Agents SDK, which keeps the session and calls the tools by itself."""

from hosts.cases import ToolCases
from hosts.sdk import python_host


class TestAgents(ToolCases):
    """With a session of the SDK's own."""

    hosts = tuple(
        python_host(f"openai-agents, {way}", "python-agents", "ask_agents.py", way)
        for way in ("run", "stream", "websocket")
    )

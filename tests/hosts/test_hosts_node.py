"""OpenAI's SDK for Node, and Vercel's AI SDK, on a Node that goes by the environment's proxy."""

from hosts.cases import ToolCases
from hosts.sdk import node_host


class TestOpenAi(ToolCases):
    """OpenAI's own SDK."""

    hosts = tuple(node_host(f"openai-node, {way}", "ask_openai.mjs", way) for way in ("create", "stream", "chat"))


class TestVercel(ToolCases):
    """Vercel's. Unless it is told `store: false`, it refers to what it thinks is kept at OpenAI."""

    hosts = tuple(
        node_host(f"vercel-ai, {way}", "ask_vercel.mjs", way) for way in ("generate", "stream", "nostore", "chat")
    )

"""What the OpenAI Python SDK makes of a chat completion on stdin, printed as JSON: `chunks` or `completion`.

A stream is added up by the SDK's own helper.
"""

import json
import sys
from typing import Any

from openai import APIError, OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

try:
    import httpx2 as httpx
except ImportError:  # The SDK before version 3.
    import httpx

ASKED: dict[str, Any] = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}


def client(content_type: str) -> OpenAI:
    answer = httpx.Response(200, headers={"content-type": content_type}, content=sys.stdin.buffer.read())
    transport = httpx.MockTransport(lambda request: answer)
    return OpenAI(api_key="sk-none", http_client=httpx.Client(transport=transport), max_retries=0)


def chunks() -> Any:
    state = ChatCompletionStreamState()
    kinds = []
    try:
        for chunk in client("text/event-stream").chat.completions.create(**ASKED, stream=True):
            kinds += [event.type for event in state.handle_chunk(chunk)]
    except APIError as error:
        return {"raised": error.message, "code": error.code, "type": error.type}
    return {"kinds": kinds, "completion": state.get_final_completion().to_dict(mode="json")}


def completion() -> Any:
    return client("application/json").chat.completions.create(**ASKED).to_dict(mode="json")


print(json.dumps({"chunks": chunks, "completion": completion}[sys.argv[1]]()))

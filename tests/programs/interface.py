"""What there is of OpenAI's API, as the OpenAI Python SDK knows it, printed as JSON."""

import contextlib
import inspect
import json
import re
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import openai
from openai import OpenAI
from openai._resource import SyncAPIResource
from openai.types.responses.response_includable import ResponseIncludable
from openai.types.responses.response_input_content_param import ResponseInputContentParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.responses_client_event_param import ResponsesClientEventParam
from openai.types.responses.tool_param import ToolParam

try:
    import httpx2 as httpx
except ImportError:  # The SDK before version 3.
    import httpx

COVERED = ("responses", "chat", "models", "conversations")
OF_EVERY_METHOD = {"extra_headers", "extra_query", "extra_body", "timeout"}

asked: list[httpx.Request] = []


def answer(request: httpx.Request) -> httpx.Response:
    asked.append(request)
    return httpx.Response(200, json={})


client = OpenAI(api_key="sk-none", http_client=httpx.Client(transport=httpx.MockTransport(answer)), max_retries=0)


def resources(owner: object) -> dict[str, SyncAPIResource]:
    names = (name for name in dir(owner) if not name.startswith(("_", "with_")))
    members = {name: getattr(owner, name) for name in names}
    return {name: member for name, member in members.items() if isinstance(member, SyncAPIResource)}


def methods(resource: SyncAPIResource, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in resources(resource).items():
        yield from methods(inner, f"{path}.{name}")
    for name in dir(resource):
        if not name.startswith(("_", "with_")) and inspect.ismethod(member := getattr(resource, name)):
            yield f"{path}.{name}", member


def called(method: Any) -> dict[str, object]:
    """What a method asks for, each of its arguments being its own name; nothing where it is not by plain HTTP."""
    parameters = inspect.signature(method).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty or each.name in ("input", "model")]
    asked.clear()
    with contextlib.suppress(Exception):  # The answer is none that the SDK could read.
        made = method(**{name: f"~{name}" for name in needed})
        if hasattr(made, "__enter__"):
            made.__enter__()
    method_asked, path = (asked[0].method, asked[0].url.path) if asked else ("", "")
    own = [each.name for each in parameters if each.name not in OF_EVERY_METHOD and f"~{each.name}" not in path]
    return {"method": method_asked, "path": re.sub(r"~(\w+)", r"{\1}", path), "parameters": sorted(own)}


def types(of: Any) -> list[str]:
    """The values that `type` may have in the members of a union."""
    hints = [typing.get_type_hints(member)["type"] for member in typing.get_args(of)]
    return sorted({value for hint in hints for value in literals(hint)})


def literals(hint: Any) -> Iterable[str]:
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return inner
    return [value for each in inner for value in literals(each)]


found = [named for name in COVERED for named in methods(getattr(client, name), name)]
told = {
    "version": openai.__version__,
    "resources": sorted(resources(client)),
    "methods": {name: called(method) for name, method in found},
    "items": types(ResponseInputItemParam),
    "parts": types(ResponseInputContentParam),
    "tools": types(ToolParam),
    "include": sorted(typing.get_args(ResponseIncludable)),
    "socket": types(ResponsesClientEventParam),
}
print(json.dumps(told))

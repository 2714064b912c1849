"""What a program's own words make the model do: cues in its last message, the tools' answers, the schema it wants.

A program that knows nothing of scenarios can so be brought to a second turn. `@call NAME {json}` calls a function,
`@custom NAME input` a custom tool, each where the request offers it and has no outputs since; several cues are calls
in parallel. Once there are outputs, the text quotes them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from understudy.sandbox.sample import sample
from understudy.sandbox.steps import DEFAULT_TEXT, ToolCall

CUE = re.compile(r"@(call|custom) +([A-Za-z0-9_.-]+)[ \t]*")
KINDS = {"call": "function", "custom": "custom"}
OUTPUTS = ("function_call_output", "custom_tool_call_output")
COMPACTED = ("compaction", "compaction_summary", "context_compaction")
"""What stands for calls and outputs that were there before."""

Body = Mapping[str, object]


def cued_calls(body: Body) -> tuple[ToolCall, ...]:
    """The calls that the last message of the user asks for, where they have not been made yet."""
    text, outputs = _last_turn(body)
    if outputs:
        return ()
    offered: dict[tuple[str, str], ToolCall] = {(t.kind, t.name): t for t in _offered(_all_tools(body))}
    asked = [(KINDS[match[1]], match[2], text[match.end() :]) for match in CUE.finditer(text)]
    return tuple(
        ToolCall(name, _arguments(kind, rest), tool.kind, tool.namespace)
        for kind, name, rest in asked
        if (tool := offered.get((kind, name))) is not None
    )


def cued_text(body: Body) -> str:
    """What the model says of its own accord: the outputs that its calls have got, or two plain sentences.

    A JSON document where the request wants one.
    """
    text, outputs = _last_turn(body)
    said = f"The tool said: {' | '.join(outputs)}" if outputs and (CUE.search(text) or not text) else DEFAULT_TEXT
    form = body.get("text")
    wanted = form.get("format") if isinstance(form, dict) else None
    match wanted:
        case {"type": "json_schema", "schema": schema}:
            return json.dumps(sample(schema, said))
        case {"type": "json_object"}:
            return "{}"
    return said


def _last_turn(body: Body) -> tuple[str, list[str]]:
    """The user's last message, and the outputs of tools since, in order."""
    items = body.get("input")
    if not isinstance(items, list):
        return str(items), []
    outputs: list[str] = []
    for item in reversed([item for item in items if isinstance(item, dict)]):
        if item.get("type") in OUTPUTS:
            outputs.insert(0, _text(item.get("output")))
        elif item.get("type") in COMPACTED:
            outputs.insert(0, "(compacted)")
        if item.get("role") == "user":
            return _text(item.get("content")), outputs
    return "", outputs


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _arguments(kind: str, rest: str) -> str:
    if kind == "custom":
        return rest.splitlines()[0] if rest else ""
    # OpenCode puts a command line's words in quotes, with a backslash before those within.
    for text in (rest, rest.replace('\\"', '"')):
        try:
            return text[: json.JSONDecoder().raw_decode(text)[1]]
        except ValueError:
            continue
    return "{}"


def _all_tools(body: Body) -> Iterator[object]:
    """Those of the request, and those that come as an item of its input."""
    items = body.get("input")
    holders = [item for item in (items if isinstance(items, list) else ()) if isinstance(item, dict)]
    for holder in (body, *(item for item in holders if item.get("type") == "additional_tools")):
        tools = holder.get("tools")
        yield from tools if isinstance(tools, list) else ()


def _offered(tools: Iterator[object] | Sequence[object], namespace: str = "") -> Iterator[ToolCall]:
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        if tool.get("type") == "namespace":
            yield from _offered(tool.get("tools") or [], str(tool.get("name")))
        elif tool.get("type") == "function":
            yield ToolCall(str(tool.get("name")), namespace=namespace)
        elif tool.get("type") == "custom":
            yield ToolCall(str(tool.get("name")), kind="custom", namespace=namespace)

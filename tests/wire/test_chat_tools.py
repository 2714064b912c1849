"""The tools of a Chat Completions request, as those of Responses."""

import json
from typing import Any

import pytest

from understudy.wire.chat.request import read_chat
from understudy.wire.coding import RequestRefused


def body(**parameters: object) -> dict[str, Any]:
    content = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **parameters}
    value = json.loads(read_chat(json.dumps(content).encode(), lambda call_id: ()).body)
    assert isinstance(value, dict)
    return value


def refused_at(**parameters: object) -> str:
    with pytest.raises(RequestRefused) as refused:
        body(**parameters)
    return str(json.loads(refused.value.reply.body)["error"]["param"])


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "d", "parameters": SCHEMA}


def test_a_function_lies_one_object_less_deep_and_is_not_strict_unless_it_says_so() -> None:
    flat = {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA}
    loose = {"type": "function", "function": WEATHER}
    strict = {"type": "function", "function": WEATHER | {"strict": True}}
    assert body(tools=[loose, strict])["tools"] == [flat | {"strict": False}, flat | {"strict": True}]


def test_a_function_without_parameters_takes_none() -> None:
    assert body(tools=[{"type": "function", "function": {"name": "f", "strict": None}}])["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]


def test_the_grammar_of_a_custom_tool_is_in_its_format() -> None:
    grammar = {"syntax": "lark", "definition": "start: A"}
    custom = {"name": "c", "description": "d", "format": {"type": "grammar", "grammar": grammar}}
    assert body(tools=[{"type": "custom", "custom": custom}])["tools"] == [
        {"type": "custom", "name": "c", "description": "d", "format": {"type": "grammar", **grammar}}
    ]


def test_a_custom_tool_may_take_any_text() -> None:
    free = {"name": "c", "format": {"type": "text"}}
    assert body(tools=[{"type": "custom", "custom": free}])["tools"] == [{"type": "custom", **free}]
    assert body(tools=[{"type": "custom", "custom": {"name": "c"}}])["tools"] == [{"type": "custom", "name": "c"}]


CHOICES: dict[str, tuple[object, object]] = {
    "a word": ("required", "required"),
    "a function": ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
    "a custom tool": ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
    "some that are allowed": (
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    ),
}


@pytest.mark.parametrize(("chosen", "becomes"), CHOICES.values(), ids=CHOICES)
def test_the_choice_of_a_tool_is_the_same_choice(chosen: object, becomes: object) -> None:
    assert body(tool_choice=chosen)["tool_choice"] == becomes


def test_functions_are_tools_that_are_called_one_at_a_time() -> None:
    made = body(functions=[WEATHER], function_call={"name": "weather"}, parallel_tool_calls=True)
    assert made["tools"] == [{"type": "function", **WEATHER, "strict": False}]
    assert made["tool_choice"] == {"type": "function", "name": "weather"}
    assert made["parallel_tool_calls"] is False
    assert body(functions=[WEATHER], function_call="none")["tool_choice"] == "none"


def test_tools_count_before_functions_where_both_are_given() -> None:
    tool = {"type": "function", "function": {"name": "t"}}
    made = body(functions=[WEATHER], function_call="none", tools=[tool], tool_choice="auto")
    assert [given["name"] for given in made["tools"]] == ["t", "weather"]
    assert made["tool_choice"] == "auto"
    assert "parallel_tool_calls" not in made


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "tools that are none": ({"tools": {}}, "tools"),
    "a tool that is none": ({"tools": ["f"]}, "tools[0]"),
    "a tool without a kind": ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
    "a tool of Responses": ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    "a function of Responses": ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].function"),
    "a function without a name": ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    "a choice that is none": ({"tool_choice": 7}, "tool_choice"),
    "a choice of nothing": ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
    "a choice of no kind": ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
    "a function that is none": ({"functions": [7]}, "functions[0]"),
    "a place that is none": (
        {"web_search_options": {"user_location": {"type": "approximate"}}},
        "web_search_options.user_location.approximate",
    ),
}


@pytest.mark.parametrize(("parameters", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_tool_is_refused_with_the_place(parameters: dict[str, object], param: str) -> None:
    assert refused_at(**parameters) == param


def test_the_refusal_says_what_is_supported_as_openai_does() -> None:
    with pytest.raises(RequestRefused) as refused:
        body(tools=[{"type": "mcp"}])
    error = json.loads(refused.value.reply.body)["error"]
    assert error["message"] == "Invalid value: 'mcp'. Supported values are: 'function' and 'custom'."
    assert error["code"] == "invalid_value"

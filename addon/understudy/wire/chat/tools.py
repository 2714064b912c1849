"""The tools of a request: Chat Completions puts what a tool is one object deeper than Responses."""

from collections.abc import Callable

from understudy.wire.chat.refused import given_members, invalid_type, invalid_value, member
from understudy.wire.jsontext import Part, dump_array, dump_object, elements

_NO_PARAMETERS = '{"type":"object","properties":{}}'


def tools(part: Part) -> list[str]:
    """From `tools`. Raises RequestRefused."""
    return [_tool(element, f"tools[{at}]") for at, element in enumerate(_elements(part, "tools"))]


def functions(part: Part) -> list[str]:
    """From `functions`, which `tools` has replaced. Raises RequestRefused."""
    listed = [(element, f"functions[{at}]") for at, element in enumerate(_elements(part, "functions"))]
    return [_function(given_members(element, param), param) for element, param in listed]


def web_search(part: Part) -> list[str]:
    """From `web_search_options`: the tool that does it in Responses. Raises RequestRefused."""
    given = given_members(part, "web_search_options")
    raws = {"type": '"web_search"', **_taken(given, "search_context_size")}
    if "user_location" in given:
        param = "web_search_options.user_location"
        location = given_members(given["user_location"], param)
        place = given_members(member(location, "approximate", param, dict), f"{param}.approximate")
        known = _taken(place, "city", "country", "region", "timezone")
        raws["user_location"] = dump_object({"type": '"approximate"', **known})
    return [dump_object(raws)]


def tool_choice(part: Part) -> str:
    """From `tool_choice`: a word, one tool, or those that are allowed. Raises RequestRefused."""
    if isinstance(part.value, str):
        return part.raw
    given = given_members(part, "tool_choice")
    kind = member(given, "type", "tool_choice").value
    if kind != "allowed_tools":
        return _named(given, "tool_choice")
    param = "tool_choice.allowed_tools"
    allowed = given_members(member(given, "allowed_tools", "tool_choice", dict), param)
    listed = enumerate(elements(member(allowed, "tools", param, list).raw))
    names = [_named(given_members(tool, f"{param}.tools[{at}]"), f"{param}.tools[{at}]") for at, tool in listed]
    return dump_object(
        {"type": '"allowed_tools"', "mode": member(allowed, "mode", param).raw, "tools": dump_array(names)}
    )


def function_choice(part: Part) -> str:
    """From `function_call`, which `tool_choice` has replaced. Raises RequestRefused."""
    if isinstance(part.value, str):
        return part.raw
    name = member(given_members(part, "function_call"), "name", "function_call").raw
    return dump_object({"type": '"function"', "name": name})


def _elements(part: Part, param: str) -> list[Part]:
    if not isinstance(part.value, list):
        raise invalid_type(param, "an array of objects", part.value)
    return elements(part.raw)


def _tool(part: Part, param: str) -> str:
    kind, inner, place = _inner(given_members(part, param), param)
    return _KINDS[kind](inner, place)


def _named(given: dict[str, Part], param: str) -> str:
    kind, inner, place = _inner(given, param)
    return dump_object({"type": f'"{kind}"', "name": member(inner, "name", place).raw})


def _inner(given: dict[str, Part], param: str) -> tuple[str, dict[str, Part], str]:
    """A tool's kind, and the members and the place of the object that says more."""
    kind = str(member(given, "type", param).value)
    if kind not in _KINDS:
        raise invalid_value(f"{param}.type", kind, _KINDS)
    return kind, given_members(member(given, kind, param, dict), f"{param}.{kind}"), f"{param}.{kind}"


def _function(given: dict[str, Part], param: str) -> str:
    """A schema is strict in Chat Completions where that is said, in Responses unless the opposite is."""
    raws = {"type": '"function"', "name": member(given, "name", param).raw, **_taken(given, "description")}
    raws |= {"parameters": _NO_PARAMETERS, "strict": "false"} | _taken(given, "parameters", "strict")
    return dump_object(raws)


def _custom(given: dict[str, Part], param: str) -> str:
    raws = {"type": '"custom"', "name": member(given, "name", param).raw, **_taken(given, "description")}
    if "format" in given:
        raws["format"] = _format(given_members(given["format"], f"{param}.format"), f"{param}.format")
    return dump_object(raws)


def _format(given: dict[str, Part], param: str) -> str:
    kind = member(given, "type", param).raw
    if "grammar" not in given:
        return dump_object({"type": kind})
    grammar = given_members(given["grammar"], f"{param}.grammar")
    return dump_object({"type": kind, **_taken(grammar, "syntax", "definition")})


def _taken(given: dict[str, Part], *names: str) -> dict[str, str]:
    return {name: given[name].raw for name in names if name in given}


_KINDS: dict[str, Callable[[dict[str, Part], str], str]] = {"function": _function, "custom": _custom}

"""The messages of a conversation as the items of a Responses request's `input`.

The items of a message depend on it and on those before it alone: a conversation that goes on begins with the same
bytes, which is what the prompt cache goes by.
"""

from collections.abc import Callable

from understudy.wire.chat.parts import BREAKPOINT, has_breakpoint, input_parts, output_parts, refusal_part
from understudy.wire.chat.refused import given_members, invalid_type, invalid_value, member, missing, refused
from understudy.wire.jsontext import Part, dump_array, dump_object, elements

ReasoningBefore = Callable[[str], tuple[str, ...]]
"""The JSON texts of the reasoning items that came before the tool call with this id."""


def read_messages(part: Part, reasoning_before: ReasoningBefore) -> tuple[str, tuple[str, ...]]:
    """The input's JSON text, and what of the messages was left behind. Raises RequestRefused."""
    if not isinstance(part.value, list):
        raise invalid_type("messages", "an array of objects", part.value)
    if not part.value:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise refused(message, "messages", "empty_array")
    conversation = _Conversation(reasoning_before)
    for at, element in enumerate(elements(part.raw)):
        conversation.add(element, f"messages[{at}]")
    return dump_array(conversation.items), tuple(conversation.dropped)


class _Conversation:
    """Takes the messages in their order."""

    def __init__(self, reasoning_before: ReasoningBefore) -> None:
        self.items: list[str] = []
        self.dropped: dict[str, None] = {}
        self._reasoning_before = reasoning_before
        self._reasoning: set[str] = set()
        self._output_types: dict[str, str] = {}
        """What answers the call with this id."""
        self._legacy_calls = 0
        self._latest_call: dict[str, str] = {}
        """The id that was made up for the latest call of the function with this name."""

    def add(self, part: Part, param: str) -> None:
        given = given_members(part, param)
        role = member(given, "role", param).value
        reader = _ROLES.get(str(role))
        if reader is None:
            raise invalid_value(f"{param}.role", role, _ROLES)
        if has_breakpoint(part.value.get("content") if isinstance(part.value, dict) else None):
            self.dropped[f"messages.{BREAKPOINT}"] = None
        if "name" in given and role != "function":
            self.dropped["messages.name"] = None
        reader(self, given, param)

    def input_message(self, given: dict[str, Part], param: str) -> None:
        self._message(given["role"].raw, input_parts(_content(given, param), f"{param}.content"))

    def assistant(self, given: dict[str, Part], param: str) -> None:
        if "audio" in given:
            raise refused("Audio is not served here. Send what was said as text.", f"{param}.audio")
        calls = elements(member(given, "tool_calls", param, list).raw) if "tool_calls" in given else []
        said = output_parts(given["content"], f"{param}.content") if "content" in given else []
        if "refusal" in given:
            said.append(refusal_part(member(given, "refusal", param).raw))
        if said:
            self._message('"assistant"', dump_array(said))
        elif not calls and not given.keys() & {"content", "function_call"}:
            raise missing(f"{param}.content")
        self._tool_calls(calls, f"{param}.tool_calls")
        if "function_call" in given:
            self._legacy_call(given_members(given["function_call"], f"{param}.function_call"), f"{param}.function_call")

    def tool(self, given: dict[str, Part], param: str) -> None:
        call_id = member(given, "tool_call_id", param)
        output_type = self._output_types.get(str(call_id.value))
        if output_type is None:
            message = (
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                "'tool_calls'."
            )
            raise refused(message, f"{param}.tool_call_id")
        self._output(output_type, call_id.raw, given, param)

    def function(self, given: dict[str, Part], param: str) -> None:
        name = str(member(given, "name", param).value)
        if name not in self._latest_call:
            message = (
                "Invalid parameter: messages with role 'function' must be a response to a preceding message with a "
                "'function_call' of that name."
            )
            raise refused(message, f"{param}.name")
        given = {"content": Part("", '""')} | given
        self._output("function_call_output", f'"{self._latest_call[name]}"', given, param)

    def _message(self, role: str, content: str) -> None:
        self.items.append(dump_object({"type": '"message"', "role": role, "content": content}))

    def _output(self, type: str, call_id: str, given: dict[str, Part], param: str) -> None:
        content = _content(given, param)
        output = content.raw if isinstance(content.value, str) else input_parts(content, f"{param}.content")
        self.items.append(dump_object({"type": f'"{type}"', "call_id": call_id, "output": output}))

    def _tool_calls(self, calls: list[Part], param: str) -> None:
        items = [self._tool_call(call, f"{param}[{at}]") for at, call in enumerate(calls)]
        for call in calls:
            self._reason(str(call.value["id"]) if isinstance(call.value, dict) else "")
        self.items += items

    def _reason(self, call_id: str) -> None:
        """What was thought before the call: a tool's output is better understood with it."""
        for text in self._reasoning_before(call_id):
            if text not in self._reasoning:
                self._reasoning.add(text)
                self.items.append(text)

    def _tool_call(self, part: Part, param: str) -> str:
        given = given_members(part, param)
        kind = given["type"].value if "type" in given else "function"
        if kind not in _CALLS:
            raise invalid_value(f"{param}.type", kind, _CALLS)
        item_type, argument = _CALLS[str(kind)]
        call_id = member(given, "id", param)
        called = given_members(member(given, str(kind), param, dict), f"{param}.{kind}")
        self._output_types[str(call_id.value)] = f"{item_type}_output"
        return _call(item_type, call_id.raw, called, argument, f"{param}.{kind}")

    def _legacy_call(self, called: dict[str, Part], param: str) -> None:
        call_id = f"call_legacy_{self._legacy_calls}"
        self._legacy_calls += 1
        self.items.append(_call("function_call", f'"{call_id}"', called, "arguments", param))
        self._latest_call[str(called["name"].value)] = call_id


def _call(item_type: str, call_id: str, called: dict[str, Part], argument: str, param: str) -> str:
    name, given = member(called, "name", param).raw, member(called, argument, param).raw
    return dump_object({"type": f'"{item_type}"', "call_id": call_id, "name": name, argument: given})


def _content(given: dict[str, Part], param: str) -> Part:
    if "content" not in given:
        raise missing(f"{param}.content")
    return given["content"]


_CALLS = {"function": ("function_call", "arguments"), "custom": ("custom_tool_call", "input")}
"""The kinds of tool calls: the item that each becomes, and the member with what the tool is called with."""
_ROLES: dict[str, Callable[[_Conversation, dict[str, Part], str], None]] = {
    "system": _Conversation.input_message,
    "developer": _Conversation.input_message,
    "user": _Conversation.input_message,
    "assistant": _Conversation.assistant,
    "tool": _Conversation.tool,
    "function": _Conversation.function,
}

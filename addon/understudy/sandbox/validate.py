"""What the ChatGPT backend refuses, with its status and its words.

Pure: a request in, a refusal out, or None. Where the literal wording is not known, a comment says so.
"""

from collections.abc import Iterator, Mapping, Sequence

from understudy.sandbox.catalogue import has_model
from understudy.sandbox.replies import Reply, detail, error_reply
from understudy.sandbox.stream import Form

Json = Mapping[str, object]

PARAMETERS = frozenset(
    {
        "client_metadata",
        "include",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
    }
)
NOT_IN_COMPACTION = frozenset({"client_metadata", "include", "store", "stream", "stream_options", "tool_choice"})
INCLUDABLE = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MISSING_TOOLS = ("file_search", "code_interpreter", "computer_use", "computer_use_preview", "mcp")
LITE_HEADER = "x-openai-internal-codex-responses-lite"
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def refusal(body: object, *, models: Sequence[str], lite_header: bool, form: Form = Form.REPLY) -> Reply | None:
    """Why the backend does not take this body of a Responses request; None where it does.

    `lite_header`: whether the header field that Lite requests have came, or what stands for it on a WebSocket.
    """
    if not isinstance(body, dict):
        return detail(400, "Invalid JSON body")
    return next(_problems(body, models, lite_header, form), None)


def _problems(body: Json, models: Sequence[str], lite_header: bool, form: Form) -> Iterator[Reply]:
    yield from _model(body.get("model"), models)
    compacting = form is Form.COMPACTION
    for name in body:
        if name not in PARAMETERS or (compacting and name in NOT_IN_COMPACTION):
            yield detail(400, f"Unsupported parameter: {name}")
    items = body.get("input")
    if not isinstance(items, list):
        yield detail(400, "Input must be a list")
        return
    if items or form is not Form.PREWARM:
        yield from _instructions(body, items, lite_header)
    if body.get("store") is not False and not compacting:
        yield detail(400, "Store must be set to false")
    if body.get("stream") is not True and not compacting:
        yield detail(400, "Stream must be set to true")
    yield from _options(body)
    yield from _tools(body.get("tools"))
    yield from _items(items)
    yield from _pairs(items)


def _model(model: object, models: Sequence[str]) -> Iterator[Reply]:
    if not isinstance(model, str) or not model:
        yield detail(400, "Model is required")
    elif not has_model(models, model):
        yield detail(400, f"The '{model}' model is not supported when using Codex with a ChatGPT account.")


def _instructions(body: Json, items: Sequence[object], lite_header: bool) -> Iterator[Reply]:
    lite = any(isinstance(item, dict) and item.get("type") == "additional_tools" for item in items)
    if lite != lite_header:
        # The real wording is not known; what is known is that header and body have to agree.
        yield detail(400, f"Header {LITE_HEADER} and input do not agree")
    if not lite and not isinstance(body.get("instructions"), str) and not any(map(_is_instructions, items)):
        yield detail(400, "Instructions are required")


def _is_instructions(item: object) -> bool:
    """Whether it is the message in which Codex CLI 0.169 sends its instructions, with no other member for them."""
    match item:
        case {"role": "developer", "internal_chat_message_metadata_passthrough": {"content_item_kinds": list(kinds)}}:
            return "model.base_instructions" in kinds
    return False


def _options(body: Json) -> Iterator[Reply]:
    tier = body.get("service_tier")
    if tier is not None and tier != "priority":
        yield detail(400, f"Unsupported service_tier: {tier}")
    options = body.get("stream_options")
    for name in options if isinstance(options, dict) else ():
        if name != "reasoning_summary_delivery":
            yield detail(400, f"Unsupported parameter: stream_options.{name}")
    include = body.get("include")
    for position, value in enumerate(include if isinstance(include, list) else ()):
        if value not in INCLUDABLE:
            supported = ", ".join(f"'{name}'" for name in INCLUDABLE)
            message = f"Invalid value: '{value}'. Supported values are: {supported}."
            yield error_reply(400, message, code="invalid_value", param=f"include[{position}]")
    reasoning = body.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    if effort is not None and effort not in EFFORTS:
        supported = ", ".join(f"'{name}'" for name in EFFORTS)
        message = (
            f"Unsupported value: '{effort}' is not supported with the '{body.get('model')}' model. "
            f"Supported values are: {supported}."
        )
        yield error_reply(400, message, code="unsupported_value", param="reasoning.effort")


def _tools(tools: object) -> Iterator[Reply]:
    for position, tool in enumerate(tools if isinstance(tools, list) else ()):
        if not isinstance(tool, dict):
            continue
        kind, name = tool.get("type"), tool.get("name")
        if kind in MISSING_TOOLS:
            yield detail(400, f"Unsupported tool type: {kind}")
        if isinstance(name, str) and len(name) > 64:
            message = (
                f"Invalid 'tools[{position}].name': string too long. "
                f"Expected a string with maximum length 64, but got a string with length {len(name)} instead."
            )
            yield error_reply(400, message, code="string_above_max_length", param=f"tools[{position}].name")


def _items(items: Sequence[object]) -> Iterator[Reply]:
    for position, item in enumerate(items):
        where = f"input[{position}]"
        if not isinstance(item, dict):
            message = f"Invalid type for '{where}': expected an object."
            yield error_reply(400, message, code="invalid_type", param=where)
            continue
        if item.get("role") == "system":
            yield detail(400, "System messages are not allowed")
        kind, content = item.get("type", "message"), item.get("content")
        if kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content")):
            yield _not_found(item.get("id"))
        if kind == "reasoning" and isinstance(content, list) and content:
            message = (
                f"Invalid '{where}.content': array too long. Expected an array with maximum length 0, "
                f"but got an array with length {len(content)} instead."
            )
            yield error_reply(400, message, code="array_above_max_length", param=f"{where}.content")
        if kind == "web_search_call" and "id" not in item:
            message = f"Missing required parameter: '{where}.id'."
            yield error_reply(400, message, code="missing_required_parameter", param=f"{where}.id")


def _not_found(id: object) -> Reply:
    message = (
        f"Item with id '{id}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input."
    )
    return error_reply(400, message, param="input")


def _pairs(items: Sequence[object]) -> Iterator[Reply]:
    """A tool's output needs its call before it, a call its output."""
    for call_type, output_type in CALLS.items():
        calls, outputs = (_call_ids(items, kind) for kind in (call_type, output_type))
        for call_id in outputs:
            if call_id not in calls:
                message = f"No tool call found for {output_type.replace('_', ' ')} with call_id {call_id}."
                yield error_reply(400, message, param="input")
        for call_id in calls:
            if call_id not in outputs:
                yield error_reply(
                    400, f"No tool output found for {call_type.replace('_', ' ')} {call_id}.", param="input"
                )


def _call_ids(items: Sequence[object], kind: str) -> list[object]:
    return [item.get("call_id") for item in items if isinstance(item, dict) and item.get("type") == kind]

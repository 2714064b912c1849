"""A Chat Completions request as the Responses request that asks for the same."""

from dataclasses import dataclass

from understudy.wire.chat.formats import stop_sequences
from understudy.wire.chat.messages import ReasoningBefore, read_messages
from understudy.wire.chat.options import ChatOptions
from understudy.wire.chat.refused import invalid_type, missing, refused
from understudy.wire.chat.table import PARAMETERS, Fate, Row
from understudy.wire.jsontext import Part, dump_array, dump_object, members
from understudy.wire.text import safe_text

_MOST_NAMED = 32
_ROWS = {row.name: row for row in PARAMETERS}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion that a host asks for, as a Responses request."""

    body: bytes
    """The body of the Responses request, for `read_request`: what the provider does not take is for its rules."""
    options: ChatOptions
    dropped: tuple[str, ...]
    """What was given and left behind, as a Responses request has no place for it."""


def read_chat(content: bytes, reasoning_before: ReasoningBefore) -> ChatRequest:
    """Reads `POST /v1/chat/completions`. `content`: the body, decoded. `reasoning_before`: the JSON texts of the
    reasoning items that came, in an earlier answer, before the tool call with this id; they go on byte for byte.

    What is passed on keeps its exact text, and the same messages always become the same items.
    Raises RequestRefused, and nothing else, whatever the bytes are.
    """
    try:
        given = {name: part for name, part in members(content).items() if part.value is not None}
        return _read(given, reasoning_before)
    except ValueError:
        message = "The request's body is not a JSON object. Send the parameters of a chat completion as JSON."
        raise refused(message) from None


def _read(given: dict[str, Part], reasoning_before: ReasoningBefore) -> ChatRequest:
    if "messages" not in given:
        raise missing("messages")
    for row in PARAMETERS:
        if row.fate is Fate.REFUSED and _asks(row, given):
            raise refused(row.note, row.name, "unsupported_value")
    options = _options(given)
    items, left_behind = read_messages(given["messages"], reasoning_before)
    return ChatRequest(
        body=_body(given, items, options).encode(),
        options=options,
        dropped=(*_dropped(given), *left_behind)[:_MOST_NAMED],
    )


def _asks(row: Row, given: dict[str, Part]) -> bool:
    return row.name in given and given[row.name].value not in row.idle


def _options(given: dict[str, Part]) -> ChatOptions:
    if "model" not in given:
        raise missing("model")
    model = given["model"].value
    if not isinstance(model, str):
        raise invalid_type("model", "a string", model)
    streaming = given["stream_options"].value if "stream_options" in given else None
    return ChatOptions(
        model=model,
        include_usage=isinstance(streaming, dict) and streaming.get("include_usage") is True,
        legacy_functions="functions" in given and "tools" not in given,
        stop=stop_sequences(given.get("stop")),
    )


def _body(given: dict[str, Part], items: str, options: ChatOptions) -> str:
    raws: dict[str, str] = {"store": "false"}
    nested: dict[str, dict[str, str]] = {}
    tools: list[str] = []
    for row in PARAMETERS:
        if not row.becomes or row.name not in given:
            continue
        read = row.read(given[row.name]) if row.name != "messages" else items
        name, _, member = row.becomes.partition(".")
        if isinstance(read, list):
            tools += read
        elif member:
            nested.setdefault(name, {})[member] = read
        else:
            raws[name] = read
    raws |= {name: dump_object(inner) for name, inner in nested.items()}
    raws |= {"tools": dump_array(tools)} if tools else {}
    # `function_call` has room for one.
    return dump_object(raws | ({"parallel_tool_calls": "false"} if options.legacy_functions else {}))


def _dropped(given: dict[str, Part]) -> list[str]:
    known = [row.name for row in PARAMETERS if row.fate is Fate.DROPPED and _asks(row, given)]
    return known + [safe_text(name) for name in given if name not in _ROWS]

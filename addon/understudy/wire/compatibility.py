"""What a ChatGPT account serves of OpenAI's API: every endpoint and every parameter, from end to end.

What exists is what OpenAI's Python SDK knows, at the version `SDK`. What becomes of it follows from the tables that
decide, `endpoints.find`, `provider.CODEX` and `chat.table.PARAMETERS`, wherever one of them does; what is said of the
backend beyond that is from docs and from other programs' experience (PROTOCOL, 2.3 and 2.6).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from understudy.wire.chat.table import PARAMETERS as CHAT
from understudy.wire.chat.table import SAME, Row
from understudy.wire.endpoints import Op, find
from understudy.wire.fate import Fate
from understudy.wire.provider import CODEX, CODEX_COMPACT, Rules

SDK = (3, 54, 0)
"""The version of OpenAI's Python SDK whose names are here."""


class Line(NamedTuple):
    """What becomes of one thing, in words for the user."""

    name: str
    fate: Fate
    note: str


@dataclass(frozen=True, slots=True)
class Called:
    """A method of the SDK, and what it calls. `path`: as in the API reference, `{response_id}` standing for an id."""

    name: str
    method: str
    path: str
    note: str = "Answered from `codex_history`."

    @property
    def op(self) -> Op | None:
        """What it is to us; None where it is not ours."""
        target, connects = re.sub(r"\{\w+\}", "x", self.path), self.name == Op.CONNECT.value
        found = find(self.method, target, websocket=connects, codex=False)
        return found.op if found else None

    @property
    def fate(self) -> Fate:
        """An account carries it out, or this machine answers, or it is not ours."""
        if self.op is None:
            return Fate.PASSED
        return Fate.SERVED if self.op.is_carried or self.op is Op.CONNECT else Fate.EMULATED


_OWN_KEY = "OpenAI knows none that an account has carried out."
_RESPONSE = "/v1/responses/{response_id}"
_CHAT = "/v1/chat/completions"
_COMPLETION = f"{_CHAT}/{{completion_id}}"
_CONVERSATION = "/v1/conversations/{conversation_id}"
_ITEM = f"{_CONVERSATION}/items/{{item_id}}"

ENDPOINTS: tuple[Called, ...] = (
    Called("responses.create", "POST", "/v1/responses", "Streamed or not."),
    Called("responses.parse", "POST", "/v1/responses", "The same, read by the SDK."),
    Called("responses.stream", "POST", "/v1/responses", "The same, read by the SDK."),
    Called(
        "responses.connect", "GET", "/v1/responses", "A WebSocket; with `codex_websocket=refuse` it is answered 426."
    ),
    Called("responses.compact", "POST", "/v1/responses/compact", "Only the account that made it can read it."),
    Called(
        "responses.input_tokens.count",
        "POST",
        "/v1/responses/input_tokens",
        "An estimate, made on this machine: the answer has `x-understudy-estimate: true`.",
    ),
    Called("responses.retrieve", "GET", _RESPONSE),
    Called("responses.delete", "DELETE", _RESPONSE),
    Called("responses.cancel", "POST", f"{_RESPONSE}/cancel", "Stops an answer in the background."),
    Called("responses.input_items.list", "GET", f"{_RESPONSE}/input_items"),
    Called("chat.completions.create", "POST", _CHAT, "As a Responses request."),
    Called("chat.completions.parse", "POST", _CHAT, "The same, read by the SDK."),
    Called("chat.completions.stream", "POST", _CHAT, "The same, read by the SDK."),
    Called("chat.completions.list", "GET", _CHAT, _OWN_KEY),
    Called("chat.completions.retrieve", "GET", _COMPLETION, _OWN_KEY),
    Called("chat.completions.update", "POST", _COMPLETION, _OWN_KEY),
    Called("chat.completions.delete", "DELETE", _COMPLETION, _OWN_KEY),
    Called("chat.completions.messages.list", "GET", f"{_COMPLETION}/messages", _OWN_KEY),
    Called("conversations.create", "POST", "/v1/conversations", "Kept in `codex_history`."),
    Called("conversations.retrieve", "GET", _CONVERSATION),
    Called("conversations.update", "POST", _CONVERSATION, "Its metadata."),
    Called("conversations.delete", "DELETE", _CONVERSATION),
    Called("conversations.items.create", "POST", f"{_CONVERSATION}/items", "Kept in `codex_history`."),
    Called("conversations.items.list", "GET", f"{_CONVERSATION}/items"),
    Called("conversations.items.retrieve", "GET", _ITEM),
    Called("conversations.items.delete", "DELETE", _ITEM),
    Called("models.list", "GET", "/v1/models", "The models that the accounts have, from ChatGPT's lists."),
    Called("models.retrieve", "GET", "/v1/models/{model}", "One of those, or a name that `codex_models` maps to one."),
    Called("models.delete", "DELETE", "/v1/models/{model}", "A fine-tuned model is nothing that an account has."),
    Called(
        "traces.ingest",
        "POST",
        "/v1/traces/ingest",
        "The Agents SDK's own: taken, and thrown away. With `codex_traces=pass` they go to OpenAI.",
    ),
)
"""Of Responses, Chat Completions, models and conversations; and what else is ours."""

OTHERS: Mapping[str, str] = {
    "admin": "",
    "audio": "",
    "batches": "Their requests are carried out at OpenAI.",
    "beta": "`beta.responses` has the paths of `responses`, and is served like it.",
    "completions": "Of the older kind, without messages.",
    "containers": "",
    "content_provenance_checks": "",
    "decisions": "",
    "embeddings": "",
    "evals": "",
    "files": "An account cannot read what was uploaded so: send files and images as data or by URL.",
    "fine_tuning": "",
    "images": "An account makes images by the tool `image_generation`.",
    "live": "",
    "moderations": "",
    "realtime": "",
    "safety": "",
    "skills": "",
    "uploads": "As with files.",
    "vector_stores": "",
    "videos": "",
    "webhooks": "None are sent for answers in the background that are made here.",
}
"""The SDK's other resources, none of which is ours: what there is to say of each."""

_KEPT = "Put in its place from `codex_history`: the backend gets the whole input."
_BY_LENGTH = "An answer is as long as the model makes it."
_SAMPLING = "The backend does not let a program choose it."
_NO_TRACE = "The answer is the same without it."
_TIERS = ", ".join(f"`{asked}`" for asked, _ in CODEX.tiers or ())
_OPTIONS = "stream_options."

_PARAMETERS: Mapping[str, str] = {
    "model": "`codex_models` may name another one; the answer then has `x-understudy-model`.",
    "input": "A text becomes a message of the user.",
    "instructions": "Those of an earlier answer are not taken over.",
    "stream": "Decides how the answer is told; upstream it is always a stream.",
    "stream_options.include_obfuscation": "Events are never padded.",
    "stream_options.reasoning_summary_delivery": "Codex's own; not in the SDK.",
    "store": "Kept in `codex_history`, unless false; the backend keeps nothing.",
    "previous_response_id": f"{_KEPT} 400 `previous_response_not_found` where it is not there.",
    "conversation": f"{_KEPT} What is asked and answered is added to it, unless `store` is false.",
    "background": "Carried out by this process; 400 where `codex_history` is off, or `store` is false.",
    "background_options": "It begins at once.",
    "include": "Beside what is always asked for; see the table of it.",
    "tools": "See the table of tools.",
    "tool_choice": "",
    "parallel_tool_calls": "",
    "reasoning": "",
    "text": "Its format, by a schema too, and its verbosity.",
    "service_tier": f"{_TIERS}; `auto` and `default` are what there is without; others are dropped, with a note.",
    "prompt_cache_key": "Also names the session, which stays on its account.",
    "client_metadata": "Codex's own; not in the SDK.",
    "max_output_tokens": _BY_LENGTH,
    "max_tool_calls": "The model calls tools as often as it likes.",
    "temperature": _SAMPLING,
    "top_p": _SAMPLING,
    "top_logprobs": "Models that reason have none to tell.",
    "truncation": "What is too long is refused by the backend (`context_length_exceeded`), never cut.",
    "context_management": "Nothing is compacted by itself: use `responses.compact`.",
    "prompt": "A template is at OpenAI, where no account can read it: send its text as `instructions` and `input`.",
    "metadata": "Told in the answer, and kept with it. A `session_id` or `thread_id` in it names the session.",
    "moderation": "There are no results of it in the answer.",
    "prompt_cache_options": _NO_TRACE,
    "prompt_cache_retention": _NO_TRACE,
    "safety_identifier": _NO_TRACE,
    "user": _NO_TRACE,
    "access_programs": "The account's own access counts.",
    "image": "Images are taken as the backend takes them.",
}
"""Those of POST /v1/responses, and what there is to say of each."""

_EMULATED = frozenset({"background", "conversation", "metadata", "previous_response_id", "store"})
_COMPACTED = (
    "model",
    "input",
    "instructions",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "image",
)


def _sent(name: str, rules: Rules) -> Line:
    """What becomes of a Responses parameter on its way to a provider."""
    is_option = name.startswith(_OPTIONS)
    taken = rules.stream_options if is_option else rules.parameters
    served = taken is None or name.removeprefix(_OPTIONS) in taken
    if name in rules.refused:
        return Line(name, Fate.REFUSED, _PARAMETERS[name])
    fate = Fate.EMULATED if name in _EMULATED else Fate.SERVED if served else Fate.DROPPED
    return Line(name, fate, _PARAMETERS[name])


_CREATED = {name: _sent(name, CODEX) for name in _PARAMETERS}
_COUNTED = "input", "instructions", "tools", "text", "previous_response_id", "conversation"
_NOT_COUNTED = "model", "parallel_tool_calls", "personality", "reasoning", "tool_choice", "truncation"

_LISTED = (
    Line("after", Fate.EMULATED, ""),
    Line("limit", Fate.EMULATED, "1 to 100; 20 where it is not given."),
    Line("order", Fate.EMULATED, "`asc` or `desc`, which is the usual one."),
)
_WHOLE = Line("include", Fate.DROPPED, "Items are shown as they came, with all that is in them.")
_METADATA = Line("metadata", Fate.EMULATED, "Within the API's limits.")
_ITEMS = Line("items", Fate.EMULATED, "20 at most.")


def _completed(row: Row) -> Line:
    """What becomes of a parameter of Chat Completions in the end: what Responses has may go no further than that."""
    name = re.split(r"[.\[]", row.becomes)[0]
    further = _CREATED.get(name, Line(name, row.fate, ""))
    if further.fate is Fate.DROPPED:
        return Line(row.name, Fate.DROPPED, further.note)
    return Line(row.name, row.fate, row.note if row.note != SAME else further.note if name == row.becomes else "")


PARAMETERS: Mapping[str, tuple[Line, ...]] = {
    "responses.create": tuple(_CREATED.values()),
    "responses.compact": tuple(_sent(name, CODEX_COMPACT) for name in _COMPACTED),
    "responses.input_tokens.count": (
        *(Line(name, Fate.EMULATED, "Counted.") for name in _COUNTED),
        *(Line(name, Fate.DROPPED, "Does not change the estimate.") for name in _NOT_COUNTED),
    ),
    "responses.retrieve": (
        Line(
            "stream",
            Fate.EMULATED,
            "The events of an answer in the background that was begun as a stream, in this process, until an hour "
            "after its end; 400 for any other.",
        ),
        Line("starting_after", Fate.EMULATED, "The events after this one, where they are streamed."),
        Line("include_obfuscation", Fate.DROPPED, "Events are never padded."),
        _WHOLE,
    ),
    "responses.input_items.list": (*_LISTED, _WHOLE),
    "conversations.create": (_ITEMS, _METADATA),
    "conversations.update": (_METADATA,),
    "conversations.items.create": (_ITEMS, _WHOLE),
    "conversations.items.list": (*_LISTED, _WHOLE),
    "conversations.items.retrieve": (_WHOLE,),
    "chat.completions.create": tuple(map(_completed, CHAT)),
}
"""By the SDK's method, of all that are answered here or by an account."""

_UNKNOWN = "Goes on as it is; whether the backend takes it is not known."
_NO_TOOL = "The backend has no such tool, and answers 400."
_TAKEN = "Taken, but the backend has no such tool."


def _lines(fate: Fate, note: str, *names: str) -> tuple[Line, ...]:
    return tuple(Line(name, fate, note) for name in names)


ITEMS: tuple[Line, ...] = (
    Line("message", Fate.SERVED, "The role `system` becomes `developer`."),
    Line(
        "reasoning",
        Fate.SERVED,
        "Its ciphertext goes on, without the readable text; one without a ciphertext is left out, with no note.",
    ),
    *_lines(Fate.SERVED, "", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
    *_lines(Fate.SERVED, "", "web_search_call", "image_generation_call", "local_shell_call"),
    *_lines(Fate.SERVED, "", "tool_search_call", "tool_search_output", "additional_tools"),
    Line("compaction", Fate.SERVED, "The conversation stays with the account that made it."),
    Line("compaction_trigger", Fate.SERVED, ""),
    Line("item_reference", Fate.EMULATED, "The item itself, from `codex_history`; 400 where it is not there."),
    *_lines(Fate.SERVED, _UNKNOWN, "local_shell_call_output", "shell_call", "shell_call_output"),
    *_lines(Fate.SERVED, _UNKNOWN, "apply_patch_call", "apply_patch_call_output", "computer_call"),
    *_lines(Fate.SERVED, _UNKNOWN, "computer_call_output", "code_interpreter_call", "file_search_call"),
    *_lines(Fate.SERVED, _UNKNOWN, "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call"),
    *_lines(Fate.SERVED, _UNKNOWN, "program", "program_output", "configuration_update"),
    Line("part input_text", Fate.SERVED, "Not every model takes a `prompt_cache_breakpoint` in a part."),
    Line("part input_image", Fate.SERVED, "By a URL or as data; by a file's id only on the account that has the file."),
    Line("part input_file", Fate.SERVED, f"{_UNKNOWN} By its id only on the account that has the file."),
)
"""The types of the items of `input`, and of the parts of a message from the user."""

TOOLS: tuple[Line, ...] = (
    Line("function", Fate.SERVED, "The program's own."),
    Line("custom", Fate.SERVED, "The program's own."),
    *_lines(Fate.SERVED, "", "namespace", "tool_search", "local_shell", "web_search"),
    Line("image_generation", Fate.SERVED, "On paid plans."),
    *_lines(Fate.REFUSED, _NO_TOOL, "file_search", "code_interpreter", "computer_use_preview", "mcp"),
    *_lines(Fate.SERVED, _UNKNOWN, "computer", "shell", "apply_patch", "programmatic_tool_calling"),
    *_lines(Fate.SERVED, f"{_UNKNOWN} Ask for `web_search`.", "web_search_2025_08_26", "web_search_preview"),
    *_lines(Fate.SERVED, f"{_UNKNOWN} Ask for `web_search`.", "web_search_preview_2025_03_11"),
)
"""The types of tools."""

INCLUDE: tuple[Line, ...] = (
    Line("reasoning.encrypted_content", Fate.SERVED, "Always asked for: a program that keeps nothing needs it."),
    *_lines(Fate.SERVED, "", "web_search_call.action.sources", "message.output_text.logprobs"),
    Line("message.input_image.image_url", Fate.SERVED, ""),
    *_lines(Fate.SERVED, _TAKEN, "computer_call_output.output.image_url"),
    *_lines(Fate.SERVED, _TAKEN, "code_interpreter_call.outputs", "file_search_call.results"),
    Line("web_search_call.results", Fate.SERVED, _UNKNOWN),
)
"""The values of `include`."""

SOCKET: tuple[Line, ...] = (
    Line("response.create", Fate.SERVED, "One at a time on a connection, with the parameters of `responses.create`."),
    Line("response.create: generate", Fate.EMULATED, "With false the input is remembered, and nothing is sent."),
    Line("response.create: stream", Fate.DROPPED, "Every answer is a stream there; no note is needed."),
    Line("response.create: background", Fate.DROPPED, "Without a note: nobody waits for less than the answer there."),
    Line("response.create: stream_id", Fate.DROPPED, "There is one answer at a time."),
    Line("response.steer", Fate.REFUSED, "`unknown_message_type`; the connection stays open."),
)
"""The messages of a program on a WebSocket, and what they have that a POST has not, or has in another way."""

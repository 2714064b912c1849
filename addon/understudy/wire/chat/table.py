"""Every parameter of Chat Completions, and what becomes of it: the request is read by this table.

The parameters are those of `CompletionCreateParams` in OpenAI's Python SDK 3.54.
"""

from collections.abc import Callable
from dataclasses import dataclass

from understudy.wire.chat.formats import response_format
from understudy.wire.chat.tools import function_choice, functions, tool_choice, tools, web_search
from understudy.wire.fate import Fate as Fate
from understudy.wire.jsontext import Part


def _raw(part: Part) -> str:
    return part.raw


@dataclass(frozen=True, slots=True)
class Row:
    """What becomes of one parameter."""

    name: str
    fate: Fate
    note: str
    """For the user; where it is refused, also for the host."""
    becomes: str = ""
    """The parameter of Responses that has it then; `text.format` is a member of one, `tools[]` goes into a list. Empty
    where it is none."""
    read: Callable[[Part], str] | Callable[[Part], list[str]] = _raw
    """Its JSON text there, or the texts of the list's elements."""
    idle: tuple[object, ...] = ()
    """The values that ask for nothing; null never does."""


SAME = "Passed on."
"""The note where there is nothing more to say."""
_S, _E, _D, _R = Fate.SERVED, Fate.EMULATED, Fate.DROPPED, Fate.REFUSED

PARAMETERS: tuple[Row, ...] = (
    Row("model", _S, SAME, "model"),
    Row("messages", _S, "As the items of `input`; see the table of messages.", "input"),
    Row("stream", _S, "Decides how the answer is told.", "stream"),
    Row("stream_options", _S, "`include_usage` is heeded; chunks are never padded, whatever `include_obfuscation` is."),
    Row("tools", _S, "Functions and custom tools; a function is not strict unless it says so.", "tools[]", tools),
    Row("parallel_tool_calls", _S, SAME, "parallel_tool_calls"),
    Row("functions", _S, "As tools, one call at a time; told as `function_call`.", "tools[]", functions),
    Row(
        "function_call", _S, "As the choice of a tool; `tool_choice` counts before it.", "tool_choice", function_choice
    ),
    Row("tool_choice", _S, "A word, one tool, or `allowed_tools`.", "tool_choice", tool_choice),
    Row("response_format", _S, "Text, JSON, or JSON by a schema.", "text.format", response_format),
    Row("verbosity", _S, SAME, "text.verbosity"),
    Row("reasoning_effort", _S, SAME, "reasoning.effort"),
    Row("max_tokens", _S, "Passed on, where `max_completion_tokens` is not given.", "max_output_tokens"),
    Row("max_completion_tokens", _S, SAME, "max_output_tokens"),
    Row("temperature", _S, SAME, "temperature"),
    Row("top_p", _S, SAME, "top_p"),
    Row("service_tier", _S, SAME, "service_tier"),
    Row("prompt_cache_key", _S, SAME, "prompt_cache_key"),
    Row("prompt_cache_options", _S, SAME, "prompt_cache_options"),
    Row("prompt_cache_retention", _S, SAME, "prompt_cache_retention"),
    Row("safety_identifier", _S, SAME, "safety_identifier"),
    Row("user", _S, SAME, "user"),
    Row("metadata", _E, "Its `session_id`, `conversation_id` or `thread_id` names the session; not kept.", "metadata"),
    Row("store", _D, "A completion is never kept for the program.", idle=(False,)),
    Row("web_search_options", _E, "The tool `web_search`: the model may search, and need not.", "tools[]", web_search),
    Row(
        "stop", _E, "The text is cut where a sequence comes up; the model goes on, and its tokens count.", idle=([], "")
    ),
    Row("n", _R, "There is one choice for a request here. Ask again for another, with `n` 1.", idle=(1,)),
    Row("modalities", _R, "Answers are text here. Leave out `modalities`, or ask for text alone.", idle=(["text"], [])),
    Row("audio", _R, "Answers are text here. Leave out `audio`."),
    Row("frequency_penalty", _D, "Responses has none.", idle=(0,)),
    Row("presence_penalty", _D, "Responses has none.", idle=(0,)),
    Row("logit_bias", _D, "Responses has none.", idle=({},)),
    Row("logprobs", _D, "Models that reason have none to tell.", idle=(False,)),
    Row("top_logprobs", _D, "Models that reason have none to tell.", idle=(0,)),
    Row("seed", _D, "Responses has none."),
    Row("prediction", _D, "Responses has none; without it an answer takes longer and is the same."),
    Row("moderation", _D, "Its results have another form in Responses."),
)
"""Of two rows for the same parameter of Responses the later one counts. What has no row is dropped with a note."""

MESSAGES: tuple[Row, ...] = (
    Row("system", _S, "Its text, in the place where it stands; where the provider knows no such role, as developer's."),
    Row("developer", _S, "Its text, in the place where it stands."),
    Row("user", _S, "Its text, or its parts."),
    Row("assistant", _S, "What was said, then the reasoning known to have come before its calls, then the calls."),
    Row("assistant.refusal", _S, "A part of what was said."),
    Row("assistant.tool_calls", _S, "Calls of functions and of custom tools."),
    Row("assistant.function_call", _S, "A call by an id that is made up, the same one each time."),
    Row("assistant.audio", _R, "Audio is not served here."),
    Row("tool", _S, "The output of the call that it names: text, or parts."),
    Row("function", _S, "The output of the latest `function_call` of its name."),
    Row("name", _D, "Messages have no names in Responses."),
    Row("part text", _S, "Text."),
    Row("part image_url", _S, "An image, by a URL or as data, with its `detail`."),
    Row("part file", _S, "A file as data, or by its id."),
    Row("part refusal", _S, "A refusal of the assistant."),
    Row("part input_audio", _R, "Audio is not served here."),
    Row("part prompt_cache_breakpoint", _D, "Not every model takes it; the cache works without it."),
)
"""The roles of messages, their members and the parts of their contents."""

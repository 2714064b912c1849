"""The body of a Responses request: which of the host's parameters go upstream, and what the backend insists on."""

import json
from dataclasses import dataclass

from understudy.wire import items
from understudy.wire.coding import RequestRefused
from understudy.wire.jsontext import Part, dump_array, dump_object, elements, members
from understudy.wire.reply import openai_error
from understudy.wire.text import safe_text

_PASSED = frozenset(
    {
        "model",
        "instructions",
        "input",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "store",
        "stream",
        "stream_options",
        "include",
        "service_tier",
        "prompt_cache_key",
        "text",
        "client_metadata",
    }
)
"""The fields that Codex itself sends; the backend refuses others ("Unsupported parameter: ...")."""

_ENCRYPTED_REASONING = "reasoning.encrypted_content"
_SUMMARY_DELIVERY = "reasoning_summary_delivery"
_USUAL_TIERS = ("auto", "default")
_MOST_NAMED = 32
_LONGEST_MODEL = 200


@dataclass(frozen=True, slots=True)
class Parameters:
    """A request's body, read. `body` is what the backend gets; see HostRequest for `stream` and `removed`."""

    model: str
    stream: bool
    lite: bool
    """Whether it has the Responses-Lite shape."""
    session_keys: tuple[str, ...]
    """What in the body names the session, the strongest name first."""
    body: bytes
    removed: tuple[str, ...]


def read_parameters(content: bytes) -> Parameters:
    """Reads a decoded body, `{"model": "...", "input": "..." or [...], ...}`.

    Raises RequestRefused with 400 for what is no such object and for what the backend cannot do.
    """
    try:
        given = members(content)
    except ValueError:
        raise _refused("The request's body is not a JSON object. Send the parameters of a response as JSON.") from None
    given = {name: part for name, part in given.items() if part.value is not None}
    _refuse_what_needs_storage(given)
    model = _model(given)
    list_of_items, lite = _input(given)
    raws: dict[str, str] = {name: part.raw for name, part in given.items() if name in _PASSED}
    removed = [safe_text(name) for name in given if name not in _PASSED and name not in ("background", "conversation")]
    raws |= {"input": list_of_items, "include": _include(given), "stream": "true", "store": "false"}
    if not lite:
        raws.setdefault("instructions", '""')
    for name, replacement in (("service_tier", _service_tier(given)), ("stream_options", _stream_options(given))):
        if replacement is None:
            raws.pop(name, None)
        else:
            raws[name] = replacement
    removed += _removed_values(given)
    return Parameters(
        model=model,
        stream=_value(given, "stream") is True,
        lite=lite,
        session_keys=_session_keys(given),
        body=dump_object(raws).encode(),
        removed=tuple(removed[:_MOST_NAMED]),
    )


def _value(given: dict[str, Part], name: str) -> object:
    part = given.get(name)
    return part.value if part else None


def _refuse_what_needs_storage(given: dict[str, Part]) -> None:
    previous = _value(given, "previous_response_id")
    if previous is not None:
        shown = safe_text(previous) if isinstance(previous, str) else "?"
        raise _refused(
            f"Previous response with id '{shown}' not found.", "previous_response_id", "previous_response_not_found"
        )
    if "conversation" in given:
        raise _refused(
            "Conversations are not stored here. Send the whole history as `input` instead of `conversation`.",
            "conversation",
            "unsupported_parameter",
        )
    if _value(given, "background") not in (None, False):
        raise _refused(
            "Responses are not stored here, so they cannot run in the background. Leave out `background`.",
            "background",
            "unsupported_parameter",
        )


def _model(given: dict[str, Part]) -> str:
    model = _value(given, "model")
    if model is None:
        raise _refused("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL or not model.isprintable():
        raise _refused("Invalid type for 'model': expected the name of a model.", "model", "invalid_type")
    return model


def _input(given: dict[str, Part]) -> tuple[str, bool]:
    """The input's items as JSON text, and whether they have the Responses-Lite shape."""
    part = given.get("input")
    if part is None:
        raise _refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if isinstance(part.value, list):
        return items.read_items(part.value, part.raw), items.is_responses_lite(part.value)
    if not isinstance(part.value, str):
        raise _refused("Invalid type for 'input': expected a string or an array of items.", "input", "invalid_type")
    return items.user_message(part.raw), False


def _include(given: dict[str, Part]) -> str:
    part = given.get("include")
    if part is None:
        return dump_array([json.dumps(_ENCRYPTED_REASONING)])
    if not isinstance(part.value, list):
        raise _refused("Invalid type for 'include': expected an array of strings.", "include", "invalid_type")
    if _ENCRYPTED_REASONING in part.value:
        return part.raw
    return dump_array([*(element.raw for element in elements(part.raw)), json.dumps(_ENCRYPTED_REASONING)])


def _service_tier(given: dict[str, Part]) -> str | None:
    """The backend knows `priority` alone; `fast` is Codex's own word for it."""
    return '"priority"' if _value(given, "service_tier") in ("priority", "fast") else None


def _stream_options(given: dict[str, Part]) -> str | None:
    part = given.get("stream_options")
    if part is None or not isinstance(part.value, dict) or part.value.get(_SUMMARY_DELIVERY) is None:
        return None
    return (
        part.raw if len(part.value) == 1 else dump_object({_SUMMARY_DELIVERY: members(part.raw)[_SUMMARY_DELIVERY].raw})
    )


def _removed_values(given: dict[str, Part]) -> list[str]:
    """The parameters that the backend knows, but not with the value given."""
    removed = []
    if _service_tier(given) is None and _value(given, "service_tier") not in (None, *_USUAL_TIERS):
        removed.append("service_tier")
    options = _value(given, "stream_options")
    if options and not (isinstance(options, dict) and options.keys() <= {_SUMMARY_DELIVERY}):
        removed.append("stream_options")
    return removed


def _session_keys(given: dict[str, Part]) -> tuple[str, ...]:
    metadata = _value(given, "client_metadata")
    named = [metadata.get("thread_id"), metadata.get("session_id")] if isinstance(metadata, dict) else []
    return tuple(key for key in (*named, _value(given, "prompt_cache_key")) if isinstance(key, str) and key)


def _refused(message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(400, message, type="invalid_request_error", code=code, param=param))

"""The body of a Responses request: which of the host's parameters go upstream, and what the provider insists on."""

import json
from dataclasses import dataclass
from functools import partial

from understudy.wire import items
from understudy.wire.coding import RequestRefused
from understudy.wire.identity import PARENT_THREAD, TURN_STATE
from understudy.wire.jsontext import Part, dump_array, dump_object, elements, members
from understudy.wire.provider import Rules
from understudy.wire.reply import openai_error
from understudy.wire.text import safe_text

_USUAL_TIERS = ("auto", "default")
_HEEDED = frozenset({"background", "generate", "metadata"})
"""What goes nowhere, and is done here."""
_MOST_NAMED = 32
_LONGEST_MODEL = 200


@dataclass(frozen=True, slots=True)
class Parameters:
    """A request's body, read. `body` is what the provider gets; see HostRequest for `stream`, `held` and `removed`."""

    model: str
    stream: bool
    lite: bool
    """Whether it has the Responses-Lite shape."""
    held: bool
    parent: str
    """The thread whose sub-agent asks; empty where the body names none."""
    session_keys: tuple[str, ...]
    """What in the body names the session, the strongest name first."""
    turn_state: str
    """The turn state that the body has; empty where it has none."""
    body: bytes
    removed: tuple[str, ...]
    opening: tuple[str, ...]
    """What the conversation begins with."""
    continues: bool
    metadata: str | None
    """JSON text; None where there is none."""
    store: bool
    background: bool
    begins_nothing: bool


def read_parameters(content: bytes, rules: Rules) -> Parameters:
    """Reads a decoded body, `{"model": "...", "input": "..." or [...], ...}`, for a provider.

    Raises RequestRefused with 400 for what is no such object and for what the provider cannot do.
    """
    try:
        given = members(content)
    except ValueError:
        raise _refused("The request's body is not a JSON object. Send the parameters of a response as JSON.") from None
    given = {name: part for name, part in given.items() if part.value is not None}
    for name in rules.refused & given.keys():
        raise _refused(
            f"'{name}' cannot be served here: the backend does not take it. Send what it stands for as text.",
            name,
            "unsupported_parameter",
        )
    model = _model(given)
    listed = _items(given)
    lite = items.is_responses_lite(listed)
    client = _object(given, "client_metadata")
    raws = _body(given, rules, lite)
    read = partial(
        Parameters,
        model=model,
        stream=_value(given, "stream") is True,
        lite=lite,
        held=items.are_held(listed),
        parent=_text(client.get(PARENT_THREAD)),
        session_keys=_session_keys(given),
        turn_state=_text(client.get(TURN_STATE)),
        removed=tuple(_removed(given, rules)[:_MOST_NAMED]),
        opening=items.opening(listed) or _words(given),
        continues=items.continues(listed),
        metadata=given["metadata"].raw if isinstance(_value(given, "metadata"), dict) else None,
        store=_value(given, "store") is True,
        background=_value(given, "background") is True,
        begins_nothing=_value(given, "generate") is False,
    )
    del given, listed, client  # What was read takes more room than its text: it goes before that is copied.
    return read(body=dump_object(raws).encode())


def _body(given: dict[str, Part], rules: Rules, lite: bool) -> dict[str, str]:
    """The members of what the provider takes, in the host's order, then what it insists on."""
    raws = {name: part.raw for name, part in given.items() if _is_passed(name, rules)}
    raws |= {"input": _input(given, rules), **_include(given, rules), **dict(rules.forced)}
    for name, default in rules.defaults if not lite else ():
        raws.setdefault(name, default)
    for name, narrowed in (
        ("service_tier", _service_tier(given, rules)),
        ("stream_options", _stream_options(given, rules)),
    ):
        if narrowed is None:
            raws.pop(name, None)
        else:
            raws[name] = narrowed
    return raws


def _is_passed(name: str, rules: Rules) -> bool:
    return rules.parameters is None or name in rules.parameters


def _value(given: dict[str, Part], name: str) -> object:
    part = given.get(name)
    return part.value if part else None


def _model(given: dict[str, Part]) -> str:
    model = _value(given, "model")
    if model is None:
        raise _refused("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL or not model.isprintable():
        raise _refused("Invalid type for 'model': expected the name of a model.", "model", "invalid_type")
    return model


def _items(given: dict[str, Part]) -> list[object]:
    """The input's items; none where it is a plain string."""
    value = _value(given, "input")
    if value is None:
        raise _refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if not isinstance(value, str | list):
        raise _refused("Invalid type for 'input': expected a string or an array of items.", "input", "invalid_type")
    return value if isinstance(value, list) else []


def _words(given: dict[str, Part]) -> tuple[str, ...]:
    text = _value(given, "input")
    return (f"user: {text}",) if isinstance(text, str) else ()


def _input(given: dict[str, Part], rules: Rules) -> str:
    part = given["input"]
    if isinstance(part.value, list):
        return items.read_items(part.value, part.raw, rules)
    return part.raw if rules.text_input else items.user_message(part.raw)


def _include(given: dict[str, Part], rules: Rules) -> dict[str, str]:
    """`include` with what is always asked for."""
    if rules.include is None:
        return {}
    part = given.get("include")
    wanted = json.dumps(rules.include)
    if part is None:
        return {"include": dump_array([wanted])}
    if not isinstance(part.value, list):
        raise _refused("Invalid type for 'include': expected an array of strings.", "include", "invalid_type")
    if rules.include in part.value:
        return {"include": part.raw}
    return {"include": dump_array([*(element.raw for element in elements(part.raw)), wanted])}


def _service_tier(given: dict[str, Part], rules: Rules) -> str | None:
    part = given.get("service_tier")
    if part is None or rules.tiers is None:
        return part.raw if part else None
    return next((json.dumps(known) for asked, known in rules.tiers if asked == part.value), None)


def _stream_options(given: dict[str, Part], rules: Rules) -> str | None:
    part = given.get("stream_options")
    if part is None or rules.stream_options is None:
        return part.raw if part else None
    if not isinstance(part.value, dict):
        return None
    known = {name: option.raw for name, option in members(part.raw).items() if _is_known(name, option, rules)}
    if len(known) == len(part.value):
        return part.raw if known else None
    return dump_object(known) if known else None


def _is_known(name: str, option: Part, rules: Rules) -> bool:
    return rules.stream_options is None or (name in rules.stream_options and option.value is not None)


def _removed(given: dict[str, Part], rules: Rules) -> list[str]:
    """The parameters that the provider does not know, or not with the value given."""
    removed = [safe_text(name) for name in given if not _is_passed(name, rules) and name not in _HEEDED]
    if _service_tier(given, rules) is None and _value(given, "service_tier") not in (None, *_USUAL_TIERS):
        removed.append("service_tier")
    options, known = _value(given, "stream_options"), rules.stream_options
    if options and known is not None and not (isinstance(options, dict) and options.keys() <= known):
        removed.append("stream_options")
    return removed


def _session_keys(given: dict[str, Part]) -> tuple[str, ...]:
    client, metadata = _object(given, "client_metadata"), _object(given, "metadata")
    named = (
        *(client.get(name) for name in ("thread_id", "session_id")),
        *(metadata.get(name) for name in ("session_id", "conversation_id", "thread_id")),
        _value(given, "prompt_cache_key"),
    )
    return tuple(key for key in map(_text, named) if key)


def _object(given: dict[str, Part], name: str) -> dict[str, object]:
    value = _value(given, name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _refused(message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(400, message, type="invalid_request_error", code=code, param=param))

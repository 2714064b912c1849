"""The form that the answer's text is to have, and what ends it."""

from understudy.wire.chat.refused import given_members, invalid_type, invalid_value, member, refused
from understudy.wire.jsontext import Part, dump_object

_PLAIN = ("text", "json_object")
_MOST_STOPS = 4
_ANY_OBJECT = '{"type":"object"}'


def response_format(part: Part) -> str:
    """From `response_format`: the schema lies one object deeper than in Responses. Raises RequestRefused."""
    given = given_members(part, "response_format")
    kind = member(given, "type", "response_format")
    if kind.value in _PLAIN:
        return dump_object({"type": kind.raw})
    if kind.value != "json_schema":
        raise invalid_value("response_format.type", kind.value, (*_PLAIN, "json_schema"))
    param = "response_format.json_schema"
    schema = given_members(member(given, "json_schema", "response_format", dict), param)
    raws = {"type": kind.raw, "name": member(schema, "name", param).raw, "schema": _ANY_OBJECT, "strict": "false"}
    given_raws = {name: schema[name].raw for name in ("description", "schema", "strict") if name in schema}
    return dump_object(raws | given_raws)


def stop_sequences(part: Part | None) -> tuple[str, ...]:
    """From `stop`: a string or a list of them. Raises RequestRefused."""
    given = [] if part is None else [part.value] if isinstance(part.value, str) else part.value
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise invalid_type("stop", "one of a string or array of strings", given)
    if len(given) > _MOST_STOPS:
        message = f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}."
        raise refused(message, "stop", "array_above_max_length")
    return tuple(text for text in given if text)

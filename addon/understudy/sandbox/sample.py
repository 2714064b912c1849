"""The smallest JSON document that a JSON Schema (2020-12) takes, for the keywords that structured outputs allow."""

from collections.abc import Mapping

Schema = Mapping[str, object]

FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "P1D",
    "email": "understudy@sandbox.invalid",
    "hostname": "sandbox.invalid",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "time": "12:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: object, text: str = "") -> object:
    """A value that fits `schema`; strings that may be anything are `text`. `pattern` is not read."""
    root = schema if isinstance(schema, Mapping) else {}
    return _value(root, root, text)


def _value(schema: Schema, root: Schema, text: str) -> object:
    if "const" in schema:
        return schema["const"]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    if isinstance(schema.get("$ref"), str):
        return _value(_resolve(str(schema["$ref"]), root), root, text)
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        if isinstance(options, list) and options:
            return _value(_shortest(options), root, text)
    match _kind(schema):
        case "object":
            return _members(schema, root, text)
        case "array":
            return [_value(_part(schema, "items"), root, text)] * int(_number(schema, "minItems", 0))
        case "string":
            return _string(schema, text)
        case "integer" | "number":
            return _least(schema)
        case "boolean":
            return False
    return None


def _kind(schema: Schema) -> object:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        return "null" if "null" in kind else kind[0]
    return kind


def _shortest(options: list[Schema]) -> Schema:
    """Nothing at all, where that is allowed: a schema may go round in circles otherwise."""
    return next((option for option in options if option.get("type") == "null"), options[0])


def _members(schema: Schema, root: Schema, text: str) -> dict[str, object]:
    required, known = schema.get("required"), _part(schema, "properties")
    names = required if isinstance(required, list) else []
    return {str(name): _value(_part(known, str(name)), root, text) for name in names}


def _string(schema: Schema, text: str) -> str:
    value = FORMATS.get(str(schema.get("format")), text)
    most = int(_number(schema, "maxLength", len(value)))
    return value[:most].ljust(int(_number(schema, "minLength", 0)), "x")


def _least(schema: Schema) -> int | float:
    """The number that is nearest above the lower bound; below the upper one where there is no lower."""
    step = _number(schema, "multipleOf", 1)
    if "minimum" in schema:
        least = _number(schema, "minimum", 0)
        return least if least % step == 0 else (least // step + 1) * step
    if "exclusiveMinimum" in schema:
        return (_number(schema, "exclusiveMinimum", 0) // step + 1) * step
    most = _number(schema, "maximum", _number(schema, "exclusiveMaximum", step) - step)
    return min(0, most // step * step)


def _number(schema: Schema, name: str, default: int | float) -> int | float:
    value = schema.get(name, default)
    return value if isinstance(value, int | float) else default


def _part(schema: Schema, name: str) -> Schema:
    part = schema.get(name)
    return part if isinstance(part, Mapping) else {}


def _resolve(pointer: str, root: Schema) -> Schema:
    """What a reference within the document names (RFC 6901), e.g. `#/$defs/Step`."""
    found = root
    for name in pointer.removeprefix("#").split("/")[1:]:
        found = _part(found, name.replace("~1", "/").replace("~0", "~"))
    return found

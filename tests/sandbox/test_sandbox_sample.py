"""Documents that fit a schema: as structured outputs allow schemas, with nothing in them that need not be."""

import pytest

from understudy.sandbox.sample import sample

NODE = {"type": "object", "required": ["next"], "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
POINTED = {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 7}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "said"),
        ({"type": "string", "maxLength": 2}, "sa"),
        ({"type": "string", "minLength": 6}, "saidxx"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, None),
        ({"type": ["string", "integer"]}, "said"),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 5}, 5),
        ({"type": "array", "items": {"type": "boolean"}}, []),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "said"}),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        (POINTED, 7),
        (NODE, {"next": None}),
    ],
    ids=str,
)
def test_the_smallest_document_is_made(schema: dict[str, object], value: object) -> None:
    assert sample(schema, "said") == value


def test_what_is_no_schema_is_nothing() -> None:
    assert sample(None) is None

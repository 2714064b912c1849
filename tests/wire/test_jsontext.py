"""JSON read strictly, with the text of each part kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.jsontext import dump_array, dump_object, elements, loads, members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

NOT_JSON = {
    "nothing": b"",
    "NaN": b"NaN",
    "infinity": b'{"a": -Infinity}',
    "a float beyond all": b'{"a": 1e999}',
    "an integer of 5000 digits": b"9" * 5000,
    "nested too deeply": b"[" * 100_000,
    "objects nested too deeply": b'{"a":' * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
    "something after it": b"{} {}",
    "cut": b'{"a": ',
    "no comma": b'{"a": 1 "b": 2}',
    "no colon": b'{"a" 1}',
    "a comma too many": b'{"a": 1,}',
    "a name that is no string": b"{a: 1}",
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_json_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError):
        loads(data)
    with pytest.raises(ValueError):
        members(data)


@pytest.mark.parametrize("data", [b"[]", b"1", b'"{}"', b"null"])
def test_only_an_object_has_members(data: bytes) -> None:
    loads(data)
    with pytest.raises(ValueError):
        members(data)


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_a_value_error(data: bytes) -> None:
    for read in (loads, members, lambda data: elements(data.decode("latin-1"))):
        try:
            read(data)
        except ValueError:
            pass


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]), st.booleans())
def test_members_agree_with_the_standard_library(value: dict[str, object], indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    found = members(text)
    assert {name: part.value for name, part in found.items()} == value
    assert list(found) == list(value)
    assert json.loads(dump_object({name: part.raw for name, part in found.items()})) == value


def test_each_part_keeps_its_exact_text() -> None:
    text = ' { "n" : 1.0E+2 , "s":"\\u00e9\\/", "list" : [ 1.50 , {"b": 2, "a": 1} ] } '
    found = members(text)
    assert found["n"].raw == "1.0E+2"
    assert found["s"].raw == '"\\u00e9\\/"'
    assert found["list"].raw == '[ 1.50 , {"b": 2, "a": 1} ]'
    assert [part.raw for part in elements(found["list"].raw)] == ["1.50", '{"b": 2, "a": 1}']


@given(st.lists(JSON), st.sampled_from([None, 1]))
def test_elements_agree_with_the_standard_library(value: list[object], indent: int | None) -> None:
    found = elements(json.dumps(value, indent=indent))
    assert [part.value for part in found] == value
    assert [json.loads(part.raw) for part in found] == value


def test_of_a_name_that_comes_twice_the_last_one_counts() -> None:
    assert members('{"a": 1, "a": 2}')["a"].value == 2


def test_a_byte_order_mark_is_let_pass() -> None:
    assert loads(b"\xef\xbb\xbf{}") == {}


def test_texts_are_put_together_as_they_are() -> None:
    assert dump_object({"a": "1.0", 'b"': "[ ]"}) == '{"a":1.0,"b\\"":[ ]}'
    assert dump_array(["1.0", "null"]) == "[1.0,null]"

"""Text of foreign origin, made safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.text import is_field_value, is_id, is_token, safe_text

BROKEN = ["\r\nx-evil: 1", "a\nb", "a\x00", "\x1b]0;title\x07", "a\x85b", "a\u2028b", "\ud800"]


@given(st.text())
def test_safe_text_is_short_and_cannot_steer_a_terminal(text: str) -> None:
    shown = safe_text(text)
    assert len(shown) <= 64
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in shown)
    shown.encode()


def test_safe_text_leaves_ordinary_words_alone() -> None:
    assert safe_text("Größe: 5 €") == "Größe: 5 €"


@pytest.mark.parametrize("value", BROKEN)
def test_nothing_that_ends_a_header_field_passes_for_a_part_of_one(value: str) -> None:
    assert not is_field_value(value)
    assert not is_id(value)
    assert not is_token(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("acc-1_A", True), ("", False), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("acc\n", False)],
)
def test_an_id_is_short_and_plain(value: str, expected: bool) -> None:
    assert is_id(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("eyJ.canary~+/=!", True), ("", False), ("two words", False), ("a\n", False), ("ä", False), ("a" * 16385, False)],
)
def test_a_token_is_visible_ascii_of_bounded_size(value: str, expected: bool) -> None:
    assert is_token(value) is expected

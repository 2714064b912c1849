"""Server-sent events, found in a body that arrives in pieces."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.sse import Decoder, Event

# What the backend sends, and all else that the standard allows.
CORPUS = {
    "as the backend sends it": (
        b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
        b'event: response.text.delta\ndata: {"type":"response.text.delta","delta":"\xc3\xa9\xe2\x82\xac"}\n\n'
        b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1"}}\n\n'
    ),
    "CR LF": b'event: a\r\ndata: {"n":1}\r\n\r\nevent: b\r\ndata: {"n":2}\r\n\r\n',
    "CR": b'event: a\rdata: {"n":1}\r\revent: b\rdata: {"n":2}\r\r',
    "line ends of all kinds": b"event: a\r\ndata: 1\n\r\nevent: b\rdata: 2\r\n\rdata: 3\n\ndata: 4\n\r",
    "a byte order mark": b'\xef\xbb\xbfdata: {"type":"a"}\n\ndata: {"type":"b"}\n\n',
    "comments": b": ping\n\nevent: a\n: within\ndata: 1\n\n:\n\n",
    "several data lines": b'data: {"type":\ndata: "a"}\n\nevent: b\ndata\ndata:  x\n\n',
    "other fields": b'id: 7\nretry: 10\nevent: a\ndata: {}\nfoo\n\nevent:b\ndata:{"x":1}\n\n',
    "blank lines in a row": b"\n\n\n\ndata: 1\n\n\n\n\nevent: a\ndata: 2\n\n",
    "a name after the data": b"data: 1\nevent: a\n\n",
}
corpus = pytest.mark.parametrize("body", CORPUS.values(), ids=CORPUS.keys())

FRAGMENTS = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"data: ", b"event: ", b'{"type":"a"}', b"x", b":", b" ", b"\xef\xbb\xbf", b"\xe2\x82"]
    ),
    max_size=40,
).map(b"".join)


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.flush()


def types(*pieces: bytes) -> list[str]:
    return [event.type for event in decode(*pieces)]


@corpus
def test_every_single_cut_gives_the_same_events(body: bytes) -> None:
    whole = decode(body)
    for at in range(len(body) + 1):
        assert decode(body[:at], body[at:]) == whole


@corpus
def test_byte_by_byte_gives_the_same_events(body: bytes) -> None:
    assert decode(*(body[at : at + 1] for at in range(len(body)))) == decode(body)


@corpus
def test_the_raw_bytes_of_all_events_are_the_body(body: bytes) -> None:
    assert b"".join(event.raw for event in decode(body)) == body


@given(FRAGMENTS, st.lists(st.integers(0, 200), max_size=6))
def test_any_cuts_of_any_bytes_give_the_same_events(body: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decode(*(body[a:b] for a, b in itertools.pairwise(places))) == decode(body)


@given(st.binary() | FRAGMENTS)
def test_no_byte_of_any_body_is_lost(body: bytes) -> None:
    decoder = Decoder()
    events = decoder.feed(body) + decoder.flush()
    given_out = b"".join(event.raw for event in events)
    assert body.startswith(given_out)
    assert len(given_out) + decoder.pending == len(body)


def test_an_event_is_what_the_backend_meant() -> None:
    raw = b'event: response.created\ndata: {"type":"response.created"}\n\n'
    assert decode(raw) == [Event("response.created", b'{"type":"response.created"}', raw)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CR LF", "CR"])
def test_data_lines_are_joined_by_line_feeds_whatever_ends_them(end: bytes) -> None:
    body = end.join([b"event: a", b"data: 1", b"data:2", b"data:  3", b"", b""])
    assert [(event.type, event.data) for event in decode(body)] == [("a", b"1\n2\n 3")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"type":"response.created","x":1}', "response.created"),
        (b'{ "type" : "error" }', "error"),
        (b'{"response":{"type":"inner"},"type":"outer"}', "outer"),
        (b'{"type":"with \\"escape\\""}', 'with "escape"'),
        (b'{"type":7}', ""),
        (b'{"x":1}', ""),
        (b"[DONE]", ""),
        (b"[" * 100_000, ""),
    ],
    ids=["first", "with spaces", "not first", "escaped", "no string", "absent", "no object", "too deep"],
)
def test_an_event_without_a_name_goes_by_the_type_of_its_data(data: bytes, expected: str) -> None:
    assert types(b"data: " + data + b"\n\n") == [expected]


def test_the_event_field_goes_before_the_type_of_the_data() -> None:
    assert types(b'event: a\ndata: {"type":"b"}\n\n') == ["a"]


@pytest.mark.parametrize("body", [b": ping\n\n", b"\n\n", b"event: a\n\n", b"id: 1\n\n"])
def test_what_has_no_data_is_an_event_without_a_type(body: bytes) -> None:
    assert decode(body) == [Event("", b"", body)]


def test_a_name_that_is_not_utf8_raises_nothing() -> None:
    assert types(b"event: \xff\ndata: 1\n\n") == ["\ufffd"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"], ids=["no line end", "LF", "CR LF", "CR"])
def test_a_last_event_without_its_blank_line_is_given_at_the_end(end: bytes) -> None:
    body = b'event: response.completed\ndata: {"type":"response.completed"}' + end
    decoder = Decoder()
    assert decoder.feed(body) == []
    assert [(event.type, event.raw) for event in decoder.flush()] == [("response.completed", body)]
    assert decoder.pending == 0


@pytest.mark.parametrize("rest", [b"event: respon", b'event: a\ndata: {"type":"a","del', b'data: {"a":\n'])
def test_a_last_event_that_was_cut_is_left_out(rest: bytes) -> None:
    decoder = Decoder()
    decoder.feed(rest)
    assert decoder.flush() == []
    assert decoder.pending == len(rest)


def test_an_event_is_given_with_its_last_byte_not_later() -> None:
    decoder = Decoder()
    assert decoder.feed(b"event: a\ndata: 1\n") == []
    assert decoder.pending == 17
    assert [event.type for event in decoder.feed(b"\n")] == ["a"]
    assert decoder.pending == 0


@pytest.mark.parametrize("size", [1, 10, 10_000], ids=lambda size: f"in pieces of {size}")
def test_an_event_over_the_limit_is_refused_however_it_comes(size: int) -> None:
    limit = 200
    fits, too_large = (b"data: " + b"a" * (count - 8) + b"\n\n" for count in (limit, limit + 1))
    decoder = Decoder(limit)
    assert len([e for at in range(0, limit, size) for e in decoder.feed(fits[at : at + size])]) == 1
    with pytest.raises(ValueError, match="larger than 200 bytes"):
        for at in range(0, len(too_large), size):
            decoder.feed(too_large[at : at + size])


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CR LF"])
def test_a_huge_event_in_small_pieces_takes_linear_time(end: bytes) -> None:
    body = b'data: {"type":"x","d":"' + b"a" * 8_000_000 + b'"}' + end * 2
    began = time.perf_counter()
    assert len(decode(*(body[at : at + 512] for at in range(0, len(body), 512)))) == 1
    assert time.perf_counter() - began < 3.0

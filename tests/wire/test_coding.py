"""Content codings undone, within bounds."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from understudy.wire.coding import MIB, RequestRefused, StreamDecoder, decode_body

TEXT = b'{"model": "gpt-5.1-codex", "input": "say hi"} ' * 200


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


def brotli_compress(data: bytes) -> bytes:
    return bytes(brotli.compress(data))


def zstd_stream(data: bytes) -> bytes:
    """As a streaming sender writes it: the frame does not name its size."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zstd": ("zstd", zstandard.ZstdCompressor(level=3).compress),
    "zstd without a size": ("zstd", zstd_stream),
    "zstd in two frames": ("zstd", lambda data: zstd_stream(data[:99]) + zstd_stream(data[99:])),
    "gzip": ("gzip", gzip.compress),
    "gzip by its old name, in capitals": ("X-GZIP", gzip.compress),
    "gzip in two members": ("gzip", lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without its wrapper": ("deflate", raw_deflate),
    "brotli": ("br", brotli_compress),
    "none": ("", bytes),
    "identity": ("identity", bytes),
    "two in a row": ("gzip, br", lambda data: brotli_compress(gzip.compress(data))),
}
coded = pytest.mark.parametrize(("name", "encode"), CODINGS.values(), ids=CODINGS.keys())
compressed = pytest.mark.parametrize(
    ("name", "encode"), [v for k, v in CODINGS.items() if k not in ("none", "identity")]
)

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zstd": ("zstd", lambda: zstd_stream(bytes(300 * MIB))),
    "gzip": ("gzip", lambda: gzip.compress(bytes(300 * MIB), 6)),
    "brotli": ("br", lambda: bytes(brotli.compress(bytes(300 * MIB), quality=4))),
    "gzip in gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(bytes(300 * MIB)))),
}


def refused(data: bytes, coding: str, limit: int = 64 * MIB) -> int:
    with pytest.raises(RequestRefused) as caught:
        decode_body(data, coding, limit)
    reply = caught.value.reply
    error = json.loads(reply.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].endswith(".")
    return reply.status


@coded
def test_a_body_is_decoded(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert decode_body(encode(TEXT), name) == TEXT


@coded
def test_an_answer_is_decoded_in_whatever_pieces_it_comes(name: str, encode: Callable[[bytes], bytes]) -> None:
    data = encode(TEXT)
    for size in (1, 7, 1000, len(data)):
        decoder = StreamDecoder(name)
        out = b"".join(decoder.feed(data[at : at + size]) for at in range(0, len(data), size))
        assert out + decoder.flush() == TEXT


def test_what_was_flushed_by_the_sender_is_there_at_once() -> None:
    deflater = zlib.compressobj(wbits=31)
    decoder = StreamDecoder("gzip")
    assert decoder.feed(deflater.compress(b"data: 1\n\n") + deflater.flush(zlib.Z_SYNC_FLUSH)) == b"data: 1\n\n"


@compressed
def test_a_body_cut_short_is_refused(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert refused(encode(TEXT)[:-5], name) == 400


@compressed
def test_a_body_that_is_not_what_it_says_is_refused(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert refused(TEXT, name) == 400


@pytest.mark.parametrize("name", ["compress", "gzip, snappy", "gzip;q=1", "gzip, " * 4 + "gzip", "\x00"])
def test_a_coding_that_we_do_not_know_is_refused(name: str) -> None:
    assert refused(TEXT, name) == 415
    with pytest.raises(ValueError):
        StreamDecoder(name)


@coded
def test_a_body_over_the_limit_is_refused_wherever_it_is_measured(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert refused(encode(TEXT), name, limit=len(TEXT) - 1) == 413
    assert decode_body(encode(TEXT), name, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize(("name", "make"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_has_grown(name: str, make: Callable[[], bytes]) -> None:
    bomb = make()
    tracemalloc.start()
    try:
        assert refused(bomb, name) == 413
        with pytest.raises(ValueError):
            StreamDecoder(name).feed(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 160 * MIB


@given(st.binary(max_size=200), st.sampled_from(["zstd", "gzip", "deflate", "br", "br, gzip"]))
def test_arbitrary_bytes_raise_nothing_unforeseen(data: bytes, name: str) -> None:
    try:
        decode_body(data, name)
    except RequestRefused as refusal:
        assert refusal.reply.status == 400
    try:
        StreamDecoder(name).feed(data)
    except ValueError:
        pass


def test_what_follows_the_end_of_a_deflate_stream_is_refused() -> None:
    decoder = StreamDecoder("deflate")
    assert decoder.feed(zlib.compress(TEXT)) == TEXT
    with pytest.raises(ValueError):
        decoder.feed(b"more")


def test_an_empty_body_is_empty_in_every_coding() -> None:
    assert decode_body(b"", "zstd") == b""

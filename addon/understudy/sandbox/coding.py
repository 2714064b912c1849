"""Content codings, both ways: request bodies decoded, streamed answers encoded piece by piece (RFC 9110, 8.4.1)."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator

import brotli  # type: ignore[import-untyped]
import zstandard

MAX_BODY = 64 * 1024 * 1024


def decode_body(data: bytes, coding: str) -> bytes:
    """The decoded request body. Raises ValueError where it does not decode, or the coding is not known."""
    for name in reversed([part.strip().lower() for part in coding.split(",") if part.strip()]):
        if name != "identity":
            data = _decode(data, name)
    return data


def _decode(data: bytes, name: str) -> bytes:
    try:
        match name:
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj().decompress(data)
            case "gzip" | "x-gzip":
                return gzip.decompress(data)
            case "deflate":
                return zlib.decompress(data)
            case "br":
                return bytes(brotli.decompress(data))
    except (zstandard.ZstdError, OSError, EOFError, zlib.error, brotli.error):
        raise ValueError(f"the body is no {name}") from None
    raise ValueError(f"unknown content coding {name!r}")


class Encoder:
    """Encodes a stream so that every piece can be decoded as soon as it arrives."""

    def __init__(self, coding: str) -> None:
        self._feed, self._finish = _ENCODERS[coding]()

    def encode(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, encoded one by one."""
        return map(self._feed, pieces)

    def finish(self) -> bytes:
        """What ends the stream."""
        return self._finish()


Pair = tuple[Callable[[bytes], bytes], Callable[[], bytes]]


def _zlib(window_bits: int) -> Pair:
    encoder = zlib.compressobj(wbits=window_bits)
    return lambda data: encoder.compress(data) + encoder.flush(zlib.Z_SYNC_FLUSH), lambda: encoder.flush()


def _brotli() -> Pair:
    encoder = brotli.Compressor(quality=4)
    return lambda data: encoder.process(data) + encoder.flush(), lambda: bytes(encoder.finish())


def _zstd() -> Pair:
    encoder = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return lambda data: encoder.compress(data) + encoder.flush(block), lambda: encoder.flush()


_ENCODERS: dict[str, Callable[[], Pair]] = {
    "gzip": lambda: _zlib(31),
    "deflate": lambda: _zlib(15),
    "br": _brotli,
    "zstd": _zstd,
}

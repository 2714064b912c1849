"""Content codings (RFC 9110, 8.4.1) undone within bounds: a small body never becomes a huge one in memory."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from understudy.wire.reply import Reply, openai_error

MIB = 1024 * 1024
BODY_LIMIT = 64 * MIB
"""Bytes of a host's body, both as it came and decoded."""
FEED_LIMIT = 16 * MIB
"""Decoded bytes that one chunk of an upstream answer may become."""


class RequestRefused(Exception):
    """The host's request cannot be carried out; `reply` is the answer that tells it why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


class StreamDecoder:
    """Undoes the content codings of an answer while it arrives."""

    def __init__(self, content_encoding: str | None) -> None:
        """`content_encoding`: the header field's value. Raises ValueError for a coding that we do not know."""
        self._links = _links(content_encoding)

    def feed(self, data: bytes) -> bytes:
        """What `data` decodes to so far. Raises ValueError where it does not decode, or to more than FEED_LIMIT."""
        return _join(_through(self._links, data), FEED_LIMIT)

    def flush(self) -> bytes:
        """The rest, once the body has ended.

        A coding that lacks its end is let pass: all it held was given out, and the events tell whether they are whole.
        """
        return b""


def decode_body(data: bytes, content_encoding: str | None, limit: int = BODY_LIMIT) -> bytes:
    """The host's body with its codings undone.

    Raises RequestRefused: 413 (over `limit` bytes before or after), 400 (does not decode), 415 (unknown coding).
    """
    if len(data) > limit:
        raise _too_large(limit)
    try:
        links = _links(content_encoding)
    except ValueError:
        known = ", ".join(_CODINGS)
        raise _refused(415, f"The request's Content-Encoding is not supported. Use one of: {known}, or none.") from None
    if not links:
        return data
    try:
        decoded = _join(_through(links, data), limit) if data else b""
    except _TooLarge:
        raise _too_large(limit) from None
    except ValueError:
        raise _refused(400, "The request's body does not decode as its Content-Encoding says.") from None
    if data and not all(link.ended for link in links):
        raise _refused(400, "The request's body ends before its Content-Encoding does.")
    return decoded


class _Inflater(Protocol):
    """What zlib's and zstandard's decompression objects have in common; they end with their member or frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Link(Protocol):
    """One coding on its way out. `step`: how many bytes may be fed at once, so that what comes out is bounded."""

    step: int

    @property
    def ended(self) -> bool: ...
    def decode(self, data: bytes) -> bytes: ...


class _Frames:
    """A coding whose body is one or more members (gzip, RFC 1952, 2.2) or frames (zstd, RFC 8878, 3)."""

    def __init__(self, make: Callable[[], _Inflater], step: int) -> None:
        self.step = step
        self._make = make
        self._current = make()

    @property
    def ended(self) -> bool:
        return self._current.eof

    def decode(self, data: bytes) -> bytes:
        out = bytearray()
        while data:
            if self._current.eof:
                self._current = self._make()
            out += self._current.decompress(data)
            data = self._current.unused_data
        return bytes(out)


class _Deflate:
    """The zlib format (RFC 9110, 8.4.1.2). Some senders leave its wrapper out, so the first two bytes decide."""

    step = 16 * 1024

    def __init__(self) -> None:
        self._head = b""
        self._inflater: _Inflater | None = None

    @property
    def ended(self) -> bool:
        return self._inflater is not None and self._inflater.eof

    def decode(self, data: bytes) -> bytes:
        if self._inflater is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            wrapped = self._head[0] & 0x0F == 8 and int.from_bytes(self._head[:2]) % 31 == 0  # RFC 1950, 2.2
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
            data = self._head
        elif self._inflater.eof:
            raise ValueError("data after the end of the deflate stream")
        return self._inflater.decompress(data)


class _Brotli:
    # A meta-block of about ten bytes can stand for 16 MiB (RFC 7932, 9.2), and brotli 1.1 cannot be told to stop.
    step = 16

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decode(self, data: bytes) -> bytes:
        return bytes(self._decompressor.process(data))


def _gzip() -> _Link:
    return _Frames(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), step=16 * 1024)


def _zstd() -> _Link:
    # A block of four bytes can stand for 128 KiB (RFC 8878, 3.1.1.2).
    decompressor = zstandard.ZstdDecompressor(max_window_size=128 * MIB)
    return _Frames(decompressor.decompressobj, step=512)


_CODINGS: dict[str, Callable[[], _Link]] = {
    "zstd": _zstd,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _Brotli,
}
_MOST_CODINGS = 4


def _links(content_encoding: str | None) -> list[_Link]:
    """The codings to undo, in the order of undoing: the last one applied comes first."""
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > _MOST_CODINGS or any(name not in _CODINGS for name in names):
        raise ValueError("unknown content coding")
    return [_CODINGS[name]() for name in reversed(names)]


def _through(links: Sequence[_Link], data: bytes) -> Iterator[bytes]:
    if not links:
        yield data
        return
    link, rest = links[0], links[1:]
    for at in range(0, len(data), link.step):
        try:
            piece = link.decode(data[at : at + link.step])
        except (zlib.error, zstandard.ZstdError, brotli.error) as error:
            raise ValueError("the content coding is broken") from error
        yield from _through(rest, piece)


def _join(pieces: Iterator[bytes], limit: int) -> bytes:
    out = bytearray()
    for piece in pieces:
        out += piece
        if len(out) > limit:
            raise _TooLarge("decodes to more than is allowed")
    return bytes(out)


class _TooLarge(ValueError):
    pass


def _too_large(limit: int) -> RequestRefused:
    return _refused(413, f"The request's body is larger than {limit // MIB} MiB.")


def _refused(status: int, message: str) -> RequestRefused:
    return RequestRefused(openai_error(status, message, type="invalid_request_error"))

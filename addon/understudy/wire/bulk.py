"""Long texts in base64 (images, files, ciphertexts), put aside while a body is read and changed.

Whatever is as large as 50 MiB is so because of them, and nobody reads them here: so a body is parsed, cut and put
together without them, and of them there is never more than the body that came and the one that goes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

LEAST = 64 * 1024
"""Characters of a text that is worth it."""
_STEP = LEAST // 2
_BASE64 = rb"[A-Za-z0-9+/=_-]"
_STRETCH = re.compile(_BASE64 + rb"{%d}" % _STEP)
# In JSON no such run begins behind a quote but in a string: so what was JSON stays so, and what was none as well.
_RUN = re.compile(rb'(?:(?<=")|(?<=base64,))' + _BASE64 + rb"{%d,}+" % LEAST)
_MARK = re.compile(rb"~([0-9a-f]{64})~")


@dataclass(frozen=True, slots=True)
class Bulk:
    """What was put aside, by its SHA-256: that stands in its place, so equal texts look equal."""

    texts: Mapping[bytes, memoryview] = field(default_factory=dict, repr=False)

    def back_in(self, lean: bytes) -> bytes:
        """What was made of the lean body, with each text back in its place. The same bytes where there is none."""
        if not self.texts:
            return lean
        pieces: list[bytes | memoryview] = []
        at = 0
        for mark in _MARK.finditer(lean):
            if (text := self.texts.get(mark[1])) is not None:
                pieces += (lean[at : mark.start()], text)
                at = mark.end()
        return b"".join((*pieces, lean[at:]))


def put_aside(body: bytes) -> tuple[bytes, Bulk]:
    """The body without its long texts, and these; they are parts of `body`, which lives as long as they do."""
    view, at = memoryview(body), 0
    texts: dict[bytes, memoryview] = {}
    pieces: list[bytes] = []
    for start, end in _runs(body):
        digest = sha256(view[start:end]).hexdigest().encode()
        texts[digest] = view[start:end]
        pieces += (body[at:start], b"~%s~" % digest)
        at = end
    if not texts:
        return body, Bulk()
    lean = b"".join((*pieces, body[at:]))
    marks = sum(mark[1] in texts for mark in _MARK.finditer(lean))
    # A body that has such a mark itself is left as it is.
    return (lean, Bulk(texts)) if marks == len(pieces) // 2 else (body, Bulk())


def _runs(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the long texts are. Looks at every `_STEP` bytes only: each text fills at least one such stretch."""
    at = 0
    while at < len(body):
        end = at
        if _STRETCH.match(body, at):
            before = max(at - _STEP, 0)
            start = 1 + max(body.rfind(b'"', before, at), body.rfind(b",", before, at))
            if found := _RUN.match(body, start):
                end = found.end()
                yield found.span()
        at = (max(end, at + 1) + _STEP - 1) // _STEP * _STEP

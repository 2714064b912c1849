"""How many tokens a request's input has, about: by the models' own vocabulary, which is on this machine."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from understudy.wire.coding import RequestRefused
from understudy.wire.jsontext import Part, members
from understudy.wire.reply import openai_error

if TYPE_CHECKING:
    from splintr import AnyTokenizer

VOCABULARY = "o200k_base"
"""Of all models since GPT-4o, as far as is known."""
PER_ITEM = 4
"""Tokens around an item: its role, and where it begins and ends (OpenAI cookbook, "How to count tokens")."""
AROUND = 3
"""Tokens before the answer (there, too)."""
IMAGE = 1844
"""Tokens of an image, a file or a recording, whatever its size: Codex's own estimate of an image (7373 bytes)."""
LOW_DETAIL = 85
"""Tokens of an image with `detail: low` (platform documentation, images)."""
SEALED = 650
"""Bytes of a piece of encrypted reasoning that are no reasoning, by Codex's own estimate."""
BYTES_PER_TOKEN = 4
"""Of reasoning that cannot be read (there, too)."""

EXACT = 4 * 1024 * 1024
"""Characters up to which all are counted: that takes less than half a second. Of more, as many are, spread evenly."""
BLOCK = 16 * 1024
"""Characters counted at once, which takes a few milliseconds, while other threads stand still."""

_NO_TEXT = frozenset({"type", "id", "call_id", "role", "status", "detail", "phase"})
"""Members that the model does not read, or that PER_ITEM stands for."""
_MEDIA = frozenset({"image_url", "file_id", "file_url", "file_data", "input_audio", "result"})
"""Members that are, or name, an image, a file or a recording; `result` is a generated image."""


def input_tokens(body: bytes) -> int:
    """About how many tokens the model reads of a request, `{"input": "..." or [...], "instructions", "tools", ...}`.

    What the backend adds of its own is not known, and not in it. Raises RequestRefused with 400 for what is no such
    object. A large body takes a second or so.
    """
    given = _given(body)
    listed = given["input"].value
    items = listed if isinstance(listed, list) else [listed]
    texts, tokens = _read(items)
    texts += (text for name in ("instructions", "tools", "text") if (text := _text(given.get(name))))
    return AROUND + PER_ITEM * len(items) + tokens + _count(texts)


def _given(body: bytes) -> dict[str, Part]:
    try:
        given = members(body)
    except ValueError:
        raise _refused("The request's body is not a JSON object. Send the parameters of a response as JSON.") from None
    if "input" not in given or given["input"].value is None:
        raise _refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if not isinstance(given["input"].value, str | list):
        raise _refused("Invalid type for 'input': expected a string or an array of items.", "input", "invalid_type")
    return given


def _text(part: Part | None) -> str:
    """What the model reads of a parameter: the text itself, or the JSON of tools and of the answer's format."""
    if part is None or isinstance(part.value, str):
        return part.value if part and isinstance(part.value, str) else ""
    return _json(part.value) if part.value else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read(items: Sequence[object]) -> tuple[list[str], int]:
    """All text in the items, and the tokens of what is no text. Not by recursion: they may be nested deeply."""
    texts: list[str] = []
    tokens = 0
    left = list(items)
    while left:
        value = left.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            for name, member in value.items():
                if name in _MEDIA and member:
                    tokens += LOW_DETAIL if value.get("detail") == "low" else IMAGE
                elif name == "encrypted_content" and isinstance(member, str):
                    tokens += max(0, len(member) * 3 // 4 - SEALED) // BYTES_PER_TOKEN
                elif name == "tools":
                    texts.append(_json(member))
                elif name not in _NO_TEXT:
                    left.append(member)
    return texts, tokens


def _count(texts: Iterable[str]) -> int:
    """The tokens of the texts: all of them, or what a part of them lets expect."""
    texts = list(texts)
    length = sum(map(len, texts))
    counted = tokens = 0
    for block in islice(_blocks(texts), 0, None, length // EXACT + 1):
        counted += len(block)
        tokens += _tokens(block)
    return round(tokens * length / counted) if counted else 0


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    return (text[at : at + BLOCK] for text in texts for at in range(0, len(text), BLOCK))


def _tokens(text: str) -> int:
    try:
        return len(_vocabulary().encode_ordinary(text))
    except UnicodeEncodeError:  # Half a surrogate pair, which JSON can spell.
        return _tokens(text.encode(errors="replace").decode())


@cache
def _vocabulary() -> "AnyTokenizer":
    # Imported here: it is large, and few programs ask.
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(VOCABULARY)


def _refused(message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    return RequestRefused(openai_error(400, message, type="invalid_request_error", code=code, param=param))

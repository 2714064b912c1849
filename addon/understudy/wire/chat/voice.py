"""A Responses answer told to a host that speaks Chat Completions: as chunks, or as the one completion."""

import json
from collections.abc import Iterable

from understudy.wire.answer import Stage, error_of, stage
from understudy.wire.chat.completion import chunk_delta, finish_reason, head, message, usage
from understudy.wire.chat.options import ChatOptions
from understudy.wire.chat.pieces import Json, Piece, Pieces
from understudy.wire.jsontext import loads
from understudy.wire.reply import error_object
from understudy.wire.sse import Event

_DONE = b"data: [DONE]\n\n"
_ROLE = {"role": "assistant", "content": "", "refusal": None}
_TIER = "service_tier"


class ChatVoice:
    """Tells one answer. It fits the Protocol `Voice`."""

    def __init__(self, options: ChatOptions, seed: str, now: float) -> None:
        """`seed` is the end of the completion's id, and `now`, in epoch seconds, the time it was made, where the
        answer does not say."""
        self._options = options
        self._seed = seed
        self._now = now
        self._pieces = Pieces(options.stop)
        self._head: dict[str, object] = {}
        self._begun = self._ended = False

    def tell(self, event: Event) -> bytes:
        """The chunks that tell a Responses event; nothing for what chat completions have no room for."""
        reached = stage(event.type)
        if self._ended or reached is Stage.VENDOR:
            return b""
        if reached is Stage.FAILED:
            words = error_of(event)
            return self.error(words.message or "The answer failed.", words.code, words.type or "server_error")
        data = _object(event.data)
        response = data.get("response")
        response = response if isinstance(response, dict) else {}
        if reached is Stage.OUTPUT:
            return self._pass_on(self._pieces.hear(event.type, data))
        self._learn(response)
        if reached is Stage.LIFECYCLE:
            return self._begin() if response else b""
        return self._finish(response | ({"status": "incomplete"} if reached is Stage.INCOMPLETE else {}))

    def error(self, message: str, code: str, type: str) -> bytes:
        """The event that ends a stream which cannot be completed: OpenAI's SDKs raise its error.

        No `[DONE]` follows: for a host that does not look for errors the stream is then not whole, which it is not.
        """
        self._ended = True
        return _event(error_object(message, type, code or None))

    def whole(self, response: bytes) -> bytes:
        """The `chat.completion` object. Raises ValueError where `response` is no Responses object."""
        given = loads(response)
        if not isinstance(given, dict) or not isinstance(given.get("output"), list):
            raise ValueError("the answer is not a Responses object")
        pieces, legacy = Pieces(self._options.stop), self._options.legacy_functions
        told = message(pieces.end(given), legacy=legacy)
        reason = finish_reason(pieces, given, legacy=legacy)
        completion = {
            **head(given, self._options.model, self._seed, self._now),
            **_tier(given),
            "object": "chat.completion",
            "choices": [{"index": 0, "message": told, "logprobs": None, "finish_reason": reason}],
            "usage": usage(given),
        }
        return json.dumps(completion).encode()

    def _learn(self, response: Json) -> None:
        if not self._head:
            named = head(response, self._options.model, self._seed, self._now)
            self._head = {**named, "object": "chat.completion.chunk"}
        self._head |= _tier(response)

    def _begin(self) -> bytes:
        """The chunk that comes before all others, once."""
        if self._begun:
            return b""
        self._begun = True
        self._learn({})
        return self._chunk(_choice(_ROLE))

    def _pass_on(self, pieces: Iterable[Piece]) -> bytes:
        deltas = [chunk_delta(piece, legacy=self._options.legacy_functions) for piece in pieces]
        told = [delta for delta in deltas if delta]
        return b"".join((self._begin(), *(self._chunk(_choice(delta)) for delta in told))) if told else b""

    def _finish(self, response: Json) -> bytes:
        self._ended = True
        rest = self._begin() + self._pass_on(self._pieces.end(response))
        reason = finish_reason(self._pieces, response, legacy=self._options.legacy_functions)
        used = usage(response) if self._options.include_usage else None
        counted = self._chunk(used=used) if used else b""
        return rest + self._chunk(_choice({}, reason)) + counted + _DONE

    def _chunk(self, *choices: Json, used: Json | None = None) -> bytes:
        counted = {"usage": used} if self._options.include_usage else {}
        return _event({**self._head, "choices": choices, **counted})


def _choice(delta: Json, reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _tier(response: Json) -> dict[str, object]:
    return {_TIER: response[_TIER]} if isinstance(response.get(_TIER), str) else {}


def _object(data: bytes) -> dict[str, object]:
    try:
        value = loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"

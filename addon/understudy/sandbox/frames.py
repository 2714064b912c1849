"""Performances as they are on a WebSocket: one text frame for each event, and refusals as an error event. Pure."""

import json
from dataclasses import dataclass, field

from understudy.sandbox.performance import Performance
from understudy.sandbox.stream import Event, Json

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
"""The events that end an answer, and leave the connection open."""
_TOLD = ("x-codex-", "retry-after")
"""The header fields that an error event has with it begin so."""


@dataclass(slots=True)
class Reel:
    """Makes frames of an answer's pieces, and keeps the items that were sent whole."""

    items: list[Json] = field(default_factory=list)
    last: str = ""
    """Type of the latest frame."""
    _half: bytes = b""

    def feed(self, piece: Event) -> Event | None:
        """The frame that a piece of the answer completes; None where it completes none, or is no event."""
        self._half += piece.data
        if not self._half.endswith(b"\n\n"):
            return None
        whole, self._half = self._half, b""
        _, found, data = whole.partition(b"\ndata: ")
        if not found:
            return None
        return self._keep(Event(piece.type, data.rstrip(b"\n")))

    @property
    def ended(self) -> bool:
        """Whether the answer is whole."""
        return self.last in ENDS

    @property
    def kept(self) -> bool:
        """Whether a later message can follow from it."""
        return self.last in ("response.completed", "response.incomplete")

    def _keep(self, frame: Event) -> Event:
        self.last = frame.type
        if frame.type == "response.output_item.done":
            self.items.append(json.loads(frame.data)["item"])
        return frame


def error_frame(performance: Performance) -> Event | None:
    """A refusal as the frame `error`; None where its body is no JSON, and nothing but closing is left to do."""
    try:
        body = json.loads(b"".join(piece.data for piece in performance.pieces))
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        # How the backend's own layer refuses on a WebSocket is not known.
        message = body.get("detail") if isinstance(body, dict) else body
        error = {"type": "invalid_request_error", "code": None, "message": message, "param": None}
    told = {name: value for name, value in performance.headers if name.lower().startswith(_TOLD)}
    frame = {"type": "error", "status": performance.status, "error": error, "headers": told}
    return Event("error", json.dumps(frame).encode())

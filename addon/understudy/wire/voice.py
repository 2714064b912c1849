"""How an answer is told to a host that speaks another dialect than Responses."""

from typing import Protocol

from understudy.wire.sse import Event


class Voice(Protocol):
    """Tells one answer. Every attempt's answer has a voice of its own; it hears the events in their order."""

    def tell(self, event: Event) -> bytes:
        """What a host that streams hears of a Responses event: whole events of its own dialect, or nothing."""
        ...

    def error(self, message: str, code: str, type: str) -> bytes:
        """The end of a stream that has begun and cannot be completed: the event that says so, in its dialect."""
        ...

    def whole(self, response: bytes) -> bytes:
        """The one JSON object for a host that asked for no stream, from the whole Responses object.

        Raises ValueError where that object is not what it should be.
        """
        ...

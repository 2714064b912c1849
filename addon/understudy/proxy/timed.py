"""A stream with a sense of time, which mitmproxy's own do not have: its layer wakes it (see `layer`)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mitmproxy.connection import Connection
from mitmproxy.proxy import context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpStream
from mitmproxy.proxy.layers.http._base import HttpEvent

from understudy.proxy.turn import Turns
from understudy.wire.stored import Latest

if TYPE_CHECKING:
    from understudy.proxy.socket import Opening

Steps = Generator[Any, Any, None]
"""What a layer yields: commands; what it is sent: their replies."""


@dataclass
class DeadlineReached(HttpEvent):
    """The time that a stream asked to be woken at has come. Streams check it against their clock."""


class Parent(Protocol):
    """What a stream needs of its layer."""

    turns: Turns
    to_arm: bool
    """A deadline has changed, and the timer with it."""

    def register(self, stream: "TimedStream") -> int:
        """A new stream id for an attempt of `stream`."""
        ...

    def unsend(self, attempt_id: int, connection: Connection) -> bool:
        """Takes back an attempt that was not sent yet. Whether there was something to take back."""
        ...

    def upgrade(self, opening: "Opening") -> None:
        """The host's connection becomes a WebSocket, once the answer of the upgrade's stream has ended."""
        ...


class TimedStream(HttpStream):
    """It says when it wants to be woken, and what its host is to hear meanwhile."""

    def __init__(self, ctx: context.Context, stream_id: int, parent: Parent) -> None:
        super().__init__(ctx, stream_id)
        self._parent = parent
        self.memory: Latest | None = None
        """What the WebSocket remembers which the request came over."""
        self._deadline: float | None = None
        self.keepalive_at: float | None = None
        """Monotonic seconds at which the layer sends the host a sign of life; None: it needs none."""
        self.connecting: GetHttpConnection | None = None
        """The connection that this stream waits for; it hears nothing else until it has it, no deadline either."""

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which this stream wants to be woken."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._parent.to_arm = True

    @property
    def due(self) -> float | None:
        """Monotonic seconds at which the layer has to look after this stream."""
        return min((at for at in (self._deadline, self.keepalive_at) if at is not None), default=None)

    def _sleep(self) -> None:
        """From here on this stream is not to be woken, and its host needs no more signs of life."""
        self.deadline = self.keepalive_at = None

    def _wait_until(self, deadline: float | None, state: Any) -> None:
        self.server_state = state
        self.deadline = deadline

"""Who asks the model: an account by its token, or a key of the Platform, each by the steps that it has."""

from typing import Protocol

from starlette.requests import HTTPConnection

from understudy.sandbox.journal import Record
from understudy.sandbox.performance import Performance
from understudy.sandbox.prompts import Call
from understudy.sandbox.replies import Reply


class Caller(Protocol):
    """Somebody whose token or key is good."""

    def refusal(self, call: Call, *, lite: bool) -> Reply | None:
        """Why this request is not taken; None where it is. `lite`: whether it says that it is a Lite one."""

    def perform(self, call: Call, record: Record) -> Performance:
        """The answer, by the next step; a prewarm takes none."""

    def greet(self, record: Record) -> Performance:
        """The answer to a WebSocket's handshake; a 200 stands for its acceptance, with the header fields of that."""

    def decline(self, reply: Reply) -> Performance:
        """A refusal, with the header fields of every answer."""


class Door(Protocol):
    """An endpoint of the Responses API."""

    def admit(self, connection: HTTPConnection) -> Caller | Performance:
        """Who asks, or the refusal. The journal learns whose token came, and never the token."""

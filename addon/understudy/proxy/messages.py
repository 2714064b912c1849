"""Between mitmproxy's messages and our values: header fields, replies, copies, and exceptions fit for a log."""

import time
from copy import copy
from typing import TypeVar

from mitmproxy import http

from understudy.wire.reply import Headers, Reply

Message = TypeVar("Message", http.Request, http.Response)


CREDENTIALS = frozenset({b"authorization", b"openai-organization", b"openai-project", b"cookie", b"x-api-key"})
"""What a host sends to be billed by: never sent upstream, and in no flow that is ours."""


def take_credentials(request: http.Request) -> None:
    """Takes them off a host's request."""
    kept = (field for field in request.headers.fields if field[0].lower() not in CREDENTIALS)
    request.headers.fields = tuple(kept)


def with_headers(message: Message, headers: http.Headers) -> Message:
    """A copy of a request or response with these headers; its content is shared.

    Not `message.copy()`: that is a round trip through the message's state, type checks included, on every request.
    """
    copied = copy(message)
    copied.data = copy(message.data)
    copied.data.headers = headers
    return copied


def fields(headers: http.Headers) -> Headers:
    """mitmproxy's header fields as text."""
    return tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in headers.fields)


def header_fields(headers: Headers) -> http.Headers:
    """Text as mitmproxy's header fields."""
    return http.Headers([(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers])


def response_of(reply: Reply) -> http.Response:
    """A reply as mitmproxy's response; its length is set here."""
    now = time.time()
    headers = header_fields((*reply.headers, ("content-length", str(len(reply.body)))))
    # Not `Response.make()`: every claimed request has a refusal armed, and that one takes its time.
    return http.Response(b"HTTP/1.1", reply.status, b"", headers, reply.body, None, now, now)


def place_of(error: BaseException) -> str:
    """An exception's type and where it was raised, without its message, which might quote a request."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__} at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"

"""What a client says on a WebSocket, `response.create`, and how one response follows from the one before. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from understudy.sandbox.prompts import Call
from understudy.sandbox.replies import Reply, error_reply
from understudy.sandbox.stream import Form

LITE_MEMBER = "ws_request_header_x_openai_internal_codex_responses_lite"
"""What stands in `client_metadata` for the header field of a Lite request."""
TRANSPORT = ("type", "generate", "previous_response_id")
BUSY = error_reply(400, "Another response is in progress on this connection.", code="response_in_progress")
"""One response at a time. The real wording is not known."""
EXPIRED = error_reply(
    400,
    "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.",
    code="websocket_connection_limit_reached",
)


@dataclass(frozen=True, slots=True)
class Link:
    """The newest response of a connection: its id, and all items up to its end."""

    response_id: str
    items: Sequence[object]


@dataclass(frozen=True, slots=True)
class Create:
    """A `response.create`: the request as it would be without what came before on the connection."""

    call: Call
    lite: bool


def read_create(frame: object, newest: Link | None) -> Create | Reply:
    """What a message asks for, or why it is not taken. The words for what is no `response.create` are not known."""
    if not isinstance(frame, dict):
        return error_reply(400, "We could not parse the JSON body of your request.")
    if frame.get("type") != "response.create":
        message = f"Invalid value: '{frame.get('type')}'. Supported values are: 'response.create'."
        return error_reply(400, message, code="invalid_value", param="type")
    body = {name: value for name, value in frame.items() if name not in TRANSPORT}
    earlier = _earlier(frame.get("previous_response_id"), newest)
    if isinstance(earlier, Reply):
        return earlier
    if earlier:
        items = body.get("input")
        body["input"] = [*earlier, *(items if isinstance(items, list) else [{"role": "user", "content": items}])]
    body.setdefault("stream", True)
    form = Form.PREWARM if frame.get("generate") is False else Form.FRAMES
    metadata = body.get("client_metadata")
    lite = isinstance(metadata, Mapping) and metadata.get(LITE_MEMBER) == "true"
    return Create(Call(body, len(json.dumps(body)), form), lite)


def _earlier(previous: object, newest: Link | None) -> Sequence[object] | Reply:
    if previous is None:
        return ()
    if newest is None or previous != newest.response_id:
        message, param = f"Previous response with id '{previous}' not found.", "previous_response_id"
        return error_reply(400, message, code="previous_response_not_found", param=param)
    return newest.items

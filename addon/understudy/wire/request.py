"""The host's request as a value, and the header fields of the upstream request made from it."""

from dataclasses import dataclass

from understudy.wire.coding import RequestRefused as RequestRefused
from understudy.wire.coding import decode_body
from understudy.wire.identity import host_name, is_codex, passed_headers, session_of
from understudy.wire.parameters import read_parameters
from understudy.wire.reply import Headers, header
from understudy.wire.text import is_field_value, is_id

_LITE_FIELD = "x-openai-internal-codex-responses-lite"
_OWN_NAME = "understudy"


@dataclass(frozen=True, slots=True)
class HostRequest:
    """A Responses request of a host, ready for any account."""

    model: str
    stream: bool
    """Whether the host asked for a stream: by the body's `stream` alone, the SDKs' Accept says nothing."""
    codex: bool
    """Whether the host is a Codex program: only such a one gets the backend's vendor events."""
    host_name: str
    """The product its User-Agent names, for the log."""
    session: str | None
    """SHA-256, in hex, of what names its session; None where nothing does."""
    headers: Headers
    """What of its header fields goes upstream; names in lower case."""
    body: bytes
    """The upstream body: JSON, not encoded."""
    removed: tuple[str, ...]
    """The parameters that were given and left behind."""


def read_request(headers: Headers, content: bytes) -> HostRequest:
    """Reads `POST /v1/responses`. `content`: the body as it came, in whatever coding.

    Raises RequestRefused, and nothing else, whatever the bytes are.
    """
    encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
    parameters = read_parameters(decode_body(content, encoding))
    lite = ((_LITE_FIELD, "true"),) if parameters.lite else ()
    return HostRequest(
        model=parameters.model,
        stream=parameters.stream,
        codex=is_codex(headers),
        host_name=host_name(headers),
        session=session_of(headers, parameters.session_keys),
        headers=(*passed_headers(headers), *lite),
        body=parameters.body,
        removed=parameters.removed,
    )


def upstream_headers(
    request: HostRequest, account_id: str, *, fedramp: bool, turn_state: bool, version: str
) -> Headers:
    """The header fields of the upstream request, but for authorization, host and content-length.

    A host that says who it is keeps its name; one without an `originator` goes by ours, at `version`. `turn_state`:
    whether `x-codex-turn-state` may go along, which only the account that gave it understands.
    Raises ValueError for an account id that is none.
    """
    if not is_id(account_id):
        raise ValueError("the account's id has characters that no id has; import the account again")
    left_out = {"originator", "user-agent"} | (set() if turn_state else {"x-codex-turn-state"})
    originator = header(request.headers, "originator")
    own_agent = f"{_OWN_NAME}/{version}"
    agent = header(request.headers, "user-agent") if originator else None
    fields = (
        ("accept", "text/event-stream"),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("chatgpt-account-id", account_id),
        *((("x-openai-fedramp", "true"),) if fedramp else ()),
        ("originator", originator or _OWN_NAME),
        ("user-agent", agent or own_agent),
        *((name, value) for name, value in request.headers if name not in left_out),
    )
    if not all(is_field_value(value) for _, value in fields):
        raise ValueError("a header field of the request has characters that none may have")
    return fields

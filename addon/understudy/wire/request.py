"""The host's request as a value, and the header fields of the upstream request made from it."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from understudy.wire import items
from understudy.wire.bulk import put_aside
from understudy.wire.coding import RequestRefused as RequestRefused
from understudy.wire.coding import decode_body
from understudy.wire.identity import TURN_STATE, answer_key, host_name, is_codex, passed_headers, session_of, thread_of
from understudy.wire.identity import turn_state_key as turn_state_key
from understudy.wire.jsontext import dump_object, members
from understudy.wire.parameters import read_parameters
from understudy.wire.provider import CODEX, Rules
from understudy.wire.reply import Headers, header
from understudy.wire.text import is_field_value, is_id

_LITE_FIELD = "x-openai-internal-codex-responses-lite"
_OWN_NAME = "understudy"


@dataclass(frozen=True, slots=True)
class HostRequest:
    """A Responses request of a host, ready for any account at a provider."""

    rules: Rules
    """Those of the provider that `headers` and `body` are for."""
    model: str
    stream: bool
    """Whether the host asked for a stream: by the body's `stream` alone, the SDKs' Accept says nothing."""
    codex: bool
    """Whether the host is a Codex program: only such a one gets the backend's vendor events."""
    host_name: str
    """The product its User-Agent names, for the log."""
    session: str | None
    """SHA-256, in hex, of what names its session, or of what it began with, where it goes on; None where it is new and
    nothing names it."""
    named: bool
    """Whether the host itself names it."""
    thread: str | None
    """The same of what it begins with: by that it is known when it goes on."""
    turn_state: str | None
    """SHA-256, in hex, of the turn state that it brings back to the account which gave it; None where it has none."""
    held: bool
    """Whether it has items that only the account which made them can read."""
    headers: Headers
    """What of its header fields goes upstream; names in lower case."""
    body: bytes
    """The upstream body: JSON, not encoded."""
    removed: tuple[str, ...]
    """The parameters that were given and left behind."""
    metadata: str | None = field(default=None, repr=False)
    """The host's notes for itself, as JSON text, which it wants to find in the answer; None where it has none."""
    store: bool = False
    """Whether the host says in so many words that it wants the answer stored: that is what it gets where it says
    nothing, too."""
    background: bool = False
    """Whether the host does not wait for the answer."""
    begins_nothing: bool = False
    """Whether the request is to be remembered, and not answered (`generate: false`)."""


def decoded(headers: Headers, content: bytes) -> bytes:
    """A host's body without its content codings. Raises RequestRefused."""
    encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
    return decode_body(content, encoding)


def read_request(headers: Headers, content: bytes, rules: Rules = CODEX, previous: str | None = None) -> HostRequest:
    """Reads `POST /v1/responses` for a provider. `content`: its body, decoded. `previous`: the id of the answer that it
    goes on from.

    Raises RequestRefused, and nothing else, whatever the bytes are.
    """
    parameters = read_parameters(content, rules)
    thread = thread_of(parameters.opening)
    named = session_of(headers, parameters.session_keys, parameters.parent)
    lite = ((_LITE_FIELD, "true"),) if parameters.lite else ()
    return HostRequest(
        rules=rules,
        model=parameters.model,
        stream=parameters.stream,
        codex=is_codex(headers),
        host_name=host_name(headers),
        session=named or answer_key(previous) or (thread if parameters.continues else None),
        named=named is not None,
        thread=named or thread,
        turn_state=turn_state_key(headers, parameters.turn_state),
        held=parameters.held,
        headers=(*passed_headers(headers, rules), *lite),
        body=parameters.body,
        removed=parameters.removed,
        metadata=parameters.metadata,
        store=parameters.store,
        background=parameters.background,
        begins_nothing=parameters.begins_nothing,
    )


def upstream_headers(
    request: HostRequest, account_id: str, *, fedramp: bool, turn_state: bool, version: str
) -> Headers:
    """The header fields of the upstream request, but for authorization, host and content-length.

    A host that says who it is keeps its name; where the provider wants one and the host has none, it goes by ours, at
    `version`. `turn_state`: whether `x-codex-turn-state` may go along, which only the account that gave it understands.
    `account_id` and `fedramp` count where the provider wants the account named.
    Raises ValueError for an account id that is none.
    """
    rules = request.rules
    left_out = {"originator", "user-agent"} | (set() if turn_state else {TURN_STATE})
    originator = header(request.headers, "originator")
    # A host's user agent alone, without an originator, is an SDK's.
    agent = header(request.headers, "user-agent") if originator or not rules.originator else None
    fields = (
        ("accept", "application/json" if rules.unary else "text/event-stream"),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        *(_account_fields(account_id, fedramp) if rules.account_fields else ()),
        *((("originator", originator or _OWN_NAME),) if rules.originator else ()),
        ("user-agent", agent or f"{_OWN_NAME}/{version}"),
        *((name, value) for name, value in request.headers if name not in left_out),
    )
    if not all(is_field_value(value) for _, value in fields):
        raise ValueError("a header field of the request has characters that none may have")
    return fields


def _account_fields(account_id: str, fedramp: bool) -> Headers:
    if not is_id(account_id):
        raise ValueError("the account's id has characters that no id has; import the account again")
    return (("chatgpt-account-id", account_id), *((("x-openai-fedramp", "true"),) if fedramp else ()))


def with_model(body: bytes, model: str) -> bytes:
    """An upstream body with another model; all else goes on as it came."""
    lean, bulk = put_aside(body)
    return bulk.back_in(_changed(lean, "model", json.dumps(model)))


def without_reasoning(body: bytes, ids: Collection[str]) -> bytes | None:
    """An upstream body without the encrypted reasoning from the first of these ids on, or without all of it where none
    is found.

    For the account that cannot read it ("invalid_encrypted_content"). None where there is nothing to leave out.
    """
    lean, bulk = put_aside(body)
    given = members(lean)["input"]
    left = items.without_reasoning(given.raw, ids) if isinstance(given.value, list) else None
    return None if left is None else bulk.back_in(_changed(lean, "input", left))


def without_turn_state(body: bytes) -> bytes:
    """An upstream body without a turn state in its client's metadata: for an account that did not give it."""
    lean, bulk = put_aside(body)
    given = members(lean).get("client_metadata")
    if given is None or not isinstance(given.value, dict) or TURN_STATE not in given.value:
        return body
    kept = {name: part.raw for name, part in members(given.raw).items() if name != TURN_STATE}
    return bulk.back_in(_changed(lean, "client_metadata", dump_object(kept)))


def _changed(body: bytes, name: str, raw: str) -> bytes:
    return dump_object({**{name: part.raw for name, part in members(body).items()}, name: raw}).encode()

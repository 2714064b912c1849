"""The steps of a scenario: what the backend, the token endpoint and the usage endpoint do with one request.

Every list of steps is played in order, and its last step repeats.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")
HeaderChanges = dict[str, str | None]
"""Header fields to set on an answer; None takes one away."""

DEFAULT_TEXT = (
    "The understudy knows every line by heart. When the lead loses their voice, the play goes on, "
    "and nobody in the house can tell."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    wait: float = 0.0
    """Seconds between the request and the answer's first byte."""
    headers: HeaderChanges = field(default_factory=dict)
    handshake: bool = False
    """Where it is next as a WebSocket is opened, it answers that (an answer accepts it), and not the first message."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the host's tools; `arguments` is JSON as a string, or a custom tool's input."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    arguments: str = "{}"
    kind: Literal["function", "custom"] = "function"
    namespace: str = ""
    """The group of tools that it is in; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(_Base):
    """How a streamed answer looks. The faults below are such answers that go wrong on the way."""

    text: str | None = None
    """The message, sent word by word. Default: what the request's cues ask for (see `cues`), or two plain sentences."""
    words: int = 0
    """If set, the text is this many made-up words."""
    delay: float = 0.0
    """Seconds between two events."""
    reasoning: bool = False
    """A reasoning item comes first, encrypted where the request includes `reasoning.encrypted_content`."""
    tool: ToolCall | None = None
    """A call after the message, which is then empty unless it is given."""
    empty_output: bool = False
    """`response.completed` carries `output: []`; the items are in `output_item.done` only."""
    incomplete: bool = False
    """Ends in `response.incomplete` (max_output_tokens) in place of `response.completed`."""
    vendor: bool = False
    """`codex.rate_limits` before `response.created`, `codex.response.metadata` after it."""
    keepalive: bool = False
    """A JSON `keepalive` event and a comment line between the text's first words."""
    done_marker: bool = False
    """`data: [DONE]` at the end."""
    compress: Literal["gzip", "deflate", "br", "zstd"] | None = None
    newline: Literal["lf", "crlf", "cr"] = "lf"
    final_newline: bool = True
    bom: bool = False
    chunk_bytes: int = 0
    """If set, the body goes out in pieces of this many bytes, wherever that cuts it."""
    serve_model: str | None = None
    """The model that answers, where it is not the one asked for (header `openai-model`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Stream):
    """A whole answer."""

    do: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHeaders(Stream):
    """A whole answer whose response headers keep the host waiting for `seconds`."""

    do: Literal["slow_headers"] = "slow_headers"
    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Stream):
    """The connection breaks: `how` is a TCP reset, a TCP close, or an HTTP/2 RST_STREAM.

    The default is what a broken backend looks like on the protocol in use: RST_STREAM on HTTP/2, TCP reset on HTTP/1.1.
    """

    do: Literal["reset"] = "reset"
    when: Literal["before_headers", "after_headers", "after_events", "mid_text"] = "before_headers"
    events: int = 2
    """after_events: how many; mid_text: how many text deltas, the next of which is cut in two."""
    how: Literal["default", "rst", "fin", "stream"] = "default"
    linger: float = 0.05
    """Seconds between the last byte and the reset: a TCP reset may overtake what the peer has not read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Stream):
    """The body ends in good order, but too early: no terminal event."""

    do: Literal["cut"] = "cut"
    when: Literal["after_headers", "after_events", "mid_text"] = "after_events"
    events: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Stream):
    """Silence, until the peer leaves or `seconds` have passed; then the rest of the answer."""

    do: Literal["stall"] = "stall"
    when: Literal["before_headers", "after_headers", "after_events", "mid_text"] = "after_events"
    events: int = 2
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimit(_Base):
    """429: the plan's limit is used up, for the models that count against the same one as the request's."""

    do: Literal["usage_limit"] = "usage_limit"
    status: int = 429
    after_words: int = 0
    """If set, the limit is hit in the middle of an answer: a `response.failed` after so many words of text."""
    resets_in: float = 3600.0
    resets_at: int | None = None
    """Epoch seconds; goes before `resets_in`."""
    until_reset: bool = False
    """The step stays in force until the reset it named has come; then the next step, or a plain answer, follows."""
    type: str = "usage_limit_reached"
    window: int = 0
    """Which of the limit's windows is used up."""
    tell: Literal["both", "body", "headers", "nothing"] = "both"
    """Where the reset is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLimit(_Base):
    """429 `rate_limit_exceeded` that is over in `seconds`."""

    do: Literal["short_limit"] = "short_limit"
    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfter(_Base):
    """429 whose `Retry-After` is all it says: no code, no quota."""

    do: Literal["retry_after"] = "retry_after"
    seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidRequest(_Base):
    """400 in OpenAI's error object."""

    do: Literal["invalid_request"] = "invalid_request"
    message: str = "Invalid value: 'sideways'. Supported values are: 'up' and 'down'."
    code: str | None = "invalid_value"
    param: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(_Base):
    """Any complete answer. `body`: a string goes out as it is, anything else as JSON."""

    do: Literal["status"] = "status"
    status: int
    body: object = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(_Base):
    """A 3xx to `location`."""

    do: Literal["redirect"] = "redirect"
    status: int = 302
    location: str = "http://127.0.0.1:9/elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset(_Base):
    """A well-known answer by its name: see `refusals.PRESETS`."""

    do: Literal[
        "bad_gateway",
        "burst",
        "cyber_policy",
        "deactivated",
        "empty",
        "forbidden",
        "html403",
        "html503",
        "insufficient_quota",
        "model_not_found",
        "not_found",
        "overloaded",
        "payment_required",
        "server_error",
        "usage_not_included",
        "usage_not_included_403",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyFailure(_Base):
    """A 200 whose stream fails: `response.failed`, or an `error` event (nested or flat)."""

    do: Literal["early_failed", "error_event"] = "early_failed"
    code: str = "rate_limit_exceeded"
    message: str | None = None
    resets_in: float | None = None
    nested: bool = True
    """error_event: the fields are under `error`; otherwise beside `type`."""
    lifecycle: bool = True
    """`response.created` and `response.in_progress` come first."""
    vendor: bool = False
    words: int = 0
    """Text deltas before the failure: it is then not an early one."""
    delay: float = 0.0
    hold_open: float = 0.0
    """Seconds for which the stream stays open after the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorized(_Base):
    """401 `token_expired`. The access token that came is dead from now on; a refreshed one is not."""

    do: Literal["unauthorized"] = "unauthorized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked(_Base):
    """401: the login is revoked, all its tokens are dead from now on."""

    do: Literal["revoked"] = "revoked"
    code: Literal["token_invalidated", "token_revoked"] = "token_invalidated"


Step = Annotated[
    Answer
    | SlowHeaders
    | Reset
    | Cut
    | Stall
    | UsageLimit
    | ShortLimit
    | RetryAfter
    | InvalidRequest
    | Status
    | Redirect
    | Preset
    | EarlyFailure
    | Unauthorized
    | Revoked,
    Field(discriminator="do"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate(_Base):
    """The token endpoint does what it should, perhaps late (`wait`)."""

    do: Literal["rotate"] = "rotate"
    omit: tuple[Literal["id_token", "refresh_token"], ...] = ()
    """Members left out of the answer; without a new refresh token the old one stays good."""
    lost: bool = False
    """The tokens are rotated, but the answer never arrives: the connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseRefresh(_Base):
    """The token endpoint refuses with `code`, e.g. `refresh_token_expired`, `refresh_token_invalidated`."""

    do: Literal["refuse"] = "refuse"
    status: int = 401
    code: str = "refresh_token_expired"


TokenStep = Annotated[Rotate | RefuseRefresh | Status, Field(discriminator="do")]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAnswer(_Base):
    """The usage endpoint says how the account stands, perhaps late (`wait`)."""

    do: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(_Base):
    """200 with a body that claims to be JSON and breaks off."""

    do: Literal["garbage"] = "garbage"


UsageStep = Annotated[UsageAnswer | Garbage | Unauthorized | Preset | Status, Field(discriminator="do")]

PlatformStep = Annotated[
    Answer | SlowHeaders | Reset | Cut | Stall | ShortLimit | RetryAfter | InvalidRequest | Status | Preset,
    Field(discriminator="do"),
]
"""What the Platform API does with a request: it knows no plans and no logins."""

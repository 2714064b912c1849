"""Scenarios as data: which accounts there are, and what the backend does with each of their requests.

A scenario is a JSON object. Every account has a list of steps; each admitted request takes one, the last repeats::

    {"accounts": {"work": {"plan": "plus", "steps": [{"do": "usage_limit", "resets_in": 3600}, {"do": "answer"}]}}}

Unknown names and wrong types are refused: a misspelt fault would be a test that tests nothing.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

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


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the host's functions; `arguments` is JSON as a string."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(_Base):
    """How a streamed answer looks. The faults below are such answers that go wrong on the way."""

    text: str | None = None
    """The message, sent word by word. Default: two plain sentences, or no message beside a tool call."""
    words: int = 0
    """If set, the text is this many made-up words."""
    delay: float = 0.0
    """Seconds between two events."""
    reasoning: bool = False
    """A reasoning item comes first, encrypted where the request includes `reasoning.encrypted_content`."""
    tool: ToolCall | None = None
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
    """429: the plan's limit is used up."""

    do: Literal["usage_limit"] = "usage_limit"
    resets_in: float = 3600.0
    resets_at: int | None = None
    """Epoch seconds; goes before `resets_in`."""
    until_reset: bool = False
    """The step stays in force until the reset it named has come; then the next step, or a plain answer, follows."""
    type: str = "usage_limit_reached"
    window: int = 0
    """Which of the account's windows is used up."""
    tell: Literal["both", "body", "headers", "nothing"] = "both"
    """Where the reset is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLimit(_Base):
    """429 `rate_limit_exceeded` that is over in `seconds`."""

    do: Literal["short_limit"] = "short_limit"
    seconds: float = 1.0


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
        "burst", "html403", "overloaded", "server_error", "bad_gateway", "deactivated", "not_found", "forbidden"
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


@dataclass(frozen=True, slots=True)
class Window:
    """A quota window at the start: its length, how much is used, when it resets, what one answer costs."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    minutes: int
    used: float = 0.0
    resets_in: float | None = None
    """Seconds from the start of the sandbox; default half the window's length."""
    cost: float = 1.0
    """Percent that one answer uses up."""


@dataclass(frozen=True, slots=True)
class Credits:
    """Credits beyond the plan, as the `x-codex-credits-*` headers have them."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    has_credits: bool = False
    unlimited: bool = False
    balance: str = ""


DEFAULT_WINDOWS = (Window(300, 12.0), Window(10080, 30.0, cost=0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """One ChatGPT account of the scenario. Ids left empty are made from the label, always the same ones."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    plan: str = "plus"
    account_id: str = ""
    user_id: str = ""
    email: str = ""
    fedramp: bool = False
    access_life: float = 864000.0
    """Seconds that an access token is good for."""
    first_life: float | None = None
    """The same for the token the account starts with; 0 or less: it has expired already."""
    windows: tuple[Window, ...] = DEFAULT_WINDOWS
    credits: Credits = Credits()
    headers: HeaderChanges = field(default_factory=dict)
    """Changes to the header fields of every answer, e.g. malformed quota values."""
    steps: tuple[Step, ...] = (Answer(),)
    token_steps: tuple[TokenStep, ...] = (Rotate(),)

    def named(self, label: str) -> "Identity":
        """Who the account is, with what the scenario leaves open filled in."""
        return Identity(
            label=label,
            account_id=self.account_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:account:{label}")),
            user_id=self.user_id or f"user-{uuid.uuid5(uuid.NAMESPACE_URL, f'sandbox:user:{label}').hex[:24]}",
            email=self.email or f"{label}.canary@sandbox.invalid",
            plan=self.plan,
            fedramp=self.fedramp,
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an account is, as the claims of its tokens say (`https://api.openai.com/auth`)."""

    label: str
    account_id: str
    user_id: str
    email: str
    plan: str
    fedramp: bool


Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """How the login by device code goes. Times in seconds."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    enabled: bool = True
    interval: float = 5.0
    """Whoever polls more often is told to slow down."""
    life: float = 900.0
    """How long a code can be entered; 0: it has expired already."""
    slow_downs: int = 0
    """So many polls of every login are told to slow down, however slow they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The accounts by label, and the models the backend has (a name, or a prefix that ends in `*`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    accounts: dict[Label, AccountSpec]
    models: tuple[str, ...] = ("gpt-5*", "codex-*")
    login_revokes: bool = False
    """A new login of an account ends its earlier ones."""
    login_any_port: bool = False
    """A login may be sent back to any port of localhost, not to 1455 and 1457 only."""
    code_life: float = 60.0
    """Seconds that an authorization code can be exchanged in; 0: it has expired already."""
    device: Device = Device()


_SCENARIO = TypeAdapter(Scenario)
_STEPS: TypeAdapter[tuple[Step, ...]] = TypeAdapter(tuple[Step, ...])

DEMO = Scenario(
    accounts={
        "work": AccountSpec(
            plan="plus", steps=(UsageLimit(resets_in=3600),), windows=(Window(300, 97.0), Window(10080, 61.0))
        ),
        "home": AccountSpec(plan="pro", steps=(Answer(delay=0.06),)),
    }
)
"""What `understudy sandbox` plays without a file: the first account is at its limit, the second answers."""


def read_scenario(data: str | bytes | Mapping[str, object]) -> Scenario:
    """The scenario in `data`, JSON text or its parsed form. Raises ValueError, in words for its author."""
    try:
        if isinstance(data, str | bytes):
            return _SCENARIO.validate_json(data)
        return _SCENARIO.validate_python(data)
    except ValidationError as error:
        raise ValueError(f"not a scenario: {_explain(error)}") from None


def read_steps(steps: Sequence[Step | Mapping[str, object]]) -> tuple[Step, ...]:
    """The steps as values, each given as one already or as its parsed JSON. Raises ValueError like `read_scenario`."""
    try:
        parsed = _STEPS.validate_python(tuple(steps))
    except ValidationError as error:
        raise ValueError(f"not a list of steps: {_explain(error)}") from None
    if not parsed:
        raise ValueError('a list of steps needs at least one, e.g. [{"do": "answer"}]')
    return parsed


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises OSError where it cannot be read, ValueError where it is none."""
    return read_scenario(path.read_bytes())


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in problems[:5])

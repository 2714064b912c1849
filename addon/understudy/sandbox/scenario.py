"""Scenarios as data: which accounts there are, and what the backend does with each of their requests.

A scenario is a JSON object. Every account has a list of steps; each admitted request takes one, the last repeats::

    {"accounts": {"work": {"plan": "plus", "steps": [{"do": "usage_limit", "resets_in": 3600}, {"do": "answer"}]}}}

Unknown names and wrong types are refused: a misspelt fault would be a test that tests nothing.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from understudy.sandbox.steps import (
    STRICT,
    Answer,
    HeaderChanges,
    PlatformStep,
    Rotate,
    Step,
    TokenStep,
    UsageAnswer,
    UsageLimit,
    UsageStep,
)


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


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of its own for some models, beside the one that all others count against."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    models: tuple[str, ...]
    """Names, or prefixes that end in `*`."""
    windows: tuple[Window, ...]
    name: str = ""
    """What the backend calls it for people, e.g. `gpt-5.2-codex-sonic`."""


LimitId = Annotated[str, Field(pattern=r"^codex_[a-z0-9_]+$")]
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
    limits: dict[LimitId, Limit] = field(default_factory=dict)
    """Further limits by their id, e.g. `codex_bengalfox`."""
    enforce: bool = False
    """While a window is used up and there are no credits, the account refuses by itself, and no step is taken."""
    reset_credits: int = 0
    """How often its windows could be reset early, as the usage endpoint says."""
    models: tuple[str, ...] | None = None
    """The models that it has; default: those of the scenario."""
    clock_skew: float = 0.0
    """Seconds by which the clock of the servers that answer it is ahead: all moments they name are off by these."""
    headers: HeaderChanges = field(default_factory=dict)
    """Changes to the header fields of every answer, e.g. malformed quota values."""
    steps: tuple[Step, ...] = (Answer(),)
    token_steps: tuple[TokenStep, ...] = (Rotate(),)
    usage_steps: tuple[UsageStep, ...] = (UsageAnswer(),)

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
class ApiKey:
    """A key of the OpenAI Platform, and what its API does with each request that it comes with."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    key: Annotated[str, Field(pattern=r"^sk-[A-Za-z0-9_-]+$")]
    steps: tuple[PlatformStep, ...] = (Answer(),)


Encrypted = Literal["portable", "bound", "bound_late"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The accounts by label, and the models the backend has (a name, or a prefix that ends in `*`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    accounts: dict[Label, AccountSpec]
    models: tuple[str, ...] = ("gpt-5*", "codex-*")
    api_keys: dict[Label, ApiKey] = field(default_factory=dict)
    """Keys by label. Where there are any, the Platform API is served beside the backend, at `/v1/responses`."""
    encrypted: Encrypted = "portable"
    """Whether an account takes encrypted reasoning of another: always; never (400); never, as its answer begins."""
    encrypted_names_item: bool = True
    """Whether a refusal of encrypted content names the item, rather than how the ciphertext begins and ends."""
    websocket: bool = False
    """Whether the Responses endpoints can be used over WebSocket; otherwise an upgrade is refused with a 426."""
    websocket_life: float = 3600.0
    """Seconds for which a WebSocket may be used."""
    workspace_origin: str = ""
    """Where Codex is told to send an account's Responses calls (https); default: to the host that it asked."""
    login_revokes: bool = False
    """A new login of an account ends its earlier ones."""
    login_any_port: bool = False
    """A login may be sent back to any port of localhost, not to 1455 and 1457 only."""
    code_life: float = 60.0
    """Seconds that an authorization code can be exchanged in; 0: it has expired already."""
    device: Device = Device()


_Step = TypeVar("_Step")
_SCENARIO = TypeAdapter(Scenario)
_STEPS: TypeAdapter[tuple[Step, ...]] = TypeAdapter(tuple[Step, ...])
_USAGE_STEPS: TypeAdapter[tuple[UsageStep, ...]] = TypeAdapter(tuple[UsageStep, ...])
_PLATFORM_STEPS: TypeAdapter[tuple[PlatformStep, ...]] = TypeAdapter(tuple[PlatformStep, ...])

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
    return _read(_STEPS, steps)


def read_usage_steps(steps: Sequence[UsageStep | Mapping[str, object]]) -> tuple[UsageStep, ...]:
    """The same for steps of the usage endpoint."""
    return _read(_USAGE_STEPS, steps)


def read_platform_steps(steps: Sequence[PlatformStep | Mapping[str, object]]) -> tuple[PlatformStep, ...]:
    """The same for steps of the Platform API."""
    return _read(_PLATFORM_STEPS, steps)


def _read(reader: TypeAdapter[tuple[_Step, ...]], steps: Sequence[object]) -> tuple[_Step, ...]:
    try:
        parsed = reader.validate_python(tuple(steps))
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

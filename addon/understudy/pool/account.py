"""An account: one ChatGPT login of the user, as a value."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from understudy.pool.refreshes import Refreshes
from understudy.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class Tokens:
    """The OAuth tokens of one login (RFC 6749, 5.1). `expires_at`: epoch seconds, from the access token's `exp`."""

    access: Secret
    refresh: Secret
    id_token: Secret
    expires_at: float


class Health(Enum):
    """Whether the login itself works. Limits are no matter of health: see `Block`."""

    OK = "ok"
    NEEDS_LOGIN = "needs_login"


class Ground(StrEnum):
    """What a block is for. It decides who may still be asked when nobody else is left, and what ends it early."""

    LIMIT = "limit"
    """A limit of the account's plan."""
    ENTITLEMENT = "entitlement"
    """The plan does not have this model."""
    LOGIN = "login"
    """A freshly renewed token was refused: to renew it again would harm the login."""
    COOLING = "cooling"
    """It failed a moment ago. Others are preferred, that is all."""
    BREAKER = "breaker"
    """It failed again and again: one request at a time may probe it, and only where nobody else can serve."""


AHEAD = 60.0
"""Seconds by which the clocks of two processes, or of one before and after it was set, may differ."""


@dataclass(frozen=True, slots=True)
class Block:
    """Until when an account is not asked, and why. Times in epoch seconds. A hint, not a sentence: see `pool.lifts`.

    `authoritative`: the backend named the end itself. Only such a time is ever told to a host.
    """

    until: float
    reason: str
    authoritative: bool
    ground: Ground = Ground.LIMIT
    model: str = ""
    """The only model that it holds for; empty: every one."""
    limit_id: str = ""
    """LIMIT: the limit that was met, where it is not the main one."""
    since: float = 0.0
    tried_at: float | None = None
    """When a request last went out in spite of it, because nobody else was left."""

    def holds_at(self, now: float) -> bool:
        """Whether it holds at `now` (epoch seconds). But for a limit, whose end is a moment, it was to be short: one
        that begins later than now is of a clock that was set back since.
        """
        return self.until > now and (self.ground is Ground.LIMIT or self.since <= now + AHEAD)

    def holds_for(self, model: str, apart: bool) -> bool:
        """Whether it holds for `model`. `apart`: the main limit is not that model's."""
        return self.model == model or not (self.model or (apart and self.ground is Ground.LIMIT))


MOST_BLOCKS = 64
"""Blocks that an account has at most: a host may ask for any number of models."""


class Lane(StrEnum):
    """What an account is an account of: which provider carries out its requests."""

    CODEX = "codex"
    """A ChatGPT login."""
    PLATFORM = "platform"
    """A key of the OpenAI Platform, where every request costs money: the lane of last resort."""


@dataclass(frozen=True, slots=True)
class Spending:
    """How many requests a paid lane has carried out on one day. `day`: days since the epoch, UTC."""

    day: int = 0
    requests: int = 0

    def on(self, day: int) -> int:
        """How many on that day."""
        return self.requests if day == self.day else 0


@dataclass(frozen=True, slots=True)
class Account:
    """One ChatGPT login: an identity within a workspace. The pool's order is the user's to change."""

    id: str
    """Our own stable id: `acct_` and 12 hex digits."""
    label: str
    """Short and unique in the pool; what the user types and what every message names."""
    account_id: str
    """ChatGPT's id of the workspace (claim `chatgpt_account_id`, header `ChatGPT-Account-ID`)."""
    user_id: str
    """ChatGPT's id of the user's seat (claim `chatgpt_user_id`); with `account_id` it is the account's identity."""
    tokens: Tokens = field(repr=False)
    email: str = field(default="", repr=False)
    plan: str = ""
    fedramp: bool = False
    enabled: bool = True
    health: Health = Health.OK
    health_reason: str = ""
    """Why the login stopped working, in words for the user; empty while it works."""
    health_at: float | None = None
    """Epoch seconds at which the login was found to work no more; None while it works."""
    blocks: tuple[Block, ...] = ()
    """At most one for each ground and model."""
    last_used_at: float | None = None
    """Epoch seconds of the last attempt on this account."""
    tags: tuple[str, ...] = ()
    """The user's words to group accounts by; each has the form of a label."""
    note: str = ""
    """The user's own reminder."""
    added_at: float | None = None
    """Epoch seconds; None where that is not known."""
    refreshes: Refreshes = field(default_factory=Refreshes)
    reserve_percent: float = 0.0
    """The last percent of every window of the main limit, kept for the user: no host gets them."""
    lane: Lane = Lane.CODEX
    spending: Spending = field(default_factory=Spending)

    @property
    def block(self) -> Block | None:
        """What keeps the account as a whole from serving, or did: of several the one that ends last."""
        whole = (block for block in self.blocks if not block.model and block.ground is not Ground.COOLING)
        return max(whole, key=lambda block: block.until, default=None)

"""An account: one ChatGPT login of the user, as a value."""

from dataclasses import dataclass, field
from enum import Enum

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


@dataclass(frozen=True, slots=True)
class Block:
    """Until when an account is not asked, and why. `until`: epoch seconds.

    `authoritative`: the backend named the reset itself. Only such a time is ever told to a host.
    """

    until: float
    reason: str
    authoritative: bool
    limit: bool = True
    """A limit of the account's plan, as opposed to trouble of another kind (a login refused, say)."""


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
    block: Block | None = None
    last_used_at: float | None = None
    """Epoch seconds of the last attempt on this account."""
    tags: tuple[str, ...] = ()
    """The user's words to group accounts by; each has the form of a label."""
    note: str = ""
    """The user's own reminder."""
    added_at: float | None = None
    """Epoch seconds; None where that is not known."""
    refreshes: Refreshes = field(default_factory=Refreshes)

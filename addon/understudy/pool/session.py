"""A request as far as the choice is concerned, and which accounts its conversation may move to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from understudy.pool.account import Account, Lane
from understudy.pool.obstacles import Obstacle


@dataclass(frozen=True, slots=True)
class Session:
    """A request as far as the choice is concerned."""

    model: str = ""
    turn: str | None = None
    """The id of the account whose turn state the request carries."""
    bound: str | None = None
    """The id of the account that the session belongs to."""
    owner: str | None = None
    """The id of the account that the session belonged to last, however long ago."""
    served: str | None = None
    """The id of the account that answered it last: its own, or, while that one cannot serve, another."""
    held: bool = False
    """Its content can be read by the account alone that made it."""
    met: Mapping[str, Obstacle] = field(default_factory=dict)
    """By account id: what this very request has met already."""


class Isolation(StrEnum):
    """Which accounts a conversation may move to."""

    OFF = "off"
    WORKSPACE = "workspace"
    """Personal accounts among themselves, and those of one workspace."""
    ACCOUNT = "account"


_PERSONAL = frozenset({"", "free", "go", "guest", "plus", "pro", "prolite", "unknown"})


def may_move(owner: Account | None, to: Account, isolation: Isolation) -> bool:
    """Whether a conversation of `owner`'s may go on with `to`. None: of an account that is gone, and like nobody's."""
    if isolation is Isolation.OFF or (owner is not None and owner.id == to.id):
        return True
    if isolation is Isolation.ACCOUNT or owner is None:
        return False
    both_personal = {owner.lane, to.lane} == {Lane.CODEX} and {owner.plan, to.plan} <= _PERSONAL
    return both_personal or (owner.account_id == to.account_id)

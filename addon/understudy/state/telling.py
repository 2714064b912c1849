"""What a running proxy tells of how it chooses: other proxies go by its claims, and `understudy why` by all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from understudy.pool.choose import Rules
from understudy.pool.strategies import Course
from understudy.pool.vitals import Vitals
from understudy.wire.models import Models


@dataclass(frozen=True, slots=True)
class Telling:
    """`vitals`, `apart`, `claims`, `probing`: by account id.

    `apart`: models that count against another limit than the main one. `claims`: running requests. `probing`: who is
    tried after failures.
    """

    rules: Rules
    course: Course
    vitals: dict[str, Vitals] = field(default_factory=dict)
    apart: dict[str, frozenset[str]] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    probing: tuple[str, ...] = ()
    wait: float = 0.0
    """Seconds that a request may wait."""
    models: Models = field(default_factory=Models)
    """Which models are served in place of others."""
    passthrough: bool = False
    """Whether a model that no account has is let go under the host's own key."""
    history: str = ""
    """Where answers are kept."""


_TELLING = TypeAdapter(Telling)


def encode(telling: Telling) -> Mapping[str, object]:
    """As plain JSON."""
    encoded: Mapping[str, object] = _TELLING.dump_python(telling, mode="json")
    return encoded


def decode(told: Mapping[str, object]) -> Telling | None:
    """What `encode` gave; None for anything else, as another version may tell it."""
    try:
        return _TELLING.validate_python(told)
    except ValidationError:
        return None

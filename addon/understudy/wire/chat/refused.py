"""Why a chat completion cannot be had: a 400 in OpenAI's words, and the readings of a request that may end in one."""

from collections.abc import Iterable

from understudy.wire.coding import RequestRefused
from understudy.wire.jsontext import Part, members
from understudy.wire.reply import openai_error
from understudy.wire.text import safe_text

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a decimal"),
    (list, "an array"),
    (dict, "an object"),
)


def refused(message: str, param: str | None = None, code: str | None = None) -> RequestRefused:
    """The 400 with this message. `param`: the place, e.g. `messages[1].role`."""
    return RequestRefused(openai_error(400, message, type="invalid_request_error", code=code, param=param))


def missing(param: str) -> RequestRefused:
    """What has to be given is not."""
    return refused(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def invalid_type(param: str, expected: str, value: object) -> RequestRefused:
    """The value is of another kind. `expected`: in words, e.g. `a string`."""
    given = next((words for kind, words in _KINDS if isinstance(value, kind)), "null")
    message = f"Invalid type for '{param}': expected {expected}, but got {given} instead."
    return refused(message, param, "invalid_type")


def invalid_value(param: str, value: object, supported: Iterable[str]) -> RequestRefused:
    """The value is none of those that are supported."""
    *first, last = (f"'{name}'" for name in supported)
    listed = f"{', '.join(first)}, and {last}" if len(first) > 1 else " and ".join((*first, last))
    shown = safe_text(value) if isinstance(value, str) else "?"
    return refused(f"Invalid value: '{shown}'. Supported values are: {listed}.", param, "invalid_value")


def given_members(part: Part, param: str) -> dict[str, Part]:
    """The members of an object, without those that are null. Raises RequestRefused where it is no object."""
    if not isinstance(part.value, dict):
        raise invalid_type(param, "an object", part.value)
    return {name: member for name, member in members(part.raw).items() if member.value is not None}


def member(given: dict[str, Part], name: str, param: str, kind: type = str) -> Part:
    """The member of an object that has to be there. `param`: the place of the object.

    Raises RequestRefused where it is not, or of another kind.
    """
    found = given.get(name)
    if found is None:
        raise missing(f"{param}.{name}")
    if not isinstance(found.value, kind):
        raise invalid_type(f"{param}.{name}", dict(_KINDS)[kind], found.value)
    return found

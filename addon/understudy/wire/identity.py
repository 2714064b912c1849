"""Who the host is, from its header fields: what of them goes upstream, its name, and the session it speaks of."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from understudy.wire.provider import Rules
from understudy.wire.reply import Headers, header
from understudy.wire.text import is_field_value

_LONGEST = 16 * 1024

DUMMY_KEY = "sk-understudy-placeholder"
"""The API key of a program that has none of its own and would not start without."""
OPENCODE = "opencode"
"""What OpenCode calls itself, as originator."""
PARENT_THREAD = "x-codex-parent-thread-id"
TURN_STATE = "x-codex-turn-state"

_SESSION_FIELDS = (
    "session-id",
    "session_id",
    "thread-id",
    "thread_id",
    "conversation_id",
    "conversation-id",
    "x-session-id",
    "x-session-affinity",
)

_CODEX = re.compile(r"codex[_-]|Codex ")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


def passed_headers(headers: Headers, rules: Rules) -> Headers:
    """What of the host's header fields goes upstream, by the provider's allow-list, names in lower case, each once.

    The host's key, cookies, `x-stainless-*`, forwarding fields and all that is not named here stay behind; so does a
    value with characters that could end the field.
    """
    passed: dict[str, str] = {}
    family = rules.header_family
    for name, value in headers:
        name = name.lower()
        if name not in rules.headers and not (family and family.fullmatch(name)):
            continue
        value = value.strip(" \t")
        if value and len(value) <= _LONGEST and is_field_value(value):
            passed.setdefault(name, value)
    return tuple(passed.items())


def is_codex(headers: Headers) -> bool:
    """Whether the host is one of Codex's own programs, which understand the backend's `codex.*` events."""
    return _CODEX.match(header(headers, "originator") or "") is not None


def host_name(headers: Headers) -> str:
    """The product that the User-Agent names first (RFC 9110, 10.1.5), without its version; at most 40 characters."""
    first = (header(headers, "user-agent") or "").strip()[:200].partition(" ")[0]
    product, _, version = first.rpartition("/")
    name = product if version[:1].isdigit() else first
    return _UNPRINTABLE.sub("", name)[:40] or "unknown"


def session_of(headers: Headers, body_keys: Iterable[str], parent: str = "") -> str | None:
    """SHA-256, in hex, of the strongest name that the request has for its session; None where it names none.

    A sub-agent belongs where its parent is, whether a field or the body (`parent`) names that one. Then the header
    fields count, then `body_keys`. A turn state is no name: it belongs to an account.
    """
    said = {name.lower(): value.strip() for name, value in reversed(headers)}
    keys = (said.get(PARENT_THREAD), parent, *map(said.get, _SESSION_FIELDS), *body_keys)
    return next((_digest(key) for key in keys if key), None)


def thread_of(opening: Sequence[str]) -> str | None:
    """SHA-256, in hex, of what a conversation begins with: what a session goes by that nothing names. None for none."""
    return _digest("\n".join(("opening", *opening))) if opening else None


def answer_key(id: str | None) -> str | None:
    """SHA-256, in hex, of what a session goes by that names the answer it goes on from. None for none."""
    return _digest(f"answer\n{id}") if id else None


def turn_state_key(headers: Headers, in_body: str = "") -> str | None:
    """SHA-256, in hex, of the turn state that a request or an answer has in its fields, or else in its body, if any.

    It is a token of the account that gave it, which wants it back within the same turn.
    """
    state = (header(headers, TURN_STATE) or "").strip() or in_body
    return _digest(state) if state else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()

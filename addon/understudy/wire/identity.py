"""Who the host is, from its header fields: what of them goes upstream, its name, and the session it speaks of."""

import hashlib
import re
from collections.abc import Iterable

from understudy.wire.reply import Headers, header
from understudy.wire.text import is_field_value

_PASSED = frozenset(
    {
        "conversation-id",
        "conversation_id",
        "openai-beta",
        "originator",
        "session-id",
        "session_id",
        "thread-id",
        "thread_id",
        "traceparent",
        "tracestate",
        "user-agent",
        "version",
        "x-client-request-id",
        "x-oai-attestation",
        "x-openai-internal-codex-residency",
        "x-openai-memgen-request",
        "x-openai-subagent",
        "x-responsesapi-include-timing-metrics",
        "x-session-affinity",
        "x-session-id",
    }
)
_PASSED_FAMILY = re.compile(r"x-codex-[a-z0-9_-]{1,64}")
_LONGEST = 16 * 1024

_SESSION_FIELDS = (
    "x-codex-parent-thread-id",  # a sub-agent belongs where its parent is
    "session-id",
    "session_id",
    "thread-id",
    "conversation_id",
    "x-session-id",
)

_CODEX = re.compile(r"codex[_-]|Codex ")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


def passed_headers(headers: Headers) -> Headers:
    """What of the host's header fields goes upstream, by an allow-list, names in lower case, each once.

    The host's key, cookies, `x-stainless-*`, forwarding fields and all that is not named here stay behind; so does a
    value with characters that could end the field.
    """
    passed: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        if name not in _PASSED and not _PASSED_FAMILY.fullmatch(name):
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


def session_of(headers: Headers, body_keys: Iterable[str]) -> str | None:
    """SHA-256, in hex, of the strongest name that the request has for its session; None where it names none.

    The header fields come first, then `body_keys`. A turn state is no name: it belongs to an account.
    """
    named = ((header(headers, name) or "").strip() for name in _SESSION_FIELDS)
    key = next((key for key in (*named, *body_keys) if key), None)
    return None if key is None else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()

"""The upstreams as data: where a claimed request goes and what is sent there, as constants no request can change."""

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from understudy.wire.endpoints import Op
from understudy.wire.errors import CODEX_ERRORS, PLATFORM_ERRORS, ErrorMap


@dataclass(frozen=True, slots=True)
class Rules:
    """What a provider takes and what it insists on. What a rule does not speak of goes there as the host gave it."""

    parameters: frozenset[str] | None
    """The parameters that go there; None: all."""
    forced: tuple[tuple[str, str], ...]
    """Parameters with the one value, as JSON text, that they have there. `stream` is among them: every answer is
    relayed as a stream, also for a host that did not ask for one."""
    defaults: tuple[tuple[str, str], ...]
    """What it misses where the host gives none, as JSON text; a body of the Responses-Lite shape is complete."""
    include: str | None
    """What is asked for in `include` beside what the host wants."""
    tiers: tuple[tuple[str, str], ...] | None
    """The service tiers it knows, each with the host's word for it first; None: the host's word goes on."""
    stream_options: frozenset[str] | None
    """The stream options it knows; None: all."""
    text_input: bool
    """Whether `input` may be a plain string."""
    system_role: bool
    """Whether it knows the role; where not, the system is the developer."""
    reasoning: bool
    """Whether it can read the reasoning of the accounts in the pool. Then the ciphertext goes there alone, without the
    readable text; where not, the item stays behind whole."""
    stored: bool
    """Whether earlier answers of a session are kept there: where not, what needs them is refused, and items that only
    point at them are left out."""
    headers: frozenset[str]
    """The header fields of the host that go there, in lower case."""
    header_family: re.Pattern[str] | None
    """More of them, by their whole name."""
    originator: bool
    """Whether it wants to know which program asks: the host by its own name, or else we by ours."""
    account_fields: bool
    """Whether the account is named beside its token: `chatgpt-account-id`, `x-openai-fedramp`."""
    errors: ErrorMap
    """What its errors mean, and whether a credential that is refused can be renewed."""
    refused: frozenset[str] = frozenset()
    """The parameters that do not go there, and whose absence would change what is asked."""
    path: str = "/responses"
    """The endpoint, below the provider's own path."""
    unary: bool = False
    """Whether it answers with one JSON object, and not with a stream."""


CODEX = Rules(
    # The fields that Codex itself sends; the backend refuses others ("Unsupported parameter: ...").
    parameters=frozenset(
        {
            "model",
            "instructions",
            "input",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning",
            "store",
            "stream",
            "stream_options",
            "include",
            "service_tier",
            "prompt_cache_key",
            "text",
            "client_metadata",
        }
    ),
    forced=(("stream", "true"), ("store", "false")),
    defaults=(("instructions", '""'),),
    include="reasoning.encrypted_content",
    tiers=(("priority", "priority"), ("fast", "priority")),
    stream_options=frozenset({"reasoning_summary_delivery"}),
    text_input=False,
    system_role=False,
    reasoning=True,
    stored=False,
    headers=frozenset(
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
    ),
    header_family=re.compile(r"x-codex-[a-z0-9_-]{1,64}"),
    originator=True,
    account_fields=True,
    errors=CODEX_ERRORS,
    refused=frozenset({"prompt"}),
)
"""ChatGPT's backend for Codex, carried by the tokens of accounts."""

PLATFORM = Rules(
    parameters=None,
    forced=(("stream", "true"),),
    defaults=(),
    include=None,
    tiers=None,
    stream_options=None,
    text_input=True,
    system_role=True,
    reasoning=False,
    stored=False,
    headers=frozenset({"openai-beta", "user-agent", "x-client-request-id"}),
    header_family=None,
    originator=False,
    account_fields=False,
    errors=PLATFORM_ERRORS,
)
"""OpenAI's platform, which hosts speak to anyhow, carried by an API key of the user."""


_COMPACT: dict[str, Any] = {"forced": (), "defaults": (), "include": None, "path": "/responses/compact", "unary": True}

CODEX_COMPACT = replace(
    CODEX,
    # What Codex itself sends there (PROTOCOL, 5.2).
    parameters=frozenset(
        {
            "model",
            "input",
            "instructions",
            "tools",
            "parallel_tool_calls",
            "reasoning",
            "service_tier",
            "prompt_cache_key",
            "text",
        }
    ),
    **_COMPACT | {"defaults": CODEX.defaults},
)
"""A history made shorter, which only the account can read that made it."""

PLATFORM_COMPACT = replace(PLATFORM, **_COMPACT)
"""The same at OpenAI's platform."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An origin, the path below it and what is sent there. `path` has no trailing slash, e.g. `/backend-api/codex`."""

    scheme: str
    host: str
    port: int
    path: str
    rules: Rules = CODEX

    @property
    def authority(self) -> str:
        """Host and port as the Host field has them (RFC 9110, 7.2): the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def rules_for(self, op: Op) -> Rules:
        """Those of the endpoint that carries out what a host asks for."""
        if op is not Op.COMPACT:
            return self.rules
        return CODEX_COMPACT if self.rules.account_fields else PLATFORM_COMPACT

    def target(self, rules: Rules) -> str:
        """The request target of an endpoint."""
        return f"{self.path}{rules.path}"


_PORTS = {"https": 443, "http": 80}


def read_provider(url: str) -> Provider:
    """ChatGPT's backend at `url`. Raises ValueError, in words for the user, unless it is https, or http on loopback."""
    return _read(url, CODEX)


def read_platform(url: str) -> Provider:
    """OpenAI's platform at `url`, e.g. `https://api.openai.com/v1`. Raises ValueError as `read_provider` does."""
    return _read(url, PLATFORM)


def _read(url: str, rules: Rules) -> Provider:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a URL: {url!r}") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"not a URL: it has characters that none may have: {url!r}")
    host = parts.hostname
    if parts.username or parts.password:
        raise ValueError("the address of a backend has no user name and no password in it")
    if parts.scheme not in _PORTS or not host or parts.query or parts.fragment:
        raise ValueError(f"not the address of a backend: {url!r} (expected something like https://chatgpt.com/path)")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{url!r} would send tokens in the clear: http is for loopback addresses only, use https")
    return Provider(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"), rules)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether `host` names this machine's loopback interface, by address or as `localhost`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

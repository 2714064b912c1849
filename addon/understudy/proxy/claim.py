"""Decides whether a request is ours, by its names alone: claimed, left alone, or refused."""

from dataclasses import dataclass
from enum import Enum

from understudy.proxy import refusals
from understudy.wire.endpoints import Endpoint, Op, disguised, find
from understudy.wire.reply import Reply

CHATGPT = "chatgpt.com"
"""The host that programs speak to which are logged in with ChatGPT themselves."""


class Way(Enum):
    """How the request reached the proxy, as far as it decides which names it must have."""

    PROXY = "proxy"  # regular and upstream mode: CONNECT host, SNI, authority and Host
    TRANSPARENT = "transparent"  # redirected: the destination is an address, SNI and Host are the names
    REVERSE = "reverse"  # a base URL changed to ours: the configured target is the name


@dataclass(frozen=True, slots=True)
class Names:
    """Everything in a request that says where it goes. Hosts are as they came; None where there is none."""

    way: Way
    method: str
    path: str
    encrypted: bool
    """Over TLS from the host to us; in reverse mode, TLS to the configured target."""
    websocket: bool
    destination: str | None
    """CONNECT host, or reverse mode's target."""
    sni: str | None
    authorities: tuple[str, ...]
    """Every Host field and the :authority, port included."""
    local: bool
    """The client is a program on this machine, or has shown that it may use the proxy."""
    page: bool = False
    """A web page in a browser made the request."""
    keyless: bool = False
    """All it has for a key is the one that we give programs to start with: nobody else takes it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests are ours, as the options have it. Host names in lower case."""

    hosts: frozenset[str]
    """Those that speak OpenAI's API: `codex_hosts`."""
    chatgpt: frozenset[str] = frozenset()
    """ChatGPT's own, where `codex_capture_chatgpt` is on."""
    traces: bool = True
    """Whether traces of agents are kept from OpenAI: `codex_traces`."""

    @property
    def all(self) -> frozenset[str]:
        """Every host whose TLS is opened, and whose names count."""
        return self.hosts | self.chatgpt


def scope_of(hosts: frozenset[str], *, capture_chatgpt: bool, traces: bool) -> Scope:
    """The one place that knows which names are covered."""
    return Scope(hosts, frozenset({CHATGPT}) if capture_chatgpt else frozenset(), traces)


@dataclass(frozen=True, slots=True)
class Claim:
    """Ours, to be carried out, or to be answered on this machine."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Leave:
    """Not ours: untouched."""

    to_our_hosts: bool = False
    """It goes to one of `codex_hosts` all the same, under the program's own key."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Ours by one of its names, but not to be carried out, and never to be let through."""

    reply: Reply


Verdict = Claim | Leave | Refuse


def judge(names: Names, scope: Scope) -> Verdict:
    """The verdict on a request."""
    authorities = {_host(authority) for authority in names.authorities}
    said = authorities | {_plain(names.destination), _plain(names.sni)}
    found = _named(names, said, scope)
    if isinstance(found, Claim) and found.endpoint.codex and names.page:
        return Leave()  # ChatGPT's own pages ask with their own login.
    if found is None:
        if not said & scope.hosts:
            return Leave()
        return Refuse(refusals.keyless(names.method, names.path)) if names.keyless else Leave(to_our_hosts=True)
    if not names.local:
        return Refuse(refusals.stranger())
    if names.page:
        return Refuse(refusals.web_page())
    if (disagreement := _disagreement(names, authorities, scope.all)) is not None:
        return Refuse(refusals.misaddressed(disagreement))
    return found


def _named(names: Names, said: set[str], scope: Scope) -> Claim | Refuse | None:
    """What the path names on the hosts that are said, and what it might be taken for."""
    for codex, hosts in ((False, scope.hosts), (True, scope.chatgpt)):
        if not said & hosts:
            continue
        endpoint = find(names.method, names.path, websocket=names.websocket, codex=codex)
        if endpoint is not None and (scope.traces or endpoint.op is not Op.TRACES):
            return Claim(endpoint)
        if disguised(names.method, names.path, websocket=names.websocket, codex=codex):
            return Refuse(refusals.misspelt())
    return None


def _disagreement(names: Names, authorities: set[str], hosts: frozenset[str]) -> str | None:
    """Why the names cannot be trusted to mean one and the same host of ours; None where they can."""
    if names.way is Way.REVERSE:
        if _plain(names.destination) not in hosts:
            return "reverse mode leads to another host"
        return None if names.encrypted else "reverse mode leads there in the clear; use reverse:https://..."
    if not names.encrypted:
        return "it came in the clear; use https"
    said = authorities | {_plain(names.sni)}
    if names.way is Way.PROXY:
        said |= {_plain(names.destination)}
    if len(said) != 1 or not said <= hosts:
        return "its CONNECT host, SNI, authority and Host do not agree"
    return None


def _host(authority: str) -> str:
    """The host of an authority on the default port; anything else stays as it is, and so matches nothing."""
    host, colon, port = authority.rpartition(":")
    return _plain(host if colon and port == "443" else authority)


def _plain(host: str | None) -> str:
    return (host or "").lower().removesuffix(".")

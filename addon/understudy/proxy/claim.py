"""Decides whether a request is ours, by its names alone: claimed, left alone, or refused."""

import posixpath
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from understudy.proxy import refusals
from understudy.wire.reply import Reply

PATH = "/v1/responses"


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


@dataclass(frozen=True, slots=True)
class Claim:
    """Ours, to be carried out."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Not ours: untouched."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Ours by one of its names, but not to be carried out, and never to be let through."""

    reply: Reply


Verdict = Claim | Leave | Refuse


def judge(names: Names, hosts: frozenset[str]) -> Verdict:
    """The verdict on a request. `hosts`: what `codex_hosts` names, in lower case."""
    if not _is_responses(names.path) or not (names.method == "POST" or names.websocket):
        return Leave()
    authorities = {_host(authority) for authority in names.authorities}
    ours = (authorities | {_plain(names.destination), _plain(names.sni)}) & hosts
    if not ours:
        return Leave()
    if not names.local:
        return Refuse(refusals.stranger())
    if names.page:
        return Refuse(refusals.web_page())
    if (disagreement := _disagreement(names, authorities, hosts)) is not None:
        return Refuse(refusals.misaddressed(disagreement))
    if names.websocket:
        return Refuse(refusals.websocket())
    return Claim()


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


def _is_responses(target: str) -> bool:
    """Whether a server could take the request target for the Responses endpoint, however it is spelt."""
    if target == PATH:
        return True
    path = unquote(target.partition("?")[0].partition("#")[0])
    return posixpath.normpath("/" + path.strip("/")).lower() == PATH


def _host(authority: str) -> str:
    """The host of an authority on the default port; anything else stays as it is, and so matches nothing."""
    host, colon, port = authority.rpartition(":")
    return _plain(host if colon and port == "443" else authority)


def _plain(host: str | None) -> str:
    return (host or "").lower().removesuffix(".")

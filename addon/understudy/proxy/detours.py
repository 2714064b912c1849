"""mitmproxy's options that lead connections past us, unread: not those to our hosts."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from mitmproxy.exceptions import OptionsError

_PORT = 443
_SKIPS = {"ignore_hosts": ":{port}", "tcp_hosts": "", "udp_hosts": ""}
"""Options whose patterns say what is passed on unread, and what mitmproxy has behind a host's name as it looks for them
(`mitmproxy.addons.next_layer`: `_ignore_connection`, `_is_destination_in_hosts`)."""
_HARM = "would go out unread, under the programs' own keys"


def check_detours(options: Any, hosts: Collection[str]) -> None:
    """Raises OptionsError, in words, for the first option that leads calls to one of `hosts` past us."""
    for name, suffix in _SKIPS.items():
        for host in sorted(hosts):
            if _found(name, getattr(options, name), host + suffix.format(port=_PORT)):
                raise OptionsError(f"{name}: it covers {host}, whose calls {_HARM}")
    for host in sorted(hosts) if options.allow_hosts else ():
        if not _found("allow_hosts", options.allow_hosts, f"{host}:{_PORT}"):
            raise OptionsError(f"allow_hosts: it does not cover {host}, whose calls {_HARM}; add {re.escape(host)}")


def _found(option: str, patterns: Sequence[str], text: str) -> bool:
    try:
        return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)
    except re.error as error:
        raise OptionsError(f"{option}: no regular expression: {error}") from None

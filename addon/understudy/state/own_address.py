"""Whether an address is this machine's own."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

_DISCARD = 9
"""A port; nothing is sent there."""


def is_own(address: str, scope: int = 0) -> bool:
    """Whether this is an address of this machine, at which no other can be reached. Sends nothing.

    `scope`: the interface, of an address that means something on one alone. To bind it proves nothing: where
    `net.ipv4.ip_nonlocal_bind` is set, any address can be bound. A connection says what it would really come from.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return not parsed.is_multicast and _is_own(mapped or parsed, scope)


def _is_own(address: IPv4Address | IPv6Address, scope: int) -> bool:
    ipv4 = isinstance(address, IPv4Address)
    end = (str(address), _DISCARD) if ipv4 else (str(address), _DISCARD, 0, scope)
    try:
        with socket.socket(socket.AF_INET if ipv4 else socket.AF_INET6, socket.SOCK_DGRAM) as tried:
            if ipv4:
                # Left to itself the system takes an interface's first address for any of its others.
                tried.bind((str(address), 0))
            tried.connect(end)
            return ip_address(tried.getsockname()[0]) == address
    except OSError:
        return False

"""The upstream as data: where a claimed request goes, as constants that no request can change."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Provider:
    """An origin and the path below it. `path` has no trailing slash, e.g. `/backend-api/codex`."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the Host field has them (RFC 9110, 7.2): the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def responses_path(self) -> str:
        """The request target of the Responses endpoint."""
        return f"{self.path}/responses"


_PORTS = {"https": 443, "http": 80}


def read_provider(url: str) -> Provider:
    """The provider at `url`. Raises ValueError, in words for the user, unless it is https, or http on loopback."""
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
    return Provider(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether `host` names this machine's loopback interface, by address or as `localhost`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

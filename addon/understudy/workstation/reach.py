"""Asks a running proxy, through its own port, what it is: that it answers as ours proves that programs reach it."""

import http.client
import json
from contextlib import closing

from understudy.state.runtime import Runtime, decode
from understudy.wire.reserved import NAME

TIMEOUT = 2.0
"""Seconds."""
LARGEST = 256 * 1024
"""Bytes that are read of an answer."""


def ask(proxy: Runtime | int, timeout: float = TIMEOUT) -> Runtime | None:
    """What answers at a port of 127.0.0.1, or at a proxy's; None where that is nothing of ours. Blocking.

    A proxy that wants a password (`proxyauth`) says nothing else, and is taken for what it has told. No proxy that the
    environment names is in between.
    """
    port = proxy if isinstance(proxy, int) else proxy.port
    if port is None:
        return None
    try:
        status, content = _answer(port, timeout)
        if status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and isinstance(proxy, Runtime):
            return proxy
        said = json.loads(content)
        return decode(int(said["pid"]), said)
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
        return None


def wants_password(port: int, timeout: float = TIMEOUT) -> bool:
    """Whether what answers at a port of 127.0.0.1 lets nobody in without a password (`proxyauth`). Blocking."""
    try:
        return _answer(port, timeout)[0] == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    except (OSError, http.client.HTTPException):
        return False


def _answer(port: int, timeout: float) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request("GET", f"http://{NAME}/runtime", headers={"Host": NAME, "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(LARGEST)

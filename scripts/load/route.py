"""Plain mitmproxy for comparison: a script that only routes Responses calls to the load backend and streams."""

import os
from urllib.parse import urlsplit

from mitmproxy import http

HOST = os.environ["ROUTE_FROM"]
TARGET = urlsplit(os.environ["ROUTE_TO"])


def request(flow: http.HTTPFlow) -> None:
    """Sends the call to the backend."""
    if flow.request.pretty_host == HOST and flow.request.path == "/v1/responses":
        flow.request.scheme = TARGET.scheme
        flow.request.host = TARGET.hostname or ""
        flow.request.port = TARGET.port or 443
        flow.request.path = TARGET.path


def responseheaders(flow: http.HTTPFlow) -> None:
    """Passes the answer on as it comes. What opens a WebSocket has none."""
    assert flow.response is not None
    flow.response.stream = flow.response.status_code != 101

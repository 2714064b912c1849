"""What the proxy answers for itself, under a name of its own: `http://understudy.internal/`, asked through its port.

It is asked in plain HTTP, by programs on this machine. Whatever else is addressed to that name is refused, and nothing
of it ever goes upstream.
"""

import json
from collections.abc import Callable

from mitmproxy import http

from understudy.proxy.claim import Names, Way
from understudy.proxy.messages import response_of
from understudy.proxy.names import names_of
from understudy.proxy.presence import Presence
from understudy.proxy.refusals import TYPE, stranger, web_page
from understudy.state.runtime import encode
from understudy.wire.reply import Reply, openai_error
from understudy.wire.reserved import NAME, is_exact, is_meant

_HEADERS = (
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    # For a browser that goes through the proxy: no page gets to see it, or to use it as something else.
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
)


def concerns(flow: http.HTTPFlow) -> bool:
    """Whether a request may be taken for one to our own name. Every request of every program is asked for it."""
    request, address = flow.request, flow.server_conn.address
    hosts = (request.host, request.authority, *request.headers.get_all("host"))
    return any(map(is_meant, (*hosts, flow.client_conn.sni, address[0] if address else None)))


def refusal() -> Reply:
    """What a request to our own name hears that is not answered; nothing there goes upstream."""
    message = f"{NAME} is this proxy itself. It is asked in plain HTTP, through the proxy's port."
    return openai_error(502, message, type=TYPE, code="understudy_internal")


def answer(flow: http.HTTPFlow, presence: Presence) -> http.Response:
    """The answer to a request that `concerns` us."""
    return response_of(_reply(flow, names_of(flow), presence))


def _reply(flow: http.HTTPFlow, names: Names, presence: Presence) -> Reply:
    if not names.local:
        return stranger()
    if names.page:
        return web_page()
    said = (flow.request.host, *names.authorities)
    if names.way is not Way.PROXY or flow.request.scheme != "http" or not all(map(is_exact, said)):
        return refusal()
    page = _PAGES.get((names.method, names.path))
    return page(presence) if page else _nothing()


def _runtime(presence: Presence) -> Reply:
    return Reply(200, _HEADERS, json.dumps(encode(presence.runtime())).encode())


def _nothing() -> Reply:
    return openai_error(404, "There is nothing here.", type=TYPE, code="understudy_not_found")


_PAGES: dict[tuple[str, str], Callable[[Presence], Reply]] = {("GET", "/runtime"): _runtime}
"""By method and request target."""

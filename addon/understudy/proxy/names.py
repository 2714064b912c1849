"""Reads from a mitmproxy flow everything that says where its request goes."""

from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.proxy import mode_specs

from understudy.proxy.claim import Names, Way
from understudy.state.own_address import is_own
from understudy.wire.identity import DUMMY_KEY
from understudy.wire.provider import is_loopback


def names_of(flow: http.HTTPFlow) -> Names:
    """The names in a flow whose request headers have been read, and nothing more."""
    client, request = flow.client_conn, flow.request
    way = _way(client.proxy_mode)
    secure = request.scheme == "https"
    address = flow.server_conn.address
    authorities = (request.authority, *request.headers.get_all("host"))
    return Names(
        way=way,
        method=request.method.upper(),
        path=request.path,
        encrypted=secure if way is Way.REVERSE else secure and client.tls_established,
        websocket=_wants_websocket(request.headers),
        destination=address[0] if address else None,
        sni=client.sni,
        authorities=tuple(a for a in authorities if a),
        local=is_local(client) or "proxyauth" in flow.metadata,
        page=_is_of_a_page(request.headers),
        keyless=is_keyless(flow),
    )


def is_keyless(flow: http.HTTPFlow) -> bool:
    """Whether the program has no key but the one that we give programs to start with."""
    scheme, _, key = str(flow.request.headers.get("authorization", "")).strip().partition(" ")
    return scheme.lower() == "bearer" and key.strip() == DUMMY_KEY


def _wants_websocket(headers: http.Headers) -> bool:
    """Whether WebSocket is among the protocols that the connection may become (RFC 9110, 7.8)."""
    protocols = (protocol.strip().partition("/")[0] for protocol in str(headers.get("upgrade", "")).split(","))
    return "websocket" in map(str.lower, protocols)


def _is_of_a_page(headers: http.Headers) -> bool:
    """Whether a web page made the request: browsers say so (Fetch Metadata, Sec-Fetch-Site; RFC 6454, Origin)."""
    site, origin = str(headers.get("sec-fetch-site", "none")), str(headers.get("origin", ""))
    return site != "none" or origin == "null" or origin.startswith("http")


def _way(mode: mode_specs.ProxyMode) -> Way:
    if isinstance(mode, mode_specs.ReverseMode):
        return Way.REVERSE
    if isinstance(mode, mode_specs.RegularMode | mode_specs.UpstreamMode):
        return Way.PROXY
    return Way.TRANSPARENT


def is_local(client: Client) -> bool:
    """Whether the client runs on this machine: on loopback or, redirected, under an address of the machine's own."""
    peer = client.peername
    if not peer:
        return False
    host = peer[0].removeprefix("::ffff:")
    return is_loopback(host) or is_own(host, scope=peer[3] if len(peer) > 3 else 0)

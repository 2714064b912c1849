"""Closes a connection to one of our hosts that mitmproxy would pass on unread."""

from collections.abc import Iterator

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, layers
from mitmproxy.proxy.layers.tls import parse_client_hello

_UNREAD = (layers.TCPLayer, layers.UDPLayer, layers.RawQuicLayer)


class Shut(layer.Layer):
    """Hangs up on the program, and hears nothing."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def is_unread(nextlayer: layer.NextLayer) -> bool:
    """Whether mitmproxy has decided to pass on what follows as it is."""
    return isinstance(nextlayer.layer, _UNREAD)


def names_called(nextlayer: layer.NextLayer) -> frozenset[str]:
    """The names that a connection goes by, so far, in lower case: where it goes, and what its TLS asks for."""
    return frozenset(name.lower().removesuffix(".") for name in _names(nextlayer) if name)


def _names(nextlayer: layer.NextLayer) -> Iterator[str | None]:
    context, begun = nextlayer.context, nextlayer.data_client()
    if context.server.address:
        yield context.server.address[0]
    yield context.client.sni
    if starts_like_tls_record(begun):
        try:
            hello = parse_client_hello(begun)
        except ValueError:
            return
        yield hello.sni if hello else None

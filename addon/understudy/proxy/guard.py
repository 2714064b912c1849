"""Refuses whatever is addressed to our hosts and was not claimed and prepared: the addon may be gone, the guard stays.

mitmproxy logs an addon's exception and lets the flow go on unmodified, and it reloads a script that changed on disk.
Either would send a request out under the host's own key. The guard is added to the master itself, once, by the
package; no script reload removes it.
"""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.exceptions import OptionsError
from mitmproxy.master import Master
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import ClientHelloData

from understudy.proxy import internal, refusals
from understudy.proxy.claim import Claim, Leave, Refuse, Scope, Verdict, judge
from understudy.proxy.jobs import Jobs
from understudy.proxy.layer import teach_client_replay
from understudy.proxy.messages import response_of, take_credentials, with_headers
from understudy.proxy.names import is_local, names_of
from understudy.proxy.options import DEFAULT_SCOPE, chosen_by_user, read_scope
from understudy.proxy.presence import Presence
from understudy.proxy.shut import Shut, is_unread, names_called
from understudy.proxy.signals import told_again
from understudy.proxy.turn import PLACEHOLDER, Attempt, Follow, Turns, Upgrade, Wait
from understudy.wire.endpoints import prepared_endpoint
from understudy.wire.reserved import is_meant

logger = logging.getLogger(__name__)

NAME = "understudy-guard"
DRAIN = 60.0
"""Seconds that running answers may take after the proxy was told to stop."""


class Guard:
    """The last addon of the chain."""

    def __init__(self) -> None:
        self.name = NAME
        # Made once, ahead: the last line of defence depends on nothing that may break under it.
        self._refusal = response_of(refusals.undecided())
        self.turns = Turns(self.verdict)
        self.jobs: Jobs | None = None
        """The answers that are kept or in the making, once the script has been loaded: they survive its reloads."""
        self.presence: Presence | None = None
        """What this process tells of itself, once the script has been loaded."""
        self._open_to_others = chosen_by_user(ctx.options, "listen_host")
        self.endings: list[Callable[[], Awaitable[None]]] = []
        """What is left to do when the last answer has ended; of every addon that was ever loaded."""

    def verdict(self, flow: http.HTTPFlow) -> Verdict:
        """Whether a flow is for us to carry out or refuse: by its names, or by a placeholder in it."""
        if internal.concerns(flow):
            return Refuse(internal.refusal())
        if not flow.request.headers.get("authorization", "").startswith(PLACEHOLDER):
            return judge(names_of(flow), self._scope())
        if flow.is_replay == "request":
            return Claim(prepared_endpoint(flow.request.path))
        return Refuse(refusals.misaddressed("it carries Understudy's own placeholder"))

    def refusal(self) -> http.Response:
        """The answer to a request that nothing has prepared."""
        return with_headers(self._refusal, self._refusal.headers.copy())

    def concerns(self, flow: http.HTTPFlow) -> bool:
        """Whether a flow is ours to carry out or refuse."""
        return not isinstance(self.turns.seated(flow) or self.verdict(flow), Leave)

    def client_connected(self, client: Client) -> None:
        """Hangs up on other machines, unless the user opened the proxy to them: it would be an open proxy.

        To listen on loopback alone is not enough: with some Python versions mitmproxy opens its ports before it loads
        a script.
        """
        if not (is_local(client) or self._open_to_others or ctx.options.proxyauth):
            client.error = "not a program on this machine"
            logger.warning("understudy: refused a connection from %s; set listen_host or proxyauth", client.peername[0])

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Leaves TLS to other hosts closed, whether the script is loaded or not. Ours are called by their names."""
        server = data.context.server
        if server.address is None or isinstance(data.context.client.proxy_mode, ReverseMode):
            return
        called, named = ((name or "").lower().removesuffix(".") for name in (server.address[0], data.client_hello.sni))
        ours = self._scope().all
        if not {called, named} & ours:
            if not getattr(ctx.options, "codex_decrypt_all", False):
                data.ignore_connection = True
            return
        data.ignore_connection = False  # Another addon may want it so.
        if named in ours and _is_address(called) and not server.connected:
            # The certificate would name the address as well, for which our own authority cannot sign. What is left
            # alone then goes where the name leads: the program has taken the address from there, and asks for the name.
            server.address = (named, server.address[1])

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Nothing that is addressed to our hosts is passed on unread, whichever option or addon wants it so."""
        if is_unread(nextlayer) and (called := names_called(nextlayer) & self._scope().all):
            logger.warning("understudy: closed a connection to %s: it would have gone out unread", ", ".join(called))
            nextlayer.layer = Shut(nextlayer.context)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """There is no way into ourselves."""
        if is_meant(flow.request.host):
            flow.response = response_of(internal.refusal())

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Nothing that is addressed to ourselves goes upstream, whatever it is."""
        if data.server.address is not None and is_meant(data.server.address[0]):
            data.server.error = "it is the proxy itself"

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Arms the refusal where nobody claimed. What is claimed has its body read whole, whoever wants it streamed."""
        self._stop(flow)
        if self.turns.get(flow) is not None:
            flow.request.stream = False

    def request(self, flow: http.HTTPFlow) -> None:
        """Whatever has no attempt prepared for it by now goes nowhere."""
        self._stop(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """The flow has ended."""
        self.turns.close(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """The flow has ended."""
        self.turns.close(flow)

    async def done(self) -> None:
        """The proxy stops: no new connections, and the answers that are running may run to their end."""
        ctx.options.update(server=False)
        hurried = told_again()
        if self.presence is not None:
            await self.presence.closes()
        if len(self.turns):
            logger.info(
                "understudy: waiting for %d running answers, %.0f s at most; the same signal again cuts them off",
                len(self.turns),
                DRAIN,
            )
        until = time.monotonic() + DRAIN
        while len(self.turns) and time.monotonic() < until and not hurried.is_set():
            await asyncio.sleep(0.05)
        for ending in self.endings:
            await ending()
        if self.presence is not None:
            self.presence.end()

    def _scope(self) -> Scope:
        """Whose requests are ours, also where the options do not exist yet, or are wrong."""
        try:
            return read_scope(ctx.options)
        except (AttributeError, OptionsError):
            return DEFAULT_SCOPE

    def _stop(self, flow: http.HTTPFlow) -> None:
        if not flow.live or flow.response is not None:
            return
        try:
            turn = self.turns.get(flow)
            prepared = turn is not None and isinstance(turn.next, Attempt | Wait | Upgrade | Follow)
            if prepared or (turn is None and not self.concerns(flow)):
                return
        except BaseException as error:
            logger.error("understudy: the guard could not tell whose request this is (%s)", type(error).__name__)
        flow.request.stream = False
        try:
            take_credentials(flow.request)
            flow.response = self.refusal()
        except BaseException:
            flow.kill()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def guard_of(master: Master) -> Guard:
    """The master's guard; added the first time that the script is loaded."""
    guard = master.addons.get(NAME)
    if guard is None:
        guard = Guard()
        master.addons.add(guard)
        teach_client_replay(guard.turns)
    assert isinstance(guard, Guard)
    return guard

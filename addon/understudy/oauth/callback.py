"""Listens on loopback for the browser that comes back from ChatGPT's login page, and answers it with a page.

The port is open to every program of this machine and to every web page in its browsers (which can send requests, not
read answers). So nothing is done but for a browser's own navigation to `/auth/callback`, and what that means is
decided by the `state` it brings.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from understudy.oauth.admission import refusal
from understudy.oauth.pages import error_page
from understudy.oauth.port_holder import port_holder
from understudy.wire.reply import Reply

if TYPE_CHECKING:  # tornado takes a while to load
    from tornado.httputil import HTTPServerRequest

PORTS = (1455, 1457)
"""The only ports that are registered for Codex's client id."""
LIMIT = 300.0
"""Seconds to wait for the browser."""
GRACE = 20.0
"""Seconds in which those that came in time are answered: more than the exchange of a code may take."""
HEADER_TIMEOUT = 10.0
MAX_HEADERS = 16 * 1024

_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class PortsTaken(Exception):
    """Other programs have the ports; the text says which, as far as can be seen."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A port that is ours on all of loopback."""

    port: int
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        """Gives the port up."""
        for each in self.sockets:
            each.close()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The page to show for a callback, and whether the login is over with it."""

    page: Reply
    final: bool


Judge = Callable[[str], Awaitable[Verdict]]
"""Says what a callback means, by its query."""


def bind(ports: Sequence[int] = PORTS) -> Bound:
    """The first of `ports` that is free on 127.0.0.1 and on ::1, bound on both.

    Browsers try ::1 first for `localhost`: whoever listened there would be handed the code. Raises PortsTaken.
    """
    for port in ports:
        bound = _bind(port)
        if bound is not None:
            return bound
    taken = " and ".join(f"{port} by {port_holder(port) or 'another program'}" for port in ports)
    raise PortsTaken(f"the ports that a browser login can use are taken: {taken}")


async def receive(bound: Bound, judge: Judge, limit: float = LIMIT) -> None:
    """Answers browsers by what `judge` says until a callback is final. Raises TimeoutError after `limit` seconds.

    An exception of `judge` is raised here, once the browser was told that something went wrong. Closes `bound`.
    """
    from tornado.httpserver import HTTPServer

    visits = Visits(bound.port, judge)
    server = HTTPServer(
        visits.take,
        no_keep_alive=True,
        idle_connection_timeout=HEADER_TIMEOUT,
        body_timeout=HEADER_TIMEOUT,
        max_header_size=MAX_HEADERS,
        max_body_size=MAX_HEADERS,
        max_buffer_size=4 * MAX_HEADERS,
    )
    server.add_sockets(bound.sockets)
    try:
        await asyncio.wait([visits.over], timeout=limit)
        server.stop()
        await visits.finish()
    finally:
        server.stop()
        visits.cancel()
        await server.close_all_connections()
    if not visits.over.done():
        raise TimeoutError("nobody came back from the login page")
    visits.over.result()


class Visits:
    """The browsers' requests of one login, one after the other. `over`: set by the final one."""

    def __init__(self, port: int, judge: Judge) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._port = port
        self._judge = judge
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: "HTTPServerRequest") -> None:
        """Tornado's callback for a request that has arrived whole."""
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Lets those that are here already get their pages; among them may be the one that comes at the last moment."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)

    def cancel(self) -> None:
        """Ends what is still being answered."""
        for task in self._tasks:
            task.cancel()

    async def _answer(self, request: "HTTPServerRequest") -> None:
        refused = refusal(request, self._port)
        if refused is not None:
            await _send(request, refused)
            return
        async with self._turn:
            if self.over.done():
                await _send(request, error_page(400, "This login is over", "Start a new one in the terminal."))
                return
            await self._finish(request)

    async def _finish(self, request: "HTTPServerRequest") -> None:
        try:
            verdict = await self._judge(request.query)
        except Exception as error:
            await _send(request, error_page(500, "The login failed", "What went wrong is said in the terminal."))
            self.over.set_exception(error)
            return
        await _send(request, verdict.page)
        if verdict.final:
            self.over.set_result(None)


async def _send(request: "HTTPServerRequest", page: Reply) -> None:
    """Sends the page to its end, so that the program may end after it. Who has hung up does not want it."""
    from tornado.httputil import HTTPHeaders, ResponseStartLine
    from tornado.iostream import StreamClosedError

    fields = HTTPHeaders({**dict(page.headers), "content-length": str(len(page.body))})
    connection = request.connection
    assert connection is not None
    start = ResponseStartLine("HTTP/1.1", page.status, HTTPStatus(page.status).phrase)
    try:
        await connection.write_headers(start, fields, page.body if request.method != "HEAD" else None)
        connection.finish()
    except StreamClosedError:
        return


def _bind(port: int) -> Bound | None:
    sockets: list[socket.socket] = []
    for family, address in _LOOPBACK:
        try:
            sockets.append(_listen(family, address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in _NO_SUCH_FAMILY:
                continue
            for each in sockets:
                each.close()
            return None
    return Bound(port, tuple(sockets))


def _listen(family: int, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Unix this lets us in where the last login's connections have not timed out, and not where one listens.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(16)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener

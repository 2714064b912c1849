"""The one HTTP client of our own: it has no memory, follows nothing and trusts nothing of the environment."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import certifi
import httpx

from understudy.oauth.request import OAuthRequest

TIMEOUT = 15.0
"""Seconds for the whole exchange."""
CONNECT_TIMEOUT = 10.0
CATCH_UP = 1.0
"""Seconds more for a process that stood still meanwhile: to read what has come in time."""
MAX_ANSWER = 1024 * 1024

for chatty in ("httpx", "httpcore"):
    # A line for each answer, before anybody has it: mitmproxy ends at once where a line cannot be printed.
    logging.getLogger(chatty).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the other side.

    `proxy`: URL of the HTTP proxy to go through, user and password in it. `trusted_ca`: PEM file of the authorities to
    trust, in the place of those that come with certifi.
    """

    proxy: str | None = field(default=None, repr=False)
    trusted_ca: str | None = None


DIRECT = Route()


class NotSent(Exception):
    """The request never left this machine: it may be sent again."""


class NoAnswer(Exception):
    """The request left, wholly or in part, and no answer came: what it asked for may have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What matters of an answer. The body may hold tokens. The rest: its fields as they came, or empty."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    etag: str = ""
    date: str = ""


async def send(
    request: OAuthRequest,
    route: Route = DIRECT,
    timeout: float = TIMEOUT,
    *,
    peer: str = "the login server",
) -> tuple[int, bytes]:
    """As `ask`, but gives the answer's status and body alone."""
    answer = await ask(request, route, timeout, peer=peer)
    return answer.status, answer.body


async def ask(
    request: OAuthRequest,
    route: Route = DIRECT,
    timeout: float = TIMEOUT,
    *,
    peer: str = "the login server",
    may_send: Callable[[], bool] = lambda: True,
) -> Answer:
    """Sends `request` once and gives the answer.

    `timeout`: seconds for the whole exchange. `peer`: what the errors call the other side. `may_send`: asked at the
    last moment; where it says no, NotSent is raised. Raises NotSent or NoAnswer, whose texts hold nothing of the
    request.
    """
    try:
        transport = await asyncio.to_thread(_transport, route)
    except (OSError, ValueError, httpx.InvalidURL):
        raise NotSent("the proxy's address, or the file of trusted authorities, cannot be used") from None
    exchange = asyncio.get_running_loop().create_task(_exchange(request, transport, timeout, may_send))
    try:
        done, _ = await asyncio.wait([exchange], timeout=timeout)
        if not done:
            await asyncio.wait([exchange], timeout=CATCH_UP)
        if not exchange.done():
            raise TimeoutError
        return exchange.result()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, ssl.SSLCertVerificationError) as error:
        raise NotSent(f"{peer} cannot be reached ({type(error).__name__})") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise NotSent(f"{peer}'s address cannot be used") from None
    except (httpx.HTTPError, OSError) as error:
        raise NoAnswer(f"{peer} did not answer ({type(error).__name__})") from None
    finally:
        exchange.cancel()
        await asyncio.gather(exchange, return_exceptions=True)


def _transport(route: Route) -> httpx.AsyncHTTPTransport:
    """Reads the authorities, which takes tens of milliseconds: not for the event loop, where answers stream."""
    return httpx.AsyncHTTPTransport(
        verify=ssl.create_default_context(cafile=route.trusted_ca or certifi.where()),
        # Without this it would go through the very proxy that it serves.
        trust_env=False,
        # The client's own argument for it has changed its name over the versions of httpx.
        proxy=httpx.Proxy(route.proxy) if route.proxy else None,
        retries=0,
    )


async def _exchange(
    request: OAuthRequest, transport: httpx.AsyncHTTPTransport, timeout: float, may_send: Callable[[], bool]
) -> Answer:
    async def trace(event: str, info: object) -> None:
        if event.endswith("send_request_headers.started") and not may_send():
            raise NotSent("this machine, or this program, stood still for too long")

    # How long an answer may take is for the caller to say: these would not let it be read after a standstill.
    limits = httpx.Timeout(None, connect=min(CONNECT_TIMEOUT, timeout))
    client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=limits, follow_redirects=False)
    headers = [*request.headers, ("accept-encoding", "identity")]

    async with (
        client,
        client.stream(
            request.method, request.url, headers=headers, content=request.body, extensions={"trace": trace}
        ) as answer,
    ):
        body = b""
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise NoAnswer("the answer is too long")
        said = {name: answer.headers.get(name.replace("_", "-"), "") for name in ("retry_after", "etag", "date")}
        return Answer(answer.status_code, body, **said)

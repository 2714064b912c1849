"""One request goes out, once, to where it is meant to go, and what became of it is known."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from support.login_server import serving
from support.logins import CANARY
from understudy.oauth.client import MAX_ANSWER, Answer, NoAnswer, NotSent, Route, ask, send
from understudy.oauth.request import OAuthRequest

SECRET_BODY = f'{{"refresh_token": "rt_{CANARY}"}}'.encode()


class Recorder(BaseHTTPRequestHandler):
    """Notes what comes and answers as it is told."""

    seen: list[tuple[str, dict[str, str], bytes]]
    reply: bytes

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.wfile.write(self.reply)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def recording(reply: bytes, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, type[Recorder]]]:
    """A server that answers `reply` to everything: its address, and what it has seen."""
    handler = type("Handler", (Recorder,), {"seen": [], "reply": reply})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()


def request(origin: str) -> OAuthRequest:
    return OAuthRequest("POST", f"{origin}/oauth/token", (("content-type", "application/json"),), SECRET_BODY)


def answer(status: str, body: bytes, *fields: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"content-length: {len(body)}", *fields, "", ""))
    return head.encode() + body


async def test_the_answer_is_a_status_and_the_bytes_of_its_body() -> None:
    with recording(answer("418 Teapot", b"short and stout")) as (origin, recorder):
        assert await send(request(origin)) == (418, b"short and stout")
    path, headers, body = recorder.seen[0]
    assert (path, body, headers["content-type"]) == ("/oauth/token", SECRET_BODY, "application/json")
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(("fields", "retry_after"), [((), ""), (("retry-after: 90",), "90")])
async def test_the_answer_may_say_when_to_come_again(fields: tuple[str, ...], retry_after: str) -> None:
    with recording(answer("429 Slow Down", b"{}", *fields)) as (origin, _):
        assert await ask(request(origin)) == Answer(429, b"{}", retry_after)


async def test_the_environments_proxy_and_authorities_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    with recording(answer("200 OK", b"")) as (origin, _):
        assert await send(request(origin)) == (200, b"")


async def test_a_redirect_is_not_followed_and_cookies_are_not_kept() -> None:
    with recording(answer("307 Moved", b"", "location: /elsewhere", "set-cookie: a=b")) as (origin, recorder):
        assert (await send(request(origin)))[0] == 307
        await send(request(origin))
    assert [path for path, _, _ in recorder.seen] == ["/oauth/token", "/oauth/token"]
    assert "cookie" not in recorder.seen[1][1]


async def test_the_proxy_it_is_told_of_is_used() -> None:
    with recording(answer("200 OK", b"by proxy")) as (proxy, recorder):
        user = proxy.replace("http://", "http://user:pass@")
        assert await send(request("http://127.0.0.1:1"), Route(user)) == (200, b"by proxy")
    path, headers, _ = recorder.seen[0]
    assert path == "http://127.0.0.1:1/oauth/token"
    assert headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


async def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    with pytest.raises(NotSent):
        await send(request("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:1", "foo://user:canary-of-tests@127.0.0.1", "http://canary-of-tests:99999999"]
)
async def test_a_proxy_that_cannot_be_used_was_sent_nothing(proxy: str) -> None:
    with pytest.raises(NotSent) as caught:
        await send(request("https://127.0.0.1:1"), Route(proxy))
    assert CANARY not in str(caught.value)


async def test_an_authority_that_is_not_trusted_was_sent_nothing_and_one_that_is_told_of_is_trusted(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with recording(answer("200 OK", b"trusted"), context) as (origin, recorder):
        with pytest.raises(NotSent):
            await send(request(origin))
        assert recorder.seen == []
        assert await send(request(origin), Route(trusted_ca=str(tmp_path / "ca.pem"))) == (200, b"trusted")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="hung up"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", id="cut off"),
        pytest.param(b"no HTTP\r\n\r\n", id="no HTTP"),
        pytest.param(answer("200 OK", b"x" * (MAX_ANSWER + 1)), id="endless"),
    ],
)
async def test_a_request_that_left_and_got_no_whole_answer_may_have_been_carried_out(reply: bytes) -> None:
    with recording(reply) as (origin, recorder), pytest.raises(NoAnswer) as caught:
        await send(request(origin))
    assert len(recorder.seen) == 1, "sent again"
    assert CANARY not in repr(caught.value)


@asynccontextmanager
async def answering(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that takes one connection and does this with it; its address."""
    ended = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            ended.set()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await ended.wait()


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with answering(say_nothing) as origin:
        with pytest.raises(NoAnswer):
            await send(request(origin), timeout=0.2)


async def test_a_server_that_dribbles_is_given_up_in_time() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with answering(dribble) as origin:
        with pytest.raises(NoAnswer):
            await send(request(origin), timeout=0.3)


async def test_an_answer_that_came_while_the_process_stood_still_is_read() -> None:
    with serving() as server:
        server.delay, server.answers = 0.3, [(200, b"{}")]
        # The whole process: the answer comes meanwhile, and the time for it runs out.
        asyncio.get_running_loop().call_later(0.15, time.sleep, 1.0)
        assert (await ask(request(server.url), timeout=0.6)).body == b"{}"


async def test_what_may_no_longer_be_sent_is_not() -> None:
    with recording(answer("200 OK", b"{}")) as (origin, handler):
        with pytest.raises(NotSent, match="stood still"):
            await ask(request(origin), may_send=lambda: False)
        assert handler.seen == []

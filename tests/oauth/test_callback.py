"""The listener takes one browser's return from the login page, and nothing else from anyone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest

from support.command import free_port
from understudy.oauth.callback import MAX_HEADERS, Bound, PortsTaken, Verdict, bind, receive
from understudy.oauth.pages import error_page, success_page

pytestmark = pytest.mark.timeout(30)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@contextmanager
def squatting(host: str, port: int) -> Iterator[None]:
    """Another program that listens there, as openly as the system allows."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        squatter.bind((host, port))
        squatter.listen()
        yield


class Door:
    """A listener at work: `queries` has what got through to the judge, who ends it at `code=right`."""

    def __init__(self, bound: Bound, limit: float = 10.0) -> None:
        self.port = bound.port
        self.queries: list[str] = []
        self.work = 0.0
        self.done = asyncio.ensure_future(receive(bound, self.judge, limit))

    async def judge(self, query: str) -> Verdict:
        self.queries.append(query)
        await asyncio.sleep(self.work)
        if query == "code=broken":
            raise LookupError("the store is broken")
        final = query == "code=right"
        return Verdict(success_page("Added plus-ada") if final else error_page(400, "Wrong"), final)

    async def ask(
        self, path: str = "/auth/callback?code=right", *, method: str = "GET", host: str = "", **fields: str
    ) -> httpx.Response:
        """A request to 127.0.0.1, by default as a browser sends it."""
        headers = {"host": host or f"localhost:{self.port}"} | {k.replace("_", "-"): v for k, v in fields.items()}
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers)


@asynccontextmanager
async def opened(limit: float = 10.0) -> AsyncIterator[Door]:
    door = Door(bind([free_port()]), limit)
    try:
        yield door
    finally:
        door.done.cancel()
        await asyncio.gather(door.done, return_exceptions=True)


async def test_the_browser_gets_its_page_and_the_listener_is_gone() -> None:
    async with opened() as door:
        answer = await door.ask(sec_fetch_mode="navigate", sec_fetch_site="cross-site", sec_fetch_dest="document")
        await door.done
        assert (answer.status_code, door.queries) == (200, ["code=right"])
        assert "Added plus-ada" in answer.text and "content-security-policy" in answer.headers
        with pytest.raises(httpx.ConnectError):
            await door.ask()


async def test_a_browser_may_say_that_it_will_not_say_where_it_comes_from() -> None:
    async with opened() as door:
        assert (await door.ask(sec_fetch_mode="navigate", origin="null")).status_code == 200


async def test_a_browser_may_call_it_by_its_address() -> None:
    async with opened() as door:
        assert (await door.ask(host=f"127.0.0.1:{door.port}")).status_code == 200


@needs_ipv6
async def test_a_browser_that_tries_the_ipv6_loopback_first_finds_the_same_listener() -> None:
    async with opened() as door, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://[::1]:{door.port}/auth/callback?code=right"
        answer = await client.get(url, headers={"host": f"localhost:{door.port}"})
        assert answer.status_code == 200
        await door.done


async def test_a_callback_that_is_not_final_does_not_end_the_login() -> None:
    async with opened() as door:
        assert (await door.ask("/auth/callback?code=wrong")).status_code == 400
        assert not door.done.done()
        assert (await door.ask()).status_code == 200
        await door.done


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param({"host": "rebind.example"}, 400, id="another host"),
        pytest.param({"host": "rebind.example:{port}"}, 400, id="another host with our port"),
        pytest.param({"host": "localhost"}, 400, id="no port"),
        pytest.param({"host": "localhost:1"}, 400, id="another port"),
        pytest.param({"host": "localhost:{port}.rebind.example"}, 400, id="a name that begins like ours"),
        pytest.param({"host": "localhost.:{port}"}, 400, id="trailing dot"),
        pytest.param({"origin": "https://evil.example"}, 403, id="a web page's script"),
        pytest.param({"origin": "http://localhost:{port}"}, 403, id="a script of our own origin"),
        pytest.param({"origin": "null", "sec_fetch_mode": "cors"}, 403, id="a script without an origin"),
        pytest.param({"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}, 403, id="an image"),
        pytest.param({"sec_fetch_mode": "cors"}, 403, id="fetch()"),
        pytest.param({"sec_fetch_mode": "websocket"}, 403, id="a WebSocket"),
        pytest.param({"method": "POST"}, 404, id="POST"),
        pytest.param({"method": "HEAD"}, 404, id="HEAD"),
        pytest.param({"method": "OPTIONS", "access_control_request_method": "GET"}, 404, id="CORS preflight"),
        pytest.param({"path": "/"}, 404, id="root"),
        pytest.param({"path": "/cancel"}, 404, id="/cancel"),
        pytest.param({"path": "/success"}, 404, id="/success"),
        pytest.param({"path": "/auth/callback/?code=right"}, 404, id="trailing slash"),
        pytest.param({"path": "/auth%2Fcallback?code=right"}, 404, id="encoded slash"),
        pytest.param({"path": "//auth/callback?code=right"}, 404, id="double slash"),
    ],
)
async def test_what_is_no_browsers_return_changes_nothing(request_: dict[str, str], status: int) -> None:
    async with opened() as door:
        request = {name: value.replace("{port}", str(door.port)) for name, value in request_.items()}
        answer = await door.ask(**request)
        assert (answer.status_code, door.queries, door.done.done()) == (status, [], False)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await door.ask()).status_code == 200, "and the login goes on"


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param("GET /auth/callback?code=right HTTP/1.0\r\n\r\n", id="no Host"),
        pytest.param(
            "GET /auth/callback?code=right HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil\r\n\r\n", id="two Hosts"
        ),
        pytest.param(
            "GET http://evil/auth/callback?code=right HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n", id="absolute URL"
        ),
        pytest.param("GET /auth/callback?code=right\r\n\r\n", id="no HTTP"),
        pytest.param(
            f"GET /auth/callback?code=right HTTP/1.1\r\nHost: localhost:{{port}}\r\nX: {'x' * MAX_HEADERS}\r\n\r\n",
            id="endless headers",
        ),
        pytest.param(
            f"GET /auth/callback?code=right HTTP/1.1\r\nHost: localhost:{{port}}\r\nContent-Length: {2**40}\r\n\r\n",
            id="endless body",
        ),
    ],
)
async def test_a_malformed_request_changes_nothing(request_: str) -> None:
    async with opened() as door:
        answer = await raw(door.port, request_.replace("{port}", str(door.port)).encode())
        assert b" 200 " not in answer and door.queries == []
        assert (await door.ask()).status_code == 200


async def test_a_connection_that_says_nothing_keeps_nobody_waiting() -> None:
    async with opened() as door:
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert (await door.ask()).status_code == 200
        await asyncio.wait_for(door.done, 2)
        writer.close()


async def test_a_second_callback_waits_for_the_first_and_then_finds_the_login_over() -> None:
    async with opened() as door:
        door.work = 0.2
        first, second = await asyncio.gather(door.ask(), door.ask())
        assert sorted((first.status_code, second.status_code)) == [200, 400]
        assert door.queries == ["code=right"], "a code is used once"


async def test_a_fault_of_ours_is_told_to_the_browser_and_raised_here() -> None:
    async with opened() as door:
        answer = await door.ask("/auth/callback?code=broken")
        assert answer.status_code == 500 and "store" not in answer.text
        with pytest.raises(LookupError):
            await door.done


async def test_a_browser_that_hangs_up_before_its_page_came_has_logged_in_all_the_same() -> None:
    async with opened() as door:
        door.work = 0.2
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(f"GET /auth/callback?code=right HTTP/1.1\r\nHost: localhost:{door.port}\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.wait_for(door.done, 2)


async def test_a_browser_that_comes_at_the_last_moment_is_still_served() -> None:
    async with opened(limit=0.2) as door:
        door.work = 0.5
        assert (await door.ask()).status_code == 200
        await door.done


async def test_nobody_comes_in_time() -> None:
    async def judge(query: str) -> Verdict:
        raise AssertionError

    with pytest.raises(TimeoutError):
        await receive(bind([free_port()]), judge, limit=0.05)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6), "0.0.0.0"])
def test_a_port_that_another_program_holds_on_either_loopback_is_not_used(host: str) -> None:
    taken, free = free_port(), free_port()
    with squatting(host, taken):
        bound = bind([taken, free])
        assert bound.port == free
        bound.close()
        with pytest.raises(PortsTaken, match=rf"{taken} by \w+"):
            bind([taken])


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_nobody_can_join_us_on_the_port(host: str) -> None:
    bound = bind([free_port()])
    with pytest.raises(OSError), squatting(host, bound.port):
        pass
    bound.close()


def test_only_loopback_is_listened_on() -> None:
    bound = bind([free_port()])
    assert {each.getsockname()[0] for each in bound.sockets} <= {"127.0.0.1", "::1"}
    bound.close()


async def test_the_port_can_be_used_again_at_once() -> None:
    port = free_port()
    for _ in range(2):
        door = Door(bind([port]))
        await door.ask()
        await door.done

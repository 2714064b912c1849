"""What is not ours goes through as if we were not there: other paths to the byte, TLS to other hosts unopened."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support.backstage import Backstage
from support.hosts import HOST_KEY
from support.peers import OPENAI, Company, Names, Origin, Tunnel, server_tls
from support.proxy import Proxy
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

OTHER = "other.test"
OTHERS = Names(f"{OTHER}:443", OTHER, OTHER)
CREDENTIALS = f"authorization: Bearer {HOST_KEY}\r\nOpenAI-Organization: org-1\r\nCookie: a=b\r\n"


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin


@pytest.fixture(scope="module")
def other(authority: trustme.CA) -> Iterator[Origin]:
    """Another host. Its certificate is by an authority that only this test's hosts trust."""
    with Origin(server_tls(authority, OTHER)) as origin:
        yield origin


@pytest.fixture(scope="module")
def plain() -> Iterator[Origin]:
    """A host that speaks HTTP without TLS."""
    with Origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox({"accounts": {"home": {}}}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def routes(openai: Origin, other: Origin, plain: Origin) -> dict[str, int]:
    return {f"{OPENAI}:443": openai.port, f"{OTHER}:443": other.port, f"{OTHER}:80": plain.port}


@pytest.fixture(scope="module")
def proxy(make_backstage: MakeBackstage, sandbox: Sandbox, routes: dict[str, int]) -> Iterator[Proxy]:
    stage = make_backstage()
    stage.enrol(sandbox)
    with stage.proxy(sandbox, routes=routes) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def nothing_is_carried_out_by_accounts(
    sandbox: Sandbox, openai: Origin, other: Origin, plain: Origin
) -> Iterator[None]:
    for origin in (openai, other, plain):
        origin.forget()
    yield
    assert sandbox.journal.responses() == ()


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param("GET /v1/files HTTP/1.1", b"", id="files"),
        pytest.param("POST /v1/completions HTTP/1.1", b'{ "model":"gpt-5.5",  "stream": true}\r\n', id="odd JSON"),
        pytest.param("POST /v1/embeddings?a=%2f&b=;c HTTP/1.1", b"\x00\xff\r\n\r\n", id="any bytes"),
        pytest.param("GET /v1/chat/completions/chatcmpl-1?include[]=x HTTP/1.1", b"", id="a stored completion"),
        pytest.param("DELETE /v1/files/file_1 HTTP/1.1", b"", id="deleting"),
        pytest.param("GET /v1/responses HTTP/1.1", b"", id="our path, another method"),
        pytest.param("POST /v1/responses/../files HTTP/1.1", b"{}", id="a path that only begins like ours"),
        pytest.param("POST /v1/responses/compact/more HTTP/1.1", b"{}", id="a path below ours"),
        pytest.param("OPTIONS * HTTP/1.1", b"", id="the server itself"),
        pytest.param("PATCH /a//b/%E2%82%AC/./c HTTP/1.1", b"x" * 70_000, id="a large body"),
    ],
)
def test_other_paths_of_our_hosts_keep_every_byte(proxy: Proxy, openai: Origin, line: str, body: bytes) -> None:
    length = f"content-LENGTH: {len(body)}\r\n" if body else ""
    head = f"{line}\r\nX-Second: 2\r\nHost: {OPENAI}\r\n{CREDENTIALS}x-First:  1\r\nx-second: again\r\n{length}\r\n"
    with Tunnel(proxy) as host:
        answer = host.exchange(head.encode() + body)
    assert openai.requests == [head.replace("x-First:  1", "x-First: 1").encode() + body]
    assert (answer.status, answer.body, answer.headers["x-origin"]) == (200, Origin.BODY, "Its-Own")


def test_a_body_in_chunks_arrives_as_it_was_meant(proxy: Proxy, openai: Origin) -> None:
    head = f"POST /v1/files HTTP/1.1\r\nHost: {OPENAI}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with Tunnel(proxy) as host:
        host.exchange(head + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert openai.requests == [head + b"hello world"]


def test_one_connection_carries_what_is_ours_and_what_is_not(make_backstage: MakeBackstage, openai: Origin) -> None:
    stage = make_backstage()
    body = b'{"model": "gpt-5.5", "input": "hi"}'
    ours = f"POST /v1/responses HTTP/1.1\r\nHost: {OPENAI}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    others = f"GET /v1/files HTTP/1.1\r\nHost: {OPENAI}\r\n\r\n".encode()
    with Sandbox({"accounts": {"home": {}}}) as sandbox:
        stage.enrol(sandbox)
        with stage.proxy(sandbox, routes={f"{OPENAI}:443": openai.port}) as proxy, Tunnel(proxy) as host:
            answers = [host.exchange(request) for request in (others, ours, others, ours, others)]
        assert len(sandbox.journal.responses()) == 2
    assert [answer.status for answer in answers] == [200] * 5
    assert openai.requests == [others] * 3


def test_tls_to_another_host_is_not_opened(proxy: Proxy, other: Origin, authority_file: Path) -> None:
    with Tunnel(proxy, OTHERS, trust=authority_file) as host:
        request = f"POST /v1/responses HTTP/1.1\r\nHost: {OTHER}\r\nx-Odd:  kept\r\n{CREDENTIALS}\r\n".encode()
        answer = host.exchange(request)
        certificate = host.certificate
    assert other.requests == [request]
    assert answer.body == Origin.BODY
    assert certificate == certificate_of(other, authority_file)


def test_tls_to_another_host_is_not_opened_though_it_gives_no_name(proxy: Proxy, authority_file: Path) -> None:
    with Tunnel(proxy, Names(f"{OTHER}:443", None, OTHER), trust=authority_file) as host:
        assert host.exchange(f"GET / HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode()).body == Origin.BODY


def test_what_is_no_http_at_all_goes_through(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        names = Names(f"127.0.0.1:{listener.getsockname()[1]}")
        with Tunnel(proxy, names, encrypted=False) as host:
            host.send(b"\x00\x01 not HTTP \xff")
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                assert connection.recv(100) == b"\x00\x01 not HTTP \xff"


def test_plain_http_to_another_host_passes(proxy: Proxy, plain: Origin) -> None:
    fields = f"Host: {OTHER}\r\nX-b: 1\r\nX-a: 2\r\n{CREDENTIALS}content-length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as connection:
        connection.sendall(f"POST http://{OTHER}/v1/responses?q HTTP/1.1\r\n{fields}{{}}".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert plain.requests == [f"POST /v1/responses?q HTTP/1.1\r\n{fields}{{}}".encode()]


def test_codex_decrypt_all_opens_other_hosts_and_changes_nothing_in_them(
    make_backstage: MakeBackstage, sandbox: Sandbox, routes: dict[str, int], other: Origin
) -> None:
    stage = make_backstage()
    stage.enrol(sandbox)
    request = f"POST /v1/responses HTTP/1.1\r\nHost: {OTHER}\r\n{CREDENTIALS}content-length: 2\r\n\r\n{{}}".encode()
    with (
        stage.proxy(sandbox, routes=routes, options={"codex_decrypt_all": "true"}) as proxy,
        Tunnel(proxy, OTHERS, trust=proxy.ca) as host,
    ):
        assert host.exchange(request).body == Origin.BODY
    assert other.requests == [request]


def test_tls_to_another_host_is_not_opened_behind_a_company_either(
    make_backstage: MakeBackstage, sandbox: Sandbox, routes: dict[str, int], other: Origin, authority_file: Path
) -> None:
    stage = make_backstage()
    stage.enrol(sandbox)
    with (
        Company(routes) as company,
        stage.proxy(sandbox, mode=f"upstream:{company.url}") as proxy,
        Tunnel(proxy, OTHERS, trust=authority_file) as host,
    ):
        assert host.exchange(f"GET / HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode()).body == Origin.BODY
        assert host.certificate == certificate_of(other, authority_file)


def certificate_of(origin: Origin, trust: Path) -> bytes:
    """The certificate that an origin shows to whoever comes without a proxy (DER)."""
    context = ssl.create_default_context(cafile=str(trust))
    with (
        socket.create_connection(("127.0.0.1", origin.port), 10) as connection,
        context.wrap_socket(connection, server_hostname=OTHER) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate

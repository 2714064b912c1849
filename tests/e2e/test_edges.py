"""Edges: peers that fall silent, break off late or never come to an end, and hosts that must not be served."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import trustme

from support.backstage import Backstage
from support.hosts import HOST_KEY, curl
from support.peers import OPENAI, PATIENCE, Company, Origin, server_tls
from support.proxy import Proxy
from support.theatre import Json, Theatre, TheatreFactory, member
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

TEXT = "one two three four five six"
ANSWER: Json = {"do": "answer", "text": TEXT}
SCENARIO: dict[str, object] = {"accounts": {"home": {"steps": [ANSWER]}}}
ASKED = {"model": "gpt-5.5", "input": "hi"}
ALL = 1000
"""More events than an answer has."""


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    """With a hold that no test outlasts."""
    return theatres(codex_hold=30)


@pytest.fixture(scope="module")
def h2_theatre(theatres: TheatreFactory) -> Theatre:
    """With a backend that speaks HTTP/2 over TLS."""
    return theatres(alpn=("h2", "http/1.1"), codex_hold=30)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SCENARIO) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def nobody_has_been_asked(sandbox: Sandbox) -> None:
    sandbox.journal.clear()


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    """What stands where api.openai.com would be. Nothing that is ours may get there."""
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin
        assert origin.requests == []


# Who must not be served in reverse mode


@pytest.fixture(scope="module")
def reverse_proxy(make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin) -> Iterator[Proxy]:
    stage = make_backstage()
    stage.enrol(sandbox)
    with stage.proxy(sandbox, mode=f"reverse:https://{OPENAI}", routes={f"{OPENAI}:443": openai.port}) as proxy:
        yield proxy


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), id="of another site"),
        pytest.param(("Origin: http://127.0.0.1:3000",), id="of this machine"),
        pytest.param(("Origin: null",), id="of no origin"),
        pytest.param(("Sec-Fetch-Site: same-origin",), id="of the proxy's own origin"),
    ],
)
def test_a_web_page_is_refused_and_spends_nothing(
    reverse_proxy: Proxy, sandbox: Sandbox, fields: tuple[str, ...]
) -> None:
    more = [text for line in fields for text in ("-H", line)]
    answer = curl(reverse_proxy, ASKED, "--noproxy", "*", *more, url=f"{reverse_proxy.url}/v1/responses")
    assert (answer.status, answer.error["code"]) == (403, "understudy_web_page")
    assert sandbox.journal.responses() == ()


def test_a_link_that_a_user_opened_is_no_web_page(reverse_proxy: Proxy) -> None:
    more = ("-H", "Sec-Fetch-Site: none")
    answer = curl(reverse_proxy, ASKED, "--noproxy", "*", *more, url=f"{reverse_proxy.url}/v1/responses")
    assert answer.status == 200


@pytest.fixture(scope="module")
def locked_proxy(make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin) -> Iterator[Proxy]:
    """In reverse mode, with mitmproxy's own `proxyauth`."""
    stage = make_backstage()
    stage.enrol(sandbox)
    with stage.proxy(
        sandbox,
        mode=f"reverse:https://{OPENAI}",
        routes={f"{OPENAI}:443": openai.port},
        options={"proxyauth": "user:pass"},
    ) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("headers", "auth"),
    [
        pytest.param({}, None, id="without credentials"),
        pytest.param({"authorization": f"Bearer {HOST_KEY}"}, None, id="with a key of OpenAI's"),
        pytest.param({}, ("user", "wrong"), id="with a wrong password"),
    ],
)
def test_proxyauth_turns_a_stranger_away_in_reverse_mode(
    locked_proxy: Proxy, sandbox: Sandbox, headers: dict[str, str], auth: tuple[str, str] | None
) -> None:
    url = f"{locked_proxy.url}/v1/responses"
    answer = httpx.post(url, json=ASKED, headers=headers, auth=auth, trust_env=False, timeout=PATIENCE)
    assert answer.status_code == 401
    assert sandbox.journal.responses() == ()


def test_proxyauth_lets_a_host_with_credentials_in(locked_proxy: Proxy, sandbox: Sandbox) -> None:
    url = f"{locked_proxy.url}/v1/responses"
    answer = httpx.post(url, json=ASKED, auth=("user", "pass"), trust_env=False, timeout=PATIENCE)
    assert (answer.status_code, len(sandbox.journal.responses())) == (200, 1)


# What breaks off, or does not end, after the last word


@pytest.mark.parametrize("how", ["default", "rst", "fin"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_an_answer_that_is_complete_is_given_though_its_connection_breaks(
    either: tuple[Theatre, bool], stream: bool, how: str
) -> None:
    theatre, http2 = either
    theatre.cast(work={"do": "reset", "when": "after_events", "events": ALL, "how": how, "text": TEXT}, home=ANSWER)
    heard = theatre.ask(http2=http2, stream=stream)
    assert (heard.status, heard.broken, theatre.asked) == (200, "", ["work"])
    response = member(heard.events[-1], "response") if stream else heard.json
    assert response["status"] == "completed"
    assert TEXT in json.dumps(response["output"])


COMPLETED = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5", "output": []}
EVENTS = (
    {"type": "response.created", "sequence_number": 0, "response": COMPLETED | {"status": "in_progress"}},
    {"type": "response.completed", "sequence_number": 1, "response": COMPLETED},
)


@contextmanager
def chatty_backend() -> Iterator[str]:
    """A backend that goes on with comments after its answer's last event; gives its URL."""
    over = Event()

    class Chatty(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            try:
                for event in EVENTS:
                    self.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                while not over.wait(0.5):
                    self.chunk(b": still here\n\n")
            except OSError:
                pass

        def chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Chatty) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/backend-api/codex"
        finally:
            over.set()
            server.shutdown()
            serving.join()


@pytest.fixture(scope="module")
def chatty(theatres: TheatreFactory) -> Iterator[Theatre]:
    """With a backend that does not stop talking."""
    with chatty_backend() as url:
        yield theatres(codex_backend=url)


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_comments_after_the_last_event_do_not_put_off_the_end(chatty: Theatre, http2: bool) -> None:
    chatty.cast(work=ANSWER)
    heard = chatty.ask(http2=http2)
    assert (heard.status, heard.broken, heard.types[-1]) == (200, "", "response.completed")
    completed_at = heard.event_times()[heard.types.index("response.completed")]
    assert heard.ended_at - completed_at < 4


# A company's proxy that does not answer


class Mute(Company):
    """Takes connections and whatever comes on them, and says nothing."""

    def serve(self, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            self.asked.append(data.partition(b"\r\n")[0].decode("latin-1"))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_a_company_that_never_opens_the_tunnel_is_an_error_in_time(
    make_backstage: MakeBackstage, sandbox: Sandbox, stream: bool
) -> None:
    stage = make_backstage()
    stage.enrol(sandbox)
    impatient = stage.folder / "impatient.py"
    impatient.write_text("import understudy.proxy.attempts as attempts\n\nattempts.HEADERS_TIMEOUT = 1.0\n")
    with (
        Mute({}) as company,
        stage.proxy(
            sandbox,
            mode=f"upstream:{company.url}",
            scripts=(impatient,),
            options={"codex_backend": "https://chatgpt.com/backend-api/codex"},
        ) as proxy,
    ):
        answer = curl(proxy, {**ASKED, "stream": stream}, "--max-time", "10")
    assert 500 <= answer.status < 600
    assert answer.error.keys() == {"message", "type", "param", "code"}
    assert set(company.asked) == {"CONNECT chatgpt.com:443 HTTP/1.1"}


# What is learned while the proxy stops


def test_a_limit_that_is_met_while_the_proxy_stops_is_kept(theatres: TheatreFactory) -> None:
    theatre = theatres()
    theatre.cast(work={"do": "usage_limit", "resets_in": 3600, "wait": 1.0})
    with ThreadPoolExecutor(1) as host:
        asking = host.submit(theatre.ask)
        theatre.sandbox.journal.wait_for(lambda entry: entry.path.endswith("/responses"))
        theatre.proxy.stop()
        heard = asking.result(PATIENCE)
    assert (heard.status, theatre.asked) == (429, ["work"])
    assert theatre.account("work").block is not None


# The body of what is refused

MEGABYTE = 1024 * 1024


@pytest.fixture
def regular_proxy(make_backstage: MakeBackstage, sandbox: Sandbox) -> Iterator[Proxy]:
    stage = make_backstage()
    stage.enrol(sandbox)
    with stage.proxy(sandbox) as proxy:
        yield proxy


def memory(proxy: Proxy, name: str) -> int:
    """A figure of the process in bytes: `VmRSS` is what it has in memory, `VmHWM` the most that it ever had."""
    lines = Path(f"/proc/{proxy.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def send_chunks(connection: socket.socket, target: str, count: int) -> int:
    """Posts a chunked body of so many megabytes, or as much of it as is taken; gives the answer's status."""
    head = f"POST {target} HTTP/1.1\r\nHost: {OPENAI}\r\nTransfer-Encoding: chunked\r\n"
    chunk = b"%x\r\n%b\r\n" % (MEGABYTE, bytes(MEGABYTE))
    try:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        for _ in range(count):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
    except OSError:
        pass  # It was answered early.
    with connection.makefile("rb") as stream:
        return int(stream.readline().split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a process's memory from")
@pytest.mark.parametrize("tunnel", [False, True], ids=["to the proxy", "inside a tunnel"])
def test_the_body_of_a_refused_request_is_not_kept(regular_proxy: Proxy, sandbox: Sandbox, tunnel: bool) -> None:
    def ask(megabytes: int) -> int:
        with socket.create_connection(("127.0.0.1", regular_proxy.port), PATIENCE) as host:
            if not tunnel:
                return send_chunks(host, f"http://{OPENAI}/v1/responses", megabytes)
            host.sendall(f"CONNECT {OPENAI}:80 HTTP/1.1\r\nHost: {OPENAI}:80\r\n\r\n".encode())
            assert host.recv(65536).startswith(b"HTTP/1.1 200")
            return send_chunks(host, "/v1/responses", megabytes)

    assert ask(1) == 421
    before = memory(regular_proxy, "VmRSS")
    assert ask(200) == 421
    assert memory(regular_proxy, "VmHWM") - before < 60 * MEGABYTE
    assert sandbox.journal.responses() == ()

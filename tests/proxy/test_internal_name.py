"""The proxy's own name: answered by itself, for programs of this machine, and never looked for anywhere else.

The name leads to `elsewhere` for whoever would look for it; nothing ever arrives there.
"""

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.backstage import Backstage, times
from support.peers import redirecting_script
from support.proxy import SCRIPT, Proxy
from understudy import __version__
from understudy.workstation.reach import ask

NAME = "understudy.internal"


class Elsewhere:
    """A listener that nobody should find."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]

    def was_found(self) -> bool:
        """Whether anybody has connected."""
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Closes it."""
        self._listener.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as found:
        yield found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path) -> Backstage:
    return Backstage(tmp_path_factory.mktemp("internal"), confdir_template, authority_file)


def proxy_on(stage: Backstage, elsewhere: Elsewhere, script: Path = SCRIPT, **options: object) -> Proxy:
    ports = (80, 443, 8080)
    names = redirecting_script(stage.folder, {f"{NAME}:{port}": elsewhere.port for port in ports})
    arguments = ("-s", str(names))
    return Proxy(
        stage.home, stage.confdir, {"termlog_verbosity": "debug", **options}, script=script, arguments=arguments
    )


@pytest.fixture(scope="module")
def proxy(stage: Backstage, elsewhere: Elsewhere) -> Iterator[Proxy]:
    with proxy_on(stage, elsewhere) as running:
        yield running


@pytest.fixture(autouse=True)
def nobody_looks_for_it_elsewhere(elsewhere: Elsewhere) -> Iterator[None]:
    yield
    assert not elsewhere.was_found()


def request(proxy: Proxy, head: str) -> tuple[int, bytes]:
    """What the proxy answers to these lines."""
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=10)) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def code(answer: tuple[int, bytes]) -> tuple[int, str]:
    """The status, and what the refusal is called."""
    return answer[0], json.loads(answer[1])["error"]["code"]


def test_it_says_what_the_proxy_is(proxy: Proxy, stage: Backstage) -> None:
    runtime = ask(proxy.port)
    assert runtime is not None
    assert (runtime.pid, runtime.program, runtime.version) == (proxy.pid, "mitmdump", __version__)
    assert (runtime.port, runtime.confdir, runtime.owner) == (proxy.port, str(stage.confdir), None)
    assert runtime.options["codex_hosts"] == "api.openai.com"


def test_no_page_of_a_browser_gets_to_keep_it_or_to_use_it_as_something_else(proxy: Proxy) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)) as connection:
        connection.request("GET", f"http://{NAME}/runtime", headers={"Host": NAME})
        fields = connection.getresponse().headers
    assert fields["content-type"] == "application/json"
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in fields


@pytest.mark.parametrize(
    "line",
    [
        f"GET http://{NAME}/ HTTP/1.1",
        f"GET http://{NAME}/runtime/ HTTP/1.1",
        f"GET http://{NAME}/runtime?x=1 HTTP/1.1",
        f"GET http://{NAME}/Runtime HTTP/1.1",
        f"POST http://{NAME}/runtime HTTP/1.1",
        f"HEAD http://{NAME}/status HTTP/1.1",
    ],
)
def test_there_is_nothing_else(proxy: Proxy, line: str) -> None:
    status, body = request(proxy, f"{line}\nHost: {NAME}\nContent-Length: 0")
    assert status == 404
    assert line.startswith("HEAD") or json.loads(body)["error"]["code"] == "understudy_not_found"


@pytest.mark.parametrize(
    "head",
    [
        f"GET http://{NAME}:8080/runtime HTTP/1.1\nHost: {NAME}:8080",
        f"GET http://{NAME}./runtime HTTP/1.1\nHost: {NAME}.",
        f"GET http://{NAME.upper()}/runtime HTTP/1.1\nHost: {NAME}",
        f"GET http://{NAME}/runtime HTTP/1.1\nHost: other.example",
        f"GET http://other.example/runtime HTTP/1.1\nHost: {NAME}",
        f"GET https://{NAME}/runtime HTTP/1.1\nHost: {NAME}",
        f"CONNECT {NAME}:443 HTTP/1.1\nHost: {NAME}:443",
        f"CONNECT {NAME}:80 HTTP/1.1\nHost: {NAME}:80",
    ],
)
def test_what_may_be_taken_for_it_is_refused(proxy: Proxy, head: str) -> None:
    assert code(request(proxy, head)) == (502, "understudy_internal")


@pytest.mark.parametrize(
    "field",
    ["Origin: http://evil.example", "Origin: null", f"Origin: http://{NAME}", "Sec-Fetch-Site: cross-site"],
)
def test_no_page_is_answered(proxy: Proxy, field: str) -> None:
    head = f"GET http://{NAME}/runtime HTTP/1.1\nHost: {NAME}\n{field}"
    assert code(request(proxy, head)) == (403, "understudy_web_page")


def test_a_name_that_was_rebound_to_the_proxy_s_port_gets_nothing_of_it(proxy: Proxy) -> None:
    status, body = request(proxy, f"GET /runtime HTTP/1.1\nHost: evil.example:{proxy.port}")
    assert status >= 400 and b"listeners" not in body


def test_the_proxy_s_password_counts_here_as_well(stage: Backstage, elsewhere: Elsewhere) -> None:
    with proxy_on(stage, elsewhere, proxyauth="ada:secret") as guarded:
        status, body = request(guarded, f"GET http://{NAME}/runtime HTTP/1.1\nHost: {NAME}")
        assert status == 407 and b"listeners" not in body
        assert ask(guarded.port) is None


def test_in_upstream_mode_it_is_not_asked_of_the_other_proxy(stage: Backstage, elsewhere: Elsewhere) -> None:
    mode = f"upstream:http://127.0.0.1:{elsewhere.port}"
    with Proxy(stage.home, stage.confdir, {}, mode=mode) as proxy:
        runtime = ask(proxy.port)
        assert runtime is not None and runtime.pid == proxy.pid
        assert code(request(proxy, f"CONNECT {NAME}:443 HTTP/1.1\nHost: {NAME}:443"))[0] == 502
    assert not elsewhere.was_found()


def test_in_reverse_mode_it_is_nobody_s_name(stage: Backstage, elsewhere: Elsewhere) -> None:
    mode = f"reverse:http://127.0.0.1:{elsewhere.port}"
    with Proxy(stage.home, stage.confdir, {"keep_host_header": "true"}, mode=mode) as proxy:
        answer = request(proxy, f"GET /runtime HTTP/1.1\nHost: {NAME}")
        assert code(answer) == (502, "understudy_internal")


def test_while_the_script_is_gone_it_is_refused(stage: Backstage, elsewhere: Elsewhere, tmp_path: Path) -> None:
    script = tmp_path / "codex.py"
    shutil.copy(SCRIPT, script)
    (tmp_path / "understudy").symlink_to(SCRIPT.with_name("understudy"))
    with proxy_on(stage, elsewhere, script) as proxy:
        assert ask(proxy.port) is not None
        script.unlink()
        proxy.wait_for_log("Un-loading script")
        assert request(proxy, f"GET http://{NAME}/runtime HTTP/1.1\nHost: {NAME}")[0] == 502
        assert code(request(proxy, f"CONNECT {NAME}:443 HTTP/1.1\nHost: {NAME}:443")) == (502, "understudy_internal")


def test_what_was_counted_before_the_script_is_loaded_anew_still_counts(
    stage: Backstage, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    script = tmp_path / "codex.py"
    shutil.copy(SCRIPT, script)
    (tmp_path / "understudy").symlink_to(SCRIPT.with_name("understudy"))
    body = json.dumps({"model": "gpt-5.5", "input": "hi"}).encode()
    with proxy_on(stage, elsewhere, script) as proxy:
        refused_at_port(proxy, body)
        before = ask(proxy.port)
        assert before is not None and (before.tally.requests, before.tally.failed) == (1, 1)
        script.write_text(SCRIPT.read_text() + "\n# anew\n")
        proxy.wait_for_log(times(2, "will be refused"))
        after = ask(proxy.port)
        assert after is not None and (after.tally, after.started_at) == (before.tally, before.started_at)
        refused_at_port(proxy, body)
        later = ask(proxy.port)
        assert later is not None and later.tally.requests == 2


def refused_at_port(proxy: Proxy, body: bytes) -> None:
    """A request that no account can carry out, because there is none."""
    import httpx

    with httpx.Client(proxy=proxy.url, verify=False, trust_env=False, timeout=20) as host:
        headers = {"authorization": "Bearer sk-own", "content-type": "application/json"}
        assert host.post("https://api.openai.com/v1/responses", content=body, headers=headers).status_code == 503


def test_nothing_that_listens_is_no_proxy_of_ours(elsewhere: Elsewhere) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert ask(silent.getsockname()[1], timeout=0.2) is None
    assert ask(1) is None

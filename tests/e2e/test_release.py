"""A model that the user leaves to the program's own key goes out as it came: nothing of it is ours, nothing is kept."""

import json
from collections.abc import Callable, Iterator

import pytest
import trustme
from mitmproxy import http
from mitmproxy.io import FlowReader

from support.backstage import Backstage
from support.hosts import HOST_KEY, curl
from support.peers import OPENAI, Origin, Tunnel, post, server_tls
from support.proxy import Proxy
from understudy.sandbox.server import Sandbox

MakeBackstage = Callable[[], Backstage]

OWN = "own-model"
PASSTHROUGH = {"codex_unsupported": "passthrough", "codex_models": f"{OWN}=passthrough"}
BODY = b'{ "model":"%s",  "input": "hi", "temperature":0.2, "store": true}' % OWN.encode()
FIELDS = (f"authorization: Bearer {HOST_KEY}", "X-Second: 2", "OpenAI-Organization: org-1", "Cookie: a=b", "x-First: 1")


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox({"accounts": {"home": {}}}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def stage(make_backstage: MakeBackstage, sandbox: Sandbox) -> Backstage:
    stage = make_backstage()
    stage.enrol(sandbox)
    return stage


@pytest.fixture(scope="module")
def proxy(stage: Backstage, sandbox: Sandbox, openai: Origin) -> Iterator[Proxy]:
    """One model is left to the program's own key, and so is what no account turns out to have."""
    arguments = ("-w", str(stage.folder / "flows"))
    routes = {f"{OPENAI}:443": openai.port}
    with stage.proxy(sandbox, routes=routes, options=PASSTHROUGH, arguments=arguments) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def nothing_has_happened_yet(sandbox: Sandbox, openai: Origin) -> None:
    openai.forget()
    sandbox.journal.clear()


def test_the_request_arrives_byte_for_byte_and_no_account_is_asked(
    proxy: Proxy, sandbox: Sandbox, openai: Origin
) -> None:
    request = post("/v1/responses", BODY, *FIELDS)
    with Tunnel(proxy) as host:
        answer = host.exchange(request)
    assert openai.requests == [request]
    assert (answer.status, answer.body, answer.headers["x-origin"]) == (200, Origin.BODY, "Its-Own")
    assert sandbox.journal.responses() == ()


def test_a_large_body_arrives_whole(proxy: Proxy, openai: Origin) -> None:
    body = json.dumps({"model": OWN, "input": "x" * 3_000_000}).encode()
    request = post("/v1/responses", body, *FIELDS)
    with Tunnel(proxy) as host:
        host.exchange(request)
    assert openai.requests == [request]


def test_a_host_on_http2_is_served_as_well(proxy: Proxy, sandbox: Sandbox, openai: Origin) -> None:
    answer = curl(proxy, BODY.decode(), "--http2")
    assert (answer.status, answer.body) == (200, Origin.BODY)
    assert openai.received.endswith(b"\r\n\r\n" + BODY)
    assert f"Bearer {HOST_KEY}".encode() in openai.received
    assert sandbox.journal.responses() == ()


def test_one_connection_carries_what_is_left_to_the_key_and_what_is_not(
    proxy: Proxy, sandbox: Sandbox, openai: Origin
) -> None:
    ours = post("/v1/responses", b'{"model": "gpt-5.5", "input": "hi"}', *FIELDS)
    theirs = post("/v1/responses", BODY, *FIELDS)
    with Tunnel(proxy) as host:
        bodies = [host.exchange(request).body for request in (theirs, ours, theirs, ours)]
    assert [body == Origin.BODY for body in bodies] == [True, False, True, False]
    assert openai.requests == [theirs, theirs]
    assert len(sandbox.journal.responses()) == 2
    assert HOST_KEY.encode() not in b"".join(call.content for call in sandbox.journal.responses())


def test_an_origin_that_cannot_be_reached_is_the_host_s_own_trouble(
    make_backstage: MakeBackstage, sandbox: Sandbox
) -> None:
    stage = make_backstage()
    stage.enrol(sandbox)
    with (
        stage.proxy(sandbox, routes={f"{OPENAI}:443": 9}, options=PASSTHROUGH) as proxy,
        Tunnel(proxy) as host,
    ):
        assert host.exchange(post("/v1/responses", BODY, *FIELDS)).status == 502
    assert sandbox.journal.responses() == ()


def test_a_model_that_no_account_has_is_let_go_once_that_is_known(
    proxy: Proxy, sandbox: Sandbox, openai: Origin
) -> None:
    request = post("/v1/responses", b'{"model": "nobody-has-this", "input": "hi"}', *FIELDS)
    with Tunnel(proxy) as host:
        first, second = (host.exchange(request) for _ in range(2))
    assert first.status == 400 and b"nobody-has-this" in first.body
    assert (second.body, openai.requests) == (Origin.BODY, [request])
    assert len(sandbox.journal.responses()) == 1


@pytest.mark.parametrize(
    "options", [{}, {"codex_models": f"{OWN}=passthrough"}], ids=["no option", "one option of the two"]
)
def test_the_key_pays_for_nothing_unless_the_user_says_so(
    make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin, options: dict[str, str]
) -> None:
    stage = make_backstage()
    stage.enrol(sandbox)
    with (
        stage.proxy(sandbox, routes={f"{OPENAI}:443": openai.port}, options=options) as proxy,
        Tunnel(proxy) as host,
    ):
        answers = [host.exchange(post("/v1/responses", BODY, *FIELDS)) for _ in range(2)]
    assert [answer.status for answer in answers] == [400, 400]
    assert openai.received == b""


def test_the_flow_is_as_if_we_were_not_there(proxy: Proxy, stage: Backstage, openai: Origin) -> None:
    with Tunnel(proxy) as host:
        host.exchange(post("/v1/responses", BODY, *FIELDS))
    proxy.stop()
    with (stage.folder / "flows").open("rb") as file:
        *_, last = (flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow))
    assert last.request.raw_content == BODY
    assert last.request.headers["authorization"] == f"Bearer {HOST_KEY}"
    assert last.response is not None and last.response.raw_content == Origin.BODY

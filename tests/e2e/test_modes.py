"""The ways a request can reach the proxy, and those it must not reach it by."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import trustme

from support.backstage import Backstage
from support.hosts import HOST_KEY, Answer, curl
from support.peers import OPENAI, Company, Names, Origin, Tunnel, post, server_tls
from support.proxy import Proxy
from understudy.sandbox.server import Sandbox

WORDS = "Nobody in the house can tell."
ANSWERS: dict[str, object] = {"accounts": {"home": {"steps": [{"do": "answer", "text": WORDS}]}}}
LIMITED: dict[str, object] = {
    "accounts": {
        "work": {"steps": [{"do": "usage_limit", "resets_in": 3600}]},
        "home": {"steps": [{"do": "answer", "text": WORDS}]},
    }
}
ASKED = {"model": "gpt-5.5", "input": "hi"}
STREAMED = ASKED | {"stream": True}
BODY = json.dumps(ASKED).encode()
AUTHORIZATION = f"Authorization: Bearer {HOST_KEY}"

MakeBackstage = Callable[[], Backstage]


def said(answer: Answer) -> str:
    """The text of an answer, streamed or whole."""
    assert answer.status == 200, answer
    if not answer.headers["content-type"].startswith("text/event-stream"):
        events = [{"type": "response.completed", "response": answer.json}]
    else:
        lines = answer.body.decode().splitlines()
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    finished = events[-1]
    assert finished["type"] == "response.completed"
    if texts := [event["text"] for event in events if event["type"] == "response.output_text.done"]:
        return str(texts[-1])
    response = finished["response"]
    assert isinstance(response, dict)
    messages = [item for item in response["output"] if item["type"] == "message"]
    return str(messages[-1]["content"][0]["text"])


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    """What stands where api.openai.com would be. Nothing that is ours may get there."""
    with Origin(server_tls(authority, OPENAI)) as origin:
        yield origin


@pytest.fixture(scope="module")
def elsewhere(authority: trustme.CA) -> Iterator[Origin]:
    """Another host, in others' hands."""
    with Origin(server_tls(authority, "evil.test")) as origin:
        yield origin


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(ANSWERS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def in_the_clear() -> Iterator[Origin]:
    """api.openai.com on port 80."""
    with Origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def proxy(
    make_backstage: MakeBackstage, sandbox: Sandbox, openai: Origin, elsewhere: Origin, in_the_clear: Origin
) -> Iterator[Proxy]:
    stage = make_backstage()
    stage.enrol(sandbox)
    routes = {
        f"{OPENAI}:443": openai.port,
        f"{OPENAI}:8443": openai.port,
        f"{OPENAI}:80": in_the_clear.port,
        "evil.test:443": elsewhere.port,
    }
    with stage.proxy(sandbox, routes=routes) as proxy:
        yield proxy


class TestRegularMode:
    """`HTTPS_PROXY` is set in the host's environment."""

    @pytest.fixture(autouse=True)
    def nothing_gets_out(
        self, sandbox: Sandbox, openai: Origin, elsewhere: Origin, in_the_clear: Origin
    ) -> Iterator[None]:
        sandbox.journal.clear()
        yield
        for origin in (openai, elsewhere, in_the_clear):
            assert origin.requests == []
        assert HOST_KEY not in sandbox.journal.to_json().decode()

    def test_a_request_whose_names_agree_is_answered(self, proxy: Proxy, sandbox: Sandbox) -> None:
        with Tunnel(proxy) as host:
            answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION))
        assert (answer.status, said(answer)) == (200, WORDS)
        assert len(sandbox.journal.responses("home")) == 1

    @pytest.mark.parametrize(
        "names",
        [
            pytest.param(Names(sni="evil.test"), id="the SNI is another's"),
            pytest.param(Names(sni=None), id="there is no SNI"),
            pytest.param(Names(host="evil.test"), id="the Host is another's"),
            pytest.param(Names(host=f"{OPENAI}:8443"), id="the Host has another port"),
            pytest.param(Names(connect="evil.test:443"), id="CONNECT names another"),
            pytest.param(Names(connect="127.0.0.1:443", host="evil.test"), id="CONNECT names an address, Host another"),
            pytest.param(Names(connect="evil.test:443", host="evil.test"), id="only the SNI is ours"),
            pytest.param(Names(connect=f"{OPENAI}.evil.test:443"), id="CONNECT names one below another's"),
        ],
    )
    def test_a_request_whose_names_disagree_goes_nowhere(self, proxy: Proxy, sandbox: Sandbox, names: Names) -> None:
        with Tunnel(proxy, names) as host:
            answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION, host=names.host))
        assert (answer.status, answer.error["code"]) == (421, "understudy_misdirected")
        assert sandbox.journal.responses() == ()

    def test_two_host_fields_are_not_one(self, proxy: Proxy, sandbox: Sandbox) -> None:
        with Tunnel(proxy) as host:
            answer = host.exchange(post("/v1/responses", BODY, "Host: evil.test", AUTHORIZATION))
        assert answer.status in (400, 421)
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize("target", [f"http://{OPENAI}", f"http://{OPENAI}:443"])
    def test_a_request_in_the_clear_is_refused_and_not_sent(self, proxy: Proxy, sandbox: Sandbox, target: str) -> None:
        answer = curl(proxy, ASKED, "--proxy", proxy.url, url=f"{target}/v1/responses")
        assert (answer.status, answer.error["code"]) == (421, "understudy_misdirected")
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize("port", [80, 443])
    def test_a_request_in_the_clear_inside_a_tunnel_is_refused_and_not_sent(
        self, proxy: Proxy, sandbox: Sandbox, port: int
    ) -> None:
        with Tunnel(proxy, Names(connect=f"{OPENAI}:{port}"), encrypted=False) as host:
            answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION))
        assert (answer.status, answer.error["code"]) == (421, "understudy_misdirected")
        assert sandbox.journal.responses() == ()

    def test_a_path_spelt_so_that_servers_may_take_it_for_ours_goes_nowhere(
        self, proxy: Proxy, sandbox: Sandbox
    ) -> None:
        for path in ("/v1/responses/", "/v1//responses", "/v1/%72esponses", "/v1/x/../responses", "/V1/Responses"):
            with Tunnel(proxy) as host:
                answer = host.exchange(post(path, BODY, AUTHORIZATION))
            assert (answer.status, answer.error["code"]) == (400, "understudy_misspelt_path"), path
        assert sandbox.journal.responses() == ()

    @pytest.mark.parametrize("path", ["/v1/responses", "/v1/files"])
    def test_a_placeholder_of_ours_never_leaves_for_anybody(self, proxy: Proxy, sandbox: Sandbox, path: str) -> None:
        with Tunnel(proxy) as host:
            answer = host.exchange(post(path, BODY, "Authorization: Bearer understudy:home"))
        assert (answer.status, answer.error["type"]) == (421, "understudy_error")
        assert sandbox.journal.responses() == ()


class TestUpstreamMode:
    """A company's proxy stands between us and everything: `--mode upstream:http://...`."""

    @pytest.fixture
    def chatgpt(self, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Sandbox]":
        """The backend under its own name, over TLS, as it is reached through a company's proxy."""
        from understudy.sandbox.server import Tls

        folder = tmp_path_factory.mktemp("chatgpt")
        issued = authority.issue_cert("chatgpt.com", "auth.openai.com")
        issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        issued.private_key_pem.write_to_path(str(folder / "key.pem"))

        def make(scenario: dict[str, object], *alpn: str) -> Sandbox:
            return Sandbox(scenario, tls=Tls(folder / "cert.pem", folder / "key.pem", alpn=alpn))

        return make

    @pytest.mark.parametrize("host_http", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("alpn", [("http/1.1",), ("h2", "http/1.1")], ids=["backend h1", "backend h2"])
    def test_an_answer_comes_through_both_proxies_though_the_first_account_is_limited(
        self, make_backstage: MakeBackstage, chatgpt: Callable[..., Sandbox], alpn: tuple[str, ...], host_http: str
    ) -> None:
        stage = make_backstage()
        with chatgpt(LIMITED, *alpn) as sandbox, Company({"chatgpt.com:443": sandbox.port}) as company:
            stage.enrol(sandbox)
            backend = "https://chatgpt.com/backend-api/codex"
            with stage.proxy(sandbox, mode=f"upstream:{company.url}", options={"codex_backend": backend}) as proxy:
                streamed = curl(proxy, STREAMED, host_http)
                whole = curl(proxy, ASKED, host_http)
        assert [said(streamed), said(whole)] == [WORDS, WORDS]
        assert {line.split(" ")[1] for line in company.asked} == {"chatgpt.com:443"}
        assert [entry.account for entry in sandbox.journal.responses()] == ["work", "home", "home"]
        versions = {entry.http_version for entry in sandbox.journal.responses()}
        # mitmproxy offers a backend what the host offered, so that HTTP/2 needs all three.
        assert versions == ({"2"} if "h2" in alpn and host_http == "--http2" else {"1.1"})
        assert HOST_KEY not in sandbox.journal.to_json().decode()

    def test_credentials_for_the_company_are_given_to_it_and_to_nobody_else(
        self, make_backstage: MakeBackstage, chatgpt: Callable[..., Sandbox]
    ) -> None:
        stage = make_backstage()
        with (
            chatgpt(ANSWERS, "http/1.1") as sandbox,
            Company({"chatgpt.com:443": sandbox.port}, credentials="ada:secret") as company,
        ):
            stage.enrol(sandbox)
            backend = "https://chatgpt.com/backend-api/codex"
            mode = f"upstream:{company.url}"
            options = {"codex_backend": backend, "upstream_auth": "ada:secret"}
            with stage.proxy(sandbox, mode=mode, options=options) as proxy:
                answer = curl(proxy, ASKED)
        assert said(answer) == WORDS
        [entry] = sandbox.journal.responses()
        assert entry.header("proxy-authorization") is None

    @pytest.mark.parametrize("credentials", ["", "ada:secret"], ids=["open", "with credentials"])
    def test_a_token_is_refreshed_through_the_company_as_well(
        self, make_backstage: MakeBackstage, credentials: str
    ) -> None:
        stage = make_backstage()
        expired = {"first_life": 0, "steps": [{"do": "answer", "text": WORDS}]}
        with Sandbox({"accounts": {"home": expired}}) as sandbox, Company({}, credentials) as company:
            stage.enrol(sandbox)
            options: dict[str, object] = {"upstream_auth": credentials} if credentials else {}
            with stage.proxy(sandbox, mode=f"upstream:{company.url}", options=options) as proxy:
                answer = curl(proxy, ASKED)
        assert (answer.status, said(answer)) == (200, WORDS)
        assert f"POST {sandbox.issuer}/oauth/token HTTP/1.1" in company.asked
        assert len(company.asked) == 2

    def test_a_company_that_lets_nothing_out_is_an_error_that_the_host_understands(
        self, make_backstage: MakeBackstage
    ) -> None:
        stage = make_backstage()
        with Sandbox(ANSWERS) as sandbox, Company({}) as company:
            stage.enrol(sandbox)
            backend = "https://chatgpt.com/backend-api/codex"
            with stage.proxy(sandbox, mode=f"upstream:{company.url}", options={"codex_backend": backend}) as proxy:
                answer = curl(proxy, ASKED)
        assert answer.status in (502, 503)
        assert "502 No Such Host" in str(answer.error["message"])


@pytest.fixture(scope="module")
def limited() -> Iterator[Sandbox]:
    with Sandbox(LIMITED) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def reverse_proxy(make_backstage: MakeBackstage, limited: Sandbox, openai: Origin) -> Iterator[Proxy]:
    stage = make_backstage()
    stage.enrol(limited)
    with stage.proxy(limited, mode=f"reverse:https://{OPENAI}", routes={f"{OPENAI}:443": openai.port}) as proxy:
        yield proxy


class TestReverseMode:
    """A host that can only change its base URL: `--mode reverse:https://api.openai.com`."""

    @pytest.mark.parametrize(
        ("scheme", "how"),
        [
            pytest.param("http", "--http1.1", id="in the clear"),
            pytest.param("https", "--http1.1", id="TLS and HTTP/1.1"),
            pytest.param("https", "--http2", id="TLS and HTTP/2"),
        ],
    )
    @pytest.mark.parametrize("asked", [ASKED, STREAMED], ids=["whole", "streamed"])
    def test_an_answer_comes_under_the_changed_base_url(
        self, reverse_proxy: Proxy, openai: Origin, scheme: str, how: str, asked: dict[str, object]
    ) -> None:
        openai.forget()
        answer = curl(
            reverse_proxy,
            asked,
            how,
            "--noproxy",
            "*",
            "--insecure",
            url=f"{scheme}://127.0.0.1:{reverse_proxy.port}/v1/responses",
        )
        assert (answer.status, said(answer)) == (200, WORDS)
        assert openai.connections == 0

    def test_other_paths_go_on_to_the_host_that_is_configured(self, reverse_proxy: Proxy, openai: Origin) -> None:
        openai.forget()
        url = f"http://127.0.0.1:{reverse_proxy.port}/v1/embeddings"
        answer = curl(reverse_proxy, {"input": "x"}, "--noproxy", "*", url=url)
        assert answer.body == Origin.BODY
        [request] = openai.requests
        assert request.startswith(b"POST /v1/embeddings HTTP/1.1\r\n")
        assert HOST_KEY.encode() in request

    def test_a_target_in_the_clear_is_refused(self, make_backstage: MakeBackstage) -> None:
        stage = make_backstage()
        with Sandbox(ANSWERS) as sandbox, Origin() as plain:
            stage.enrol(sandbox)
            with stage.proxy(sandbox, mode=f"reverse:http://{OPENAI}", routes={f"{OPENAI}:80": plain.port}) as proxy:
                url = f"http://127.0.0.1:{proxy.port}/v1/responses"
                answer = curl(proxy, ASKED, "--noproxy", "*", url=url)
        assert (answer.status, answer.error["code"]) == (421, "understudy_misdirected")
        assert plain.requests == []
        assert sandbox.journal.responses() == ()


def test_what_is_ours_is_said_by_the_options(make_backstage: MakeBackstage, openai: Origin) -> None:
    stage, names = make_backstage(), Names("llm.internal.test:443", "llm.internal.test", "llm.internal.test")
    with Sandbox(ANSWERS) as sandbox:
        stage.enrol(sandbox)
        with (
            stage.proxy(sandbox, options={"codex_hosts": "llm.internal.test, api.openai.com"}) as proxy,
            Tunnel(proxy, names) as host,
            Tunnel(proxy, replace(names, host=OPENAI)) as torn,
        ):
            answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION, host=names.host))
            refused = torn.exchange(post("/v1/responses", BODY, AUTHORIZATION))
    assert said(answer) == WORDS
    assert refused.status == 421

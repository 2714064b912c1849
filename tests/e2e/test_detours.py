"""Connections to our hosts that mitmproxy is asked to pass on unread are closed: no program's own key goes out."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support.backstage import Backstage
from support.hosts import HOST_KEY
from support.peers import OPENAI, Names, Origin, Tunnel, post, server_tls
from support.proxy import Proxy
from understudy.sandbox.server import Sandbox

BODY = json.dumps({"model": "gpt-5.5", "input": "hi"}).encode()
REQUEST = post("/v1/responses", BODY, f"Authorization: Bearer {HOST_KEY}")
OTHER = "other.example"
SCRIPT = """\
import logging
from mitmproxy import ctx
from mitmproxy.exceptions import OptionsError

def http_connect(flow):
    try:
        ctx.options.update(ignore_hosts=["openai"])
    except OptionsError as error:
        logging.warning("a change was refused: %s", error)

def tls_clienthello(data):
    data.ignore_connection = True
"""


@pytest.fixture(scope="module")
def openai(authority: trustme.CA) -> Iterator[Origin]:
    with Origin(server_tls(authority, OPENAI, OTHER)) as origin:
        yield origin


@pytest.fixture(autouse=True)
def the_key_reaches_nobody(openai: Origin) -> Iterator[None]:
    openai.forget()
    yield
    assert HOST_KEY.encode() not in openai.received


@pytest.fixture(scope="module")
def proxy(make_backstage: Callable[[], Backstage], openai: Origin) -> Iterator[Proxy]:
    stage = make_backstage()
    script = stage.folder / "eager.py"
    script.write_text(SCRIPT)
    routes = dict.fromkeys((f"{OPENAI}:443", f"{OPENAI}:8443", "127.0.0.1:443", f"{OTHER}:443"), openai.port)
    with Sandbox({"accounts": {"home": {"steps": [{"do": "answer"}]}}}) as sandbox:
        stage.enrol(sandbox)
        options = {"ignore_hosts": rf":8443$|^127\.|^{OTHER}"}
        with stage.proxy(sandbox, routes=routes, scripts=(script,), options=options) as running:
            running.wait_for_log("are carried out by")
            yield running


@pytest.mark.parametrize(
    "names",
    [Names(connect=f"{OPENAI}:8443"), Names(connect=f"{OPENAI}.:8443"), Names(connect="127.0.0.1:443")],
    ids=str,
)
def test_whatever_the_pattern_is_found_in(proxy: Proxy, openai: Origin, authority_file: Path, names: Names) -> None:
    with pytest.raises(OSError):
        Tunnel(proxy, names, trust=authority_file).exchange(REQUEST)
    assert openai.connections == 0


def test_what_is_sent_in_the_clear_to_another_port_as_well(proxy: Proxy, openai: Origin) -> None:
    with Tunnel(proxy, Names(connect=f"{OPENAI}:8443"), encrypted=False) as host:
        host.send(REQUEST)
        assert host.status() is None
    assert openai.connections == 0


def test_what_does_not_look_like_http_is_not_passed_on(proxy: Proxy, openai: Origin) -> None:
    with Tunnel(proxy) as host:
        host.send(b"\0\1\2" + REQUEST)
        assert host.status() is None
    assert openai.connections == 0


def test_another_addon_cannot_have_our_hosts_ignored(proxy: Proxy) -> None:
    with Tunnel(proxy) as host:
        assert host.exchange(REQUEST).status == 200


def test_an_option_cannot_be_changed_to_that_either(proxy: Proxy) -> None:
    with Tunnel(proxy) as host:
        assert host.exchange(REQUEST).status == 200
    proxy.wait_for_log("a change was refused: ignore_hosts: it covers api.openai.com")


def test_other_hosts_are_ignored_as_the_user_wants_it(proxy: Proxy, openai: Origin, authority_file: Path) -> None:
    names = Names(connect=f"{OTHER}:443", sni=OTHER)
    with Tunnel(proxy, names, trust=authority_file) as host:
        assert ssl.get_server_certificate(("127.0.0.1", openai.port)) == ssl.DER_cert_to_PEM_cert(host.certificate)

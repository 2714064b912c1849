"""Under our own authority, which cannot sign for addresses, the proxy serves whoever calls our host by its address."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import NameOID

from support.backstage import Backstage
from support.hosts import HOST_KEY, curl
from support.peers import OPENAI, Names, Origin, Tunnel, post, server_tls
from support.proxy import Proxy
from understudy.sandbox.server import Sandbox
from understudy.workstation.confdir import Confdir
from understudy.workstation.keeping import ensure

ADDRESSES = ["127.0.0.1", "192.0.2.1", "[2001:db8::1]"]
AUTHORIZATION = f"Authorization: Bearer {HOST_KEY}"
BODY = json.dumps({"model": "gpt-5.5", "input": "hi"}).encode()


@dataclass(frozen=True)
class Stage:
    """A proxy under our own authority, as `understudy start` sets it up, and what stands where api.openai.com would."""

    proxy: Proxy
    confdir: Confdir
    sandbox: Sandbox
    openai: Origin
    files: dict[Path, bytes]
    """The authority's, as they were before the proxy was started."""

    @property
    def trust(self) -> Path:
        """What programs trust."""
        return self.confdir.certificate


@pytest.fixture(scope="module")
def stage(make_backstage: Callable[[], Backstage], authority: trustme.CA) -> Iterator[Stage]:
    behind = make_backstage()
    confdir = Confdir(behind.home)
    ensure(confdir, frozenset({OPENAI}), time.time())
    behind.confdir = confdir.path
    files = {path: path.read_bytes() for path in (confdir.authority, confdir.certificate, confdir.bundle)}
    with Sandbox({"accounts": {"home": {"steps": [{"do": "answer"}]}}}) as sandbox:
        behind.enrol(sandbox)
        options = {"upstream_cert": "false", "connection_strategy": "lazy"}
        with (
            Origin(server_tls(authority, OPENAI)) as openai,
            behind.proxy(sandbox, routes={f"{OPENAI}:443": openai.port}, options=options) as proxy,
        ):
            yield Stage(proxy, confdir, sandbox, openai, files)


def test_a_program_that_trusts_the_certificate_is_answered(stage: Stage) -> None:
    answer = curl(stage.proxy, json.loads(BODY))
    assert answer.status == 200


def test_mitmproxy_takes_the_authority_as_it_is_and_writes_none_of_its_files(stage: Stage) -> None:
    with Tunnel(stage.proxy, trust=stage.trust) as host:
        leaf = x509.load_der_x509_certificate(host.certificate)
    root = x509.load_pem_x509_certificate(stage.trust.read_bytes())
    signing = x509.load_pem_x509_certificates(stage.confdir.authority.read_bytes())[0]
    leaf.verify_directly_issued_by(signing)
    signing.verify_directly_issued_by(root)
    assert {path: path.read_bytes() for path in stage.files} == stage.files
    assert not list(stage.confdir.path.glob("*.p12"))


@pytest.mark.parametrize("address", ADDRESSES)
def test_its_certificate_names_our_host_alone(stage: Stage, address: str) -> None:
    with Tunnel(stage.proxy, Names(connect=f"{address}:443"), trust=stage.trust) as host:
        leaf = x509.load_der_x509_certificate(host.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName(OPENAI)]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == OPENAI


@pytest.mark.parametrize("sni", [OPENAI, OPENAI.upper()])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_call_by_address_is_carried_out(stage: Stage, address: str, sni: str) -> None:
    stage.sandbox.journal.clear()
    stage.openai.forget()
    with Tunnel(stage.proxy, Names(connect=f"{address}:443", sni=sni), trust=stage.trust) as host:
        answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION))
    assert answer.status == 200
    assert len(stage.sandbox.journal.responses()) == 1
    assert stage.openai.connections == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_left_alone_goes_to_where_the_name_leads(stage: Stage, address: str) -> None:
    stage.openai.forget()
    with Tunnel(stage.proxy, Names(connect=f"{address}:443"), trust=stage.trust) as host:
        answer = host.exchange(post("/v1/embeddings", b"{}", AUTHORIZATION))
    assert answer.body == Origin.BODY
    [request] = stage.openai.requests
    assert request.startswith(b"POST /v1/embeddings HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "host_field", ["evil.test", "127.0.0.1", f"{OPENAI}:8443"], ids=["another's", "the address", "another port"]
)
def test_a_call_by_address_whose_host_field_is_not_ours_goes_nowhere(stage: Stage, host_field: str) -> None:
    stage.sandbox.journal.clear()
    stage.openai.forget()
    with Tunnel(stage.proxy, Names(connect="127.0.0.1:443"), trust=stage.trust) as host:
        answer = host.exchange(post("/v1/responses", BODY, AUTHORIZATION, host=host_field))
    assert (answer.status, answer.error["code"]) == (421, "understudy_misdirected")
    assert stage.sandbox.journal.responses() == () and stage.openai.requests == []


@pytest.mark.parametrize("called", ["evil.test", "127.1", "0x7f.0.0.1", "2130706433", f"{OPENAI}.evil.test"])
def test_only_an_address_is_taken_for_our_name(stage: Stage, called: str) -> None:
    """A name, also one that some resolvers take for an address, is another's: our authority cannot even sign for it."""
    with pytest.raises(OSError, match="permitted subtree violation"):
        Tunnel(stage.proxy, Names(connect=f"{called}:443"), trust=stage.trust)


def test_an_address_without_our_name_is_passed_by_unopened(stage: Stage, authority_file: Path) -> None:
    names = Names(connect=f"127.0.0.1:{stage.openai.port}", sni=None)
    with Tunnel(stage.proxy, names, trust=authority_file) as host:
        assert (
            x509.load_der_x509_certificate(host.certificate).issuer
            != x509.load_pem_x509_certificate(stage.trust.read_bytes()).subject
        )

"""What would be run to have a store trust the authority, on systems that the tests do not run on as well."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.workstation.authority import Authority, new_authority, read_authority
from understudy.workstation.keeping import system_roots
from understudy.workstation.stores import proof
from understudy.workstation.trust import (
    ANCHORS,
    IN_KEYCHAIN,
    OURS,
    Facts,
    Plan,
    shown,
    trust_nss,
    trust_system,
    trusting,
    untrust_nss,
    untrust_system,
)

HOST = frozenset({"api.openai.com"})
CERTIFICATE = Path("/home/ada/.local/share/understudy/mitmproxy/mitmproxy-ca-cert.pem")
AUTHORITY = replace(read_authority(new_authority(HOST, 0.0)), name="Understudy 1a2b3c4d")
KEYCHAIN = "/Library/Keychains/System.keychain"
NOTHING = Facts("Linux", 1000, frozenset(), frozenset(), {}, {})


def linux(system: str, *tools: str, uid: int = 1000) -> Facts:
    anchors = next(each for each in ANCHORS if each.system == system)
    return replace(NOTHING, uid=uid, tools=frozenset({anchors.gather[0], *tools}), folders=frozenset({anchors.folder}))


def lines(plan: Plan) -> list[str]:
    return [shown([step]) for step in plan.steps]


DEBIAN = linux("Debian", "sudo")
FILE = "/usr/local/share/ca-certificates/understudy-1000-1a2b3c4d.crt"
OLD = "/usr/local/share/ca-certificates/understudy-1000-00000000.crt"


@pytest.mark.parametrize(
    ("system", "target", "gather", "gather_less"),
    [
        ("Debian", FILE, "update-ca-certificates", "update-ca-certificates --fresh"),
        (
            "Fedora",
            "/etc/pki/ca-trust/source/anchors/understudy-1000-1a2b3c4d.pem",
            "update-ca-trust extract",
            "update-ca-trust extract",
        ),
        (
            "Arch",
            "/etc/ca-certificates/trust-source/anchors/understudy-1000-1a2b3c4d.crt",
            "update-ca-trust",
            "update-ca-trust",
        ),
        (
            "openSUSE",
            "/etc/pki/trust/anchors/understudy-1000-1a2b3c4d.pem",
            "update-ca-certificates",
            "update-ca-certificates",
        ),
    ],
)
def test_a_linux_system_gets_a_file_and_gathers_it_and_loses_just_that(
    system: str, target: str, gather: str, gather_less: str
) -> None:
    facts = linux(system, "sudo")
    trusted = trust_system(facts, AUTHORITY, CERTIFICATE)
    assert (trusted.store, trusted.tried) == (system, system == "Debian")
    assert lines(trusted) == [f"sudo install -m 0644 {CERTIFICATE} {target}", f"sudo {gather}"]
    untrusted = untrust_system(replace(facts, anchors={target: AUTHORITY.certificate}))
    assert lines(untrusted) == [f"sudo rm -f {target}", f"sudo {gather_less}"]


def test_macos_gets_it_in_the_system_s_keychain_for_tls_alone() -> None:
    facts = replace(NOTHING, system="Darwin", tools=frozenset({"security", "sudo"}))
    plan = trust_system(facts, AUTHORITY, CERTIFICATE)
    assert not plan.tried
    assert lines(plan) == [f"sudo security add-trusted-cert -d -r trustRoot -p ssl -k {KEYCHAIN} {CERTIFICATE}"]
    has = replace(facts, keychain=("Understudy 00000000", "Understudy 1a2b3c4d"))
    assert lines(trust_system(has, AUTHORITY, CERTIFICATE)) == [
        f"sudo security delete-certificate -c 'Understudy 00000000' -t {KEYCHAIN}"
    ]
    assert lines(untrust_system(has)) == [
        f"sudo security delete-certificate -c 'Understudy 00000000' -t {KEYCHAIN}",
        f"sudo security delete-certificate -c 'Understudy 1a2b3c4d' -t {KEYCHAIN}",
    ]


def test_what_is_trusted_already_needs_nothing() -> None:
    facts = replace(DEBIAN, anchors={FILE: AUTHORITY.certificate})
    assert trust_system(facts, AUTHORITY, CERTIFICATE).steps == ()
    assert trusting(facts, AUTHORITY) == (FILE,)


def test_an_older_authority_goes_as_the_new_one_comes() -> None:
    facts = replace(DEBIAN, anchors={OLD: b"another's"})
    assert lines(trust_system(facts, AUTHORITY, CERTIFICATE)) == [
        f"sudo rm -f {OLD}",
        "sudo update-ca-certificates --fresh",
        f"sudo install -m 0644 {CERTIFICATE} {FILE}",
        "sudo update-ca-certificates",
    ]
    assert trusting(facts, AUTHORITY) == ()


def test_a_file_of_that_name_with_other_content_is_replaced() -> None:
    facts = replace(DEBIAN, anchors={FILE: b"another's"})
    assert lines(trust_system(facts, AUTHORITY, CERTIFICATE))[0] == f"sudo install -m 0644 {CERTIFICATE} {FILE}"


def test_nothing_of_ours_means_nothing_to_take_out() -> None:
    assert untrust_system(DEBIAN).steps == ()


def test_debian_s_java_is_told_what_has_gone() -> None:
    plan = untrust_system(replace(DEBIAN, anchors={OLD: b"", FILE: b""}, java=True))
    assert plan.steps[-1] == (
        "sudo",
        "sh",
        "-c",
        "printf '%s\\n' -/etc/ssl/certs/understudy-1000-00000000.pem -/etc/ssl/certs/understudy-1000-1a2b3c4d.pem "
        "| /etc/ca-certificates/update.d/jks-keystore",
    )


def test_root_needs_no_sudo() -> None:
    assert lines(trust_system(linux("Debian", uid=0), AUTHORITY, CERTIFICATE))[1] == "update-ca-certificates"


def test_without_sudo_root_is_told_what_to_run() -> None:
    with pytest.raises(ValueError, match=r"have root run: install -m 0644 .*; update-ca-certificates"):
        trust_system(linux("Debian"), AUTHORITY, CERTIFICATE)
    assert untrust_system(linux("Debian")).steps == ()


def test_a_system_that_is_not_known_is_told_so() -> None:
    with pytest.raises(ValueError, match="store of certificates was not found"):
        trust_system(NOTHING, AUTHORITY, CERTIFICATE)


NSS = replace(
    NOTHING,
    tools=frozenset({"certutil"}),
    nss={"/home/ada/.pki/nssdb": (), "/home/ada/.mozilla/firefox/a b": ("Understudy 00000000",)},
)


def test_each_nss_database_trusts_it_for_web_servers_alone_and_no_older_one() -> None:
    assert lines(trust_nss(NSS, AUTHORITY, CERTIFICATE)) == [
        "certutil -D -d 'sql:/home/ada/.mozilla/firefox/a b' -n 'Understudy 00000000'",
        f"certutil -A -d 'sql:/home/ada/.mozilla/firefox/a b' -n 'Understudy 1a2b3c4d' -t C,, -i {CERTIFICATE}",
        f"certutil -A -d sql:/home/ada/.pki/nssdb -n 'Understudy 1a2b3c4d' -t C,, -i {CERTIFICATE}",
    ]


def test_each_nss_database_loses_ours_and_no_other() -> None:
    assert lines(untrust_nss(NSS)) == ["certutil -D -d 'sql:/home/ada/.mozilla/firefox/a b' -n 'Understudy 00000000'"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [(replace(NSS, tools=frozenset[str]()), "libnss3-tools"), (replace(NSS, nss={}), "start the browser once")],
)
def test_what_nss_lacks_is_told(facts: Facts, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trust_nss(facts, AUTHORITY, CERTIFICATE)
    with pytest.raises(ValueError, match=words):
        untrust_nss(facts)


def test_an_authority_with_another_name_is_called_as_ours_are() -> None:
    foreign = replace(AUTHORITY, name="My own; rm -rf /", fingerprint="cafe0123" * 8)
    assert "understudy-1000-cafe0123.crt" in shown(trust_system(DEBIAN, foreign, CERTIFICATE).steps)


def test_ours_are_known_by_their_whole_name() -> None:
    listed = """
Certificate Nickname                                         Trust Attributes
                                                             SSL,S/MIME,JAR/XPI

Understudy 1a2b3c4d                                          C,,
Understudy 1a2b3c4d5                                         C,,
My Understudy 00000000                                       C,,
Understudy Bank                                              C,,
"""
    assert OURS.findall(listed) == ["Understudy 1a2b3c4d"]
    keychain = '    "labl"<blob>="Understudy 1a2b3c4d"\n    "labl"<blob>="Understudy Bank"\n'
    assert IN_KEYCHAIN.findall(keychain) == ["Understudy 1a2b3c4d"]


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Authority]:
    path, pem = tmp_path / "mitmproxy-ca.pem", new_authority(HOST, time.time())
    path.write_bytes(pem)
    return path, read_authority(pem)


def test_the_proof_is_a_handshake_that_succeeds_where_the_roots_have_it(
    authority: tuple[Path, Authority], tmp_path: Path
) -> None:
    path, made = authority
    roots = tmp_path / "roots.pem"
    roots.write_bytes(made.certificate)
    assert proof(roots, path, "api.openai.com", time.time()) == ""
    assert "permitted subtree violation" in proof(roots, path, "github.com", time.time())


def test_the_proof_fails_where_the_roots_do_not_have_it(authority: tuple[Path, Authority]) -> None:
    roots = system_roots()
    assert roots is not None
    assert "unable to get local issuer" in proof(roots, authority[0], "api.openai.com", time.time())

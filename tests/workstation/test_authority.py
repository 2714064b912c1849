"""The authority that can sign for our hosts alone: what it says of itself, and what is found wrong with others."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from support.proxy import ROOT
from understudy.wire.text import DAY
from understudy.workstation.authority import (
    Authority,
    faults,
    new_authority,
    new_leaf,
    obstacles,
    read_authority,
)

HOST = frozenset({"api.openai.com"})
BOTH = frozenset({"api.openai.com", "chatgpt.com"})
NOW = 1_800_000_000.0
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join).filter(lambda name: not name[-1].isdigit())


@pytest.fixture(scope="module")
def pem() -> bytes:
    return new_authority(HOST, NOW)


@pytest.fixture(scope="module")
def fresh(pem: bytes) -> Authority:
    return read_authority(pem)


def test_a_new_one_has_no_faults(fresh: Authority) -> None:
    assert faults(fresh, HOST, NOW) == ()


def test_it_says_what_it_can_sign_for_and_until_when(fresh: Authority) -> None:
    assert fresh.permitted == HOST
    assert fresh.excludes_addresses and fresh.excludes_others and fresh.critical and fresh.server_only
    assert (fresh.path_length, fresh.key_kind) == (0, "EC P-256")
    assert fresh.not_before == NOW - 3600 and fresh.not_after == NOW + 365 * DAY


def test_its_name_is_the_program_s_and_a_part_of_the_key_and_nothing_of_the_user(pem: bytes) -> None:
    signing, root = x509.load_pem_x509_certificates(pem)
    names = [attribute.value for attribute in (*root.subject, *signing.subject)]
    assert names == [read_authority(pem).name, f"{read_authority(pem).name} proxy"]
    assert read_authority(pem).name.startswith("Understudy ") and len(read_authority(pem).name) == 19


def test_the_key_in_it_is_not_the_root_s(pem: bytes) -> None:
    signing, root = x509.load_pem_x509_certificates(pem)
    key = load_pem_private_key(pem, None)
    assert key.public_key() == signing.public_key() != root.public_key()
    assert pem.count(b"PRIVATE KEY-----") == 2 and pem.startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("which", [0, 1], ids=["the one that signs", "the root"])
def test_each_of_its_certificates_is_constrained(pem: bytes, which: int) -> None:
    certificate = x509.load_pem_x509_certificates(pem)[which]
    found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    permitted = [x509.DNSName("api.openai.com"), x509.RFC822Name("invalid"), x509.UniformResourceIdentifier("invalid")]
    assert found.value.permitted_subtrees == permitted
    assert [str(each.value) for each in found.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]


def test_two_have_nothing_in_common(pem: bytes, fresh: Authority) -> None:
    other = read_authority(new_authority(HOST, NOW))
    assert {other.name, other.fingerprint, other.certificate}.isdisjoint(
        {fresh.name, fresh.fingerprint, fresh.certificate}
    )


def test_what_is_shown_of_it_holds_no_key(pem: bytes, fresh: Authority) -> None:
    assert b"PRIVATE" not in fresh.certificate
    assert "BEGIN" not in repr(fresh)


@given(hosts=st.frozensets(NAMES, min_size=1, max_size=4))
def test_it_is_for_exactly_the_hosts_that_it_is_made_for(hosts: frozenset[str]) -> None:
    made = read_authority(new_authority(hosts, NOW))
    assert made.permitted == hosts
    assert faults(made, hosts, NOW) == ()


@pytest.mark.parametrize(
    "hosts", [frozenset[str](), frozenset({"127.0.0.1"}), HOST | {"::1"}], ids=["none", "an address", "one of them"]
)
def test_there_is_none_for_no_host_or_for_an_address(hosts: frozenset[str]) -> None:
    with pytest.raises(ValueError, match="host names"):
        new_authority(hosts, NOW)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"permitted": frozenset[str]()}, "It can sign for any host"),
        ({"permitted": frozenset({"chatgpt.com"})}, "It cannot sign for api.openai.com"),
        ({"permitted": frozenset({"i.openai.com"})}, "It cannot sign for api.openai.com"),
        ({"excludes_addresses": False}, "It can sign for IP addresses."),
        ({"critical": False}, "Its constraints are not critical"),
        ({"path_length": None}, "It can make other authorities."),
        ({"path_length": 1}, "It can make other authorities."),
        ({"not_after": NOW}, "It expired on 2027-01-15."),
        ({"not_before": NOW + 1}, "It is not valid before 2027-01-15"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_with_what_makes_it_unsafe_or_useless_no_proxy_is_started(
    fresh: Authority, change: dict[str, object], words: str
) -> None:
    changed = replace(fresh, **change)  # type: ignore[arg-type]
    assert any(fault.startswith(words) for fault in obstacles(changed, HOST, NOW))
    assert set(obstacles(changed, HOST, NOW)) <= set(faults(changed, HOST, NOW))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"permitted": BOTH}, "It can sign for chatgpt.com, which the proxy does not open."),
        ({"permitted": frozenset({"openai.com"})}, "It can sign for openai.com, which the proxy does not open."),
        ({"excludes_others": False}, "It can sign for e-mail addresses and URIs."),
        ({"server_only": False}, "It can sign for more than TLS servers."),
        ({"not_after": NOW + 30 * DAY - 1}, "It ends in 29 days."),
        ({"not_after": NOW + DAY}, "It ends in 1 day."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_only_unwise_is_told_and_the_proxy_is_started(
    fresh: Authority, change: dict[str, object], words: str
) -> None:
    changed = replace(fresh, **change)  # type: ignore[arg-type]
    assert faults(changed, HOST, NOW) == (words,)
    assert obstacles(changed, HOST, NOW) == ()


def test_a_constraint_covers_the_names_below_it() -> None:
    above = read_authority(new_authority(frozenset({"openai.com"}), NOW))
    assert obstacles(above, HOST, NOW) == ()


def test_mitmproxy_s_own_can_be_read_and_is_told_for_what_it_is(confdir_template: Path) -> None:
    stock = read_authority((confdir_template / "mitmproxy-ca.pem").read_bytes())
    found = obstacles(stock, HOST, stock.not_before + DAY)
    assert found[0] == "It can sign for any host: its names are not constrained."
    assert "It can make other authorities." in found
    assert stock.key_kind == "RSA 2048"


def test_one_that_was_made_by_openssl_alone_is_as_good(tmp_path: Path) -> None:
    command = ["sh", str(ROOT / "certs" / "make-ca.sh"), str(tmp_path / "ca"), *sorted(BOTH)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    made = read_authority((tmp_path / "ca" / "mitmproxy-ca.pem").read_bytes())
    assert faults(made, BOTH, made.not_before + 60) == ()
    assert made.not_after - made.not_before == 365 * DAY
    assert (tmp_path / "ca" / "mitmproxy-ca-cert.pem").read_bytes() == made.certificate
    assert made.name.startswith("Understudy ") and len(made.name) == 19


def test_make_ca_keeps_what_is_there_and_shows_its_files_to_nobody(tmp_path: Path) -> None:
    command = ["sh", str(ROOT / "certs" / "make-ca.sh"), str(tmp_path / "ca")]
    first = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert first.returncode == 0 and "PRIVATE" not in first.stdout + first.stderr
    before = {path: path.read_bytes() for path in (tmp_path / "ca").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in before} == {0o600}
    again = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert again.returncode == 1 and "there already" in again.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "ca").iterdir()} == before


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "*.openai.com", "", ".openai.com", "a..b", "api.openai.com\npermitted;DNS.9 = a.b", "a b"]
)
def test_make_ca_is_for_host_names_alone(tmp_path: Path, host: str) -> None:
    command = ["sh", str(ROOT / "certs" / "make-ca.sh"), str(tmp_path / "ca"), host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, (tmp_path / "ca").exists()) == (1, False)


def test_a_leaf_is_the_host_s_and_hangs_on_the_root(pem: bytes) -> None:
    leaf, signing = x509.load_pem_x509_certificates(new_leaf(pem, "api.openai.com", NOW))
    leaf.verify_directly_issued_by(signing)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("api.openai.com")]


def without_key(pem: bytes) -> bytes:
    return pem[pem.index(b"-----BEGIN CERTIFICATE-----") :]


def with_another_key(pem: bytes) -> bytes:
    other = new_authority(HOST, NOW)
    return other[: other.index(b"-----BEGIN CERTIFICATE-----")] + without_key(pem)


def of_two(pem: bytes) -> bytes:
    return pem[: pem.rindex(b"-----BEGIN CERTIFICATE-----")] + read_authority(new_authority(HOST, NOW)).certificate


def of_a_leaf(pem: bytes) -> bytes:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    leaf = authority.issue_cert("api.openai.com", key_type=trustme.KeyType.ECDSA)
    return leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes() + authority.cert_pem.bytes()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_key, "there is no key"),
        (with_another_key, "its key belongs to another certificate"),
        (of_two, "do not hold together"),
        (of_a_leaf, "do not hold together"),
        (lambda pem: pem[: pem.index(b"-----BEGIN CERTIFICATE-----")], "there is no certificate"),
        (lambda pem: b"", "there is no key"),
        (lambda pem: pem[:-200], "do not hold together"),
    ],
    ids=["no key", "another's key", "another's root", "a leaf", "no certificate", "nothing", "cut off"],
)
def test_what_mitmproxy_could_not_use_is_refused_in_words(pem: bytes, spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        read_authority(spoil(pem))


@given(data=st.binary(max_size=300))
def test_whatever_the_file_holds_it_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_authority(b"-----BEGIN PRIVATE KEY-----\n" + data)


def test_the_key_is_on_the_curve_that_it_says(pem: bytes) -> None:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)

"""The certificate authority that can sign for our hosts and nothing else: made, read, and found fault with.

Two certificates, since some programs (Java, measured) do not hold a root to its own name constraints. The root is what
programs trust; its key signs once and is forgotten. mitmproxy has the key of the one beneath, which signs for hosts.
Both carry the same constraints.
"""

import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from understudy.wire.text import DAY, safe_text

LIFE = 365 * DAY
"""Seconds that a new authority lives."""
SKEW = 3600
"""Seconds that it is valid before it is made: clocks differ."""
SOON = 30 * DAY
"""Seconds before its end from which on that is a fault."""
NAME = "Understudy"
"""What the names of all our authorities begin with. Some hex digits of the key follow, and nothing about the user."""
NOWHERE = "invalid"
"""The one domain that e-mail addresses and URIs may be in: there is no such domain (RFC 2606)."""
EVERY_ADDRESS = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
ROTATE = "understudy ca rotate"
"""The command that mends every fault."""

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

T = TypeVar("T", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Authority:
    """What an authority may do. Times in epoch seconds. Holds no key."""

    name: str
    """The root's common name."""
    permitted: frozenset[str]
    """The DNS names that it may sign for, with all names below them; empty: any."""
    excludes_addresses: bool
    """No IP address at all."""
    excludes_others: bool
    """No e-mail address and no URI of any domain that there is."""
    critical: bool
    """A program that does not understand the constraints must refuse it."""
    server_only: bool
    """For TLS servers, and nothing else."""
    path_length: int | None
    """How many authorities may come beneath the one that signs; None: any number."""
    not_before: float
    not_after: float
    key_kind: str
    """Of the key that signs: `EC P-256`, `RSA 2048`."""
    fingerprint: str
    """SHA-256 of the root, hex."""
    certificate: bytes = field(repr=False)
    """The root alone (PEM): what programs trust."""


def new_authority(hosts: frozenset[str], now: float) -> bytes:
    """A new authority for `hosts`, as mitmproxy reads it (PEM): the key, its certificate, the root.

    `now`: epoch seconds. Raises ValueError where there are no hosts, or one is an address.
    """
    constraints = _constraints(hosts)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = f"{NAME} {_key_id(root_key.public_key())[:8]}"
    certificate = partial(_certificate, root_key, _name(name), constraints=constraints, now=now)
    root = certificate(_name(name), root_key.public_key(), path_length=1)
    signing = certificate(_name(f"{name} proxy"), key.public_key(), path_length=0)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + signing.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)


def new_leaf(pem: bytes, host: str, now: float) -> bytes:
    """A certificate for `host` as mitmproxy would make it, for the authority's own key, with its chain (PEM)."""
    key, (signing, *_) = _parts(pem)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    leaf = (
        _beginning(signing.subject, _name(host), key.public_key(), now, DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return leaf.public_bytes(Encoding.PEM) + signing.public_bytes(Encoding.PEM)


def read_authority(pem: bytes) -> Authority:
    """What `new_authority` gave, or another authority that mitmproxy would take. Raises ValueError, in words."""
    key, chain = _parts(pem)
    signing, root = chain[0], chain[-1]
    if _spki(signing.public_key()) != _spki(key.public_key()):
        raise ValueError("its key belongs to another certificate")
    try:
        for certificate, issuer in zip(chain, (*chain[1:], root), strict=True):
            certificate.verify_directly_issued_by(issuer)
        limits = [_Limits.of(certificate) for certificate in chain]
    except (ValueError, TypeError, InvalidSignature, x509.DuplicateExtension):
        raise ValueError("its certificates do not hold together") from None
    return Authority(
        name=_common_name(root),
        # What any one of them forbids is forbidden; a program may look at either.
        permitted=frozenset[str]().union(*(each.permitted for each in limits))
        if all(each.permitted for each in limits)
        else frozenset(),
        excludes_addresses=all(each.excludes_addresses for each in limits),
        excludes_others=all(each.excludes_others for each in limits),
        critical=all(each.critical for each in limits),
        server_only=all(each.server_only for each in limits),
        path_length=limits[0].path_length,
        not_before=max(certificate.not_valid_before_utc.timestamp() for certificate in chain),
        not_after=min(certificate.not_valid_after_utc.timestamp() for certificate in chain),
        key_kind=_kind(key),
        fingerprint=root.fingerprint(SHA256()).hex(),
        certificate=root.public_bytes(Encoding.PEM),
    )


def obstacles(authority: Authority, hosts: frozenset[str], now: float) -> tuple[str, ...]:
    """Why a proxy for `hosts` must not be started with it, a sentence each. `now`: epoch seconds."""
    return tuple(_obstacles(authority, hosts, now))


def faults(authority: Authority, hosts: frozenset[str], now: float) -> tuple[str, ...]:
    """All that is wrong with it, or soon will be: the obstacles, and what it can do without need. A sentence each."""
    return (*_obstacles(authority, hosts, now), *_advice(authority, hosts, now))


def _obstacles(authority: Authority, hosts: frozenset[str], now: float) -> Iterator[str]:
    if not authority.permitted:
        yield "It can sign for any host: its names are not constrained."
    elif missing := sorted(host for host in hosts if not _covers(authority.permitted, host)):
        yield f"It cannot sign for {', '.join(missing)}, so programs would refuse the proxy's answers."
    if not authority.excludes_addresses:
        yield "It can sign for IP addresses."
    if not authority.critical:
        yield "Its constraints are not critical: a program that does not know them may ignore them."
    if authority.path_length != 0:
        yield "It can make other authorities."
    if now >= authority.not_after:
        yield f"It expired on {_date(authority.not_after)}."
    if now < authority.not_before:
        yield f"It is not valid before {_date(authority.not_before)}; is this machine's clock right?"


def _advice(authority: Authority, hosts: frozenset[str], now: float) -> Iterator[str]:
    if extra := sorted(safe_text(name) for name in authority.permitted - hosts):
        yield f"It can sign for {', '.join(extra)}, which the proxy does not open."
    if not authority.excludes_others:
        yield "It can sign for e-mail addresses and URIs."
    if not authority.server_only:
        yield "It can sign for more than TLS servers."
    if 0 < authority.not_after - now < SOON:
        days = int((authority.not_after - now) // DAY)
        yield f"It ends in {days} days." if days != 1 else "It ends in 1 day."


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the extensions of one certificate say."""

    permitted: frozenset[str]
    excludes_addresses: bool
    excludes_others: bool
    critical: bool
    server_only: bool
    path_length: int | None

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "_Limits":
        basic = _extension(certificate, x509.BasicConstraints)
        if basic is None or not basic.value.ca:
            raise ValueError("not an authority")
        found = _extension(certificate, x509.NameConstraints)
        permitted = tuple(found.value.permitted_subtrees or ()) if found else ()
        excluded = tuple(found.value.excluded_subtrees or ()) if found else ()
        usage = _extension(certificate, x509.ExtendedKeyUsage)
        names = frozenset(name.value.lower() for name in permitted if isinstance(name, x509.DNSName))
        return cls(
            permitted=frozenset() if "" in names else names,
            excludes_addresses={x509.IPAddress(network) for network in EVERY_ADDRESS} <= set(excluded),
            excludes_others=_is_nowhere(permitted, x509.RFC822Name)
            and _is_nowhere(permitted, x509.UniformResourceIdentifier),
            critical=found is not None and found.critical,
            server_only=usage is not None and list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH],
            path_length=basic.value.path_length,
        )


def _is_nowhere(
    permitted: tuple[x509.GeneralName, ...], kind: type[x509.RFC822Name] | type[x509.UniformResourceIdentifier]
) -> bool:
    return {name.value for name in permitted if isinstance(name, kind)} == {NOWHERE}


def _constraints(hosts: frozenset[str]) -> x509.NameConstraints:
    """The names that may be signed for. Of every kind that all TLS libraries know, one is permitted: others are not.

    Directory names are left out: Go refuses an authority with constraints on them, and rustls all that it signs.
    """
    if not hosts or any(_is_address(host) for host in hosts):
        raise ValueError("an authority is for host names, one at least")
    permitted = [x509.DNSName(host) for host in sorted(hosts)]
    nowhere = [x509.RFC822Name(NOWHERE), x509.UniformResourceIdentifier(NOWHERE)]
    return x509.NameConstraints([*permitted, *nowhere], [x509.IPAddress(network) for network in EVERY_ADDRESS])


def _certificate(
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    *,
    path_length: int,
    constraints: x509.NameConstraints,
    now: float,
) -> x509.Certificate:
    builder = _beginning(issuer, subject, public, now, LIFE)
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_SIGNS_CERTIFICATES, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (constraints, True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, SHA256())


def _beginning(
    issuer: x509.Name,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: float,
    life: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(now) - SKEW, UTC))
        .not_valid_after(datetime.fromtimestamp(int(now) + life, UTC))
    )


def _parts(pem: bytes) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("there is no key in it that can be read without a password") from None
    try:
        return key, x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("there is no certificate in it") from None


def _extension(certificate: x509.Certificate, kind: type[T]) -> x509.Extension[T] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _covers(permitted: frozenset[str], host: str) -> bool:
    """Whether a constraint names the host, or one that it is below (RFC 5280, 4.2.1.10)."""
    return any(f".{host}".endswith(f".{name.removeprefix('.')}") for name in permitted)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return safe_text(str(found[0].value)) if found else ""


def _kind(key: PrivateKeyTypes) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "EC P-256" if isinstance(key.curve, ec.SECP256R1) else f"EC {key.curve.name}"
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPrivateKey) else type(key).__name__


def _spki(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(public: PublicKeyTypes) -> str:
    return hashlib.sha256(_spki(public)).hexdigest()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"

"""What a thief could do with an authority's key: certificates for any name, and a server that shows them."""

import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OURS = "api.openai.com"
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Forgery:
    """A certificate for one who is asked for `host`. `names`: what it is for; a DNS name, or an address."""

    host: str
    names: tuple[str, ...] = ()
    common_name: str = ""
    emails: tuple[str, ...] = ()
    through: bool = False
    """Signed by an authority that the thief has made beneath."""


GENUINE = {"our host": Forgery(OURS, (OURS,)), "a name below it": Forgery(f"x.{OURS}", (f"x.{OURS}",))}
"""What X.509's constraints let through."""
FORGED = {
    "another host": Forgery("github.com", ("github.com",)),
    "a name that ends like it": Forgery(f"evil{OURS}", (f"evil{OURS}",)),
    "a name beside it": Forgery("evilapi.openai.com", ("evilapi.openai.com",)),
    "the name above it": Forgery("openai.com", ("openai.com",)),
    "all names above it": Forgery(OURS, ("*.openai.com",)),
    "localhost": Forgery("localhost", ("localhost",)),
    "an address": Forgery("127.0.0.1", ("127.0.0.1",)),
    "our host and another": Forgery(OURS, (OURS, "github.com")),
    "our host and an address": Forgery(OURS, (OURS, "192.0.2.1")),
    "another host by its common name alone": Forgery("github.com", common_name="github.com"),
    "another host by its common name beside an e-mail address": Forgery(
        "github.com", common_name="github.com", emails=("ada@github.com",)
    ),
    "our host through an authority beneath": Forgery(OURS, (OURS,), through=True),
    "another host through an authority beneath": Forgery("github.com", ("github.com",), through=True),
}
"""What no program may accept."""


def forge(authority: bytes, forgery: Forgery) -> bytes:
    """The certificate with its key and chain, as a server has them (PEM). `authority`: key and certificates (PEM)."""
    key = load_pem_private_key(authority, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer, *_ = chain = x509.load_pem_x509_certificates(authority)
    chain = chain[:-1]
    if forgery.through:
        below = ec.generate_private_key(ec.SECP256R1())
        made = _begin("Beneath", issuer, below, key)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        issuer, key = made.sign(key, SHA256()), below
        chain = [issuer, *chain]
    own = ec.generate_private_key(ec.SECP256R1())
    leaf = _begin(forgery.common_name or forgery.host, issuer, own, key)
    names = [_general(name) for name in forgery.names] + [x509.RFC822Name(email) for email in forgery.emails]
    if names:
        leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    secret = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + b"".join(each.public_bytes(Encoding.PEM) for each in (leaf.sign(key, SHA256()), *chain))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _begin(
    common_name: str, issuer: x509.Certificate, own: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    )


class Impostor:
    """Says that it is `host`, with a certificate, to all who connect, be it by way of CONNECT.

    `believed` tells whether a program has sent it a request; leaving the block ends it.
    """

    def __init__(self, folder: Path, host: str, chain: bytes) -> None:
        file = folder / "impostor.pem"
        file.write_bytes(chain)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(file)
        self._host = host
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._news = threading.Condition()
        self._outcomes: list[bool] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(PATIENCE)

    def believed(self, timeout: float = PATIENCE) -> bool:
        """Whether it was believed; waits until somebody came."""
        with self._news:
            assert self._news.wait_for(lambda: bool(self._outcomes), timeout), "nobody came"
            return any(self._outcomes)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if connection.recv(1, socket.MSG_PEEK) == b"C" and not self._connect(connection):
                    return
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._note(bool(secured.recv(1000)))
                    secured.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                self._note(False)

    def _connect(self, connection: socket.socket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if head.split()[1].decode() != f"{self._host}:443":
            return False  # Something else that the program wants of the network.
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return True

    def _note(self, believed: bool) -> None:
        with self._news:
            self._outcomes.append(believed)
            self._news.notify_all()

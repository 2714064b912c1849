"""Keeps the certificate authority in its folder: made once, replaced only when the user says so, one writer a time."""

from contextlib import AbstractContextManager
from pathlib import Path

from understudy.state import files
from understudy.state.errors import StateError
from understudy.state.home import private_folder
from understudy.workstation.authority import ROTATE, Authority, new_authority, obstacles, read_authority
from understudy.workstation.confdir import Confdir

SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora and its relatives
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine
)
"""Where systems have all roots in one file (PEM)."""

_OURS = b"\n# Understudy's own:\n"
"""What stands between the roots and our certificate; PEM has room for words between certificates."""
_OTHER_KEYS = ("mitmproxy-ca.p12", "mitmproxy-ca-cert.p12", "mitmproxy-ca-cert.cer")
"""What mitmproxy writes beside an authority of its own making, the key among it."""


def load(confdir: Confdir) -> Authority | None:
    """The authority that is there, or None. Takes no lock. Raises StateError for one that cannot be read."""
    pem = load_pem(confdir)
    return None if pem is None else _read(confdir, pem)


def load_pem(confdir: Confdir) -> bytes | None:
    """The file with the key, or None where there is none. Raises StateError."""
    content = files.read(confdir.authority)
    return None if content is None else content.data


def ensure(confdir: Confdir, hosts: frozenset[str], now: float) -> Authority:
    """The authority for a proxy that opens TLS to `hosts`, made where there is none, with certificate and bundle.

    One that is there is never replaced here: the user may have had programs trust it. Raises StateError, which names
    the command that mends it, where it cannot serve: see `obstacles`. `now`: epoch seconds.
    """
    with _locked(confdir):
        found = load(confdir)
        if found is None:
            return _make(confdir, hosts, now)
        if wrong := obstacles(found, hosts, now):
            raise StateError(_mend(confdir, " ".join(wrong)))
        _write_certificates(confdir, found)
        return found


def rotate(confdir: Confdir, hosts: frozenset[str], now: float) -> Authority:
    """A new authority in place of whatever is there, whose key is kept nowhere. `now`: epoch seconds.

    Proxies that run go on with the old one until they are started anew. Raises StateError.
    """
    with _locked(confdir):
        return _make(confdir, hosts, now)


def file_faults(confdir: Confdir, authority: Authority) -> tuple[str, ...]:
    """What is wrong with the files that are made of the authority, a sentence each. Raises StateError."""
    certificate, bundle = files.read(confdir.certificate), files.read(confdir.bundle)
    stale = "is not there, or is another authority's: programs would refuse the proxy's answers."
    return (
        *([] if certificate and certificate.data == authority.certificate else [f"{confdir.certificate} {stale}"]),
        *([] if bundle and bundle.data.endswith(authority.certificate) else [f"{confdir.bundle} {stale}"]),
    )


def write_bundle(confdir: Confdir, roots: bytes | None = None) -> None:
    """Writes the system's roots (`roots`, or those that are found) and our certificate, unless the file has just that.

    Raises StateError where there is no certificate, or no roots: a bundle that replaces them must not be without.
    """
    certificate = files.read(confdir.certificate)
    if certificate is None:
        raise StateError(f"there is no {confdir.certificate}; make it: understudy ca create")
    if roots is None:
        roots = b"" if (found := system_roots()) is None else _bytes(found)
    if not _has_certificates(roots):
        raise StateError("no root certificates were found on this system; install its package ca-certificates")
    _write_if_other(confdir.bundle, roots.rstrip(b"\n") + b"\n" + _OURS + certificate.data)


def system_roots() -> Path | None:
    """The file with all roots that the system trusts, or certifi's; None where there is none. What a user has named
    besides, as in a company's network, is for the environment of a program: see `environment.joined`.
    """
    return next((path for path in map(Path, (*SYSTEM_ROOTS, _certifi())) if _has_certificates(_bytes(path))), None)


def _make(confdir: Confdir, hosts: frozenset[str], now: float) -> Authority:
    try:
        pem = new_authority(hosts, now)
    except ValueError as error:
        raise StateError(f"no certificate authority was made: {error}") from None
    files.write(confdir.authority, pem)
    files.remove(confdir.path / name for name in _OTHER_KEYS)
    made = read_authority(pem)
    _write_certificates(confdir, made)
    return made


def _write_certificates(confdir: Confdir, authority: Authority) -> None:
    _write_if_other(confdir.certificate, authority.certificate)
    write_bundle(confdir)


def _write_if_other(path: Path, data: bytes) -> None:
    found = files.read(path)
    if found is None or found.data != data:
        files.write(path, data)


def _locked(confdir: Confdir) -> AbstractContextManager[None]:
    private_folder(confdir.home)
    return files.locked(confdir.authority)


def _read(confdir: Confdir, pem: bytes) -> Authority:
    try:
        return read_authority(pem)
    except ValueError as error:
        raise StateError(_mend(confdir, f"It cannot be read: {error}.")) from None


def _mend(confdir: Confdir, wrong: str) -> str:
    return (
        f"the certificate authority {confdir.authority} cannot be used. {wrong} Make another, which programs that "
        f"trust this one must be told to trust: {ROTATE}"
    )


def _certifi() -> str:
    import certifi

    return certifi.where()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _has_certificates(data: bytes) -> bool:
    return b"-----BEGIN CERTIFICATE-----" in data

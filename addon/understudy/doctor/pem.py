"""Certificates in files, as far as it matters whether one is among them."""

import re
from pathlib import Path

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates(pem: bytes) -> frozenset[bytes]:
    """The certificates in a file, each without the line breaks that files differ in."""
    return frozenset(b"".join(found.split()) for found in _CERTIFICATE.findall(pem))


def content(path: Path) -> bytes:
    """What is in the file at `path`, links followed; nothing where it cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def roots_of_system() -> frozenset[bytes]:
    """What the system trusts, as far as it has that in one file."""
    from understudy.workstation.keeping import system_roots  # It loads cryptography, which may not be there.

    path = system_roots()
    return certificates(content(path)) if path else frozenset()

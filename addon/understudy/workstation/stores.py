"""Looks at the stores of certificates on this machine, and proves that the system's trusts our authority."""

import os
import platform
import re
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

from understudy.workstation.authority import NAME, new_leaf
from understudy.workstation.trust import ANCHORS, IN_KEYCHAIN, JAVA_HOOK, KEYCHAIN, OURS, Facts, Step

_PROFILES = (
    ".pki/nssdb",
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    "Library/Application Support/Firefox/Profiles/*",
)
"""Where NSS keeps certificates, below the user's home."""


def search_path() -> str:
    """The user's PATH, and where root's tools are, which is not on everybody's."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def look(user_home: Path) -> Facts:
    """Looks at this machine, and at what is in `user_home`."""
    uid = os.getuid()
    tools = ("certutil", "security", "sudo", *(anchors.gather[0] for anchors in ANCHORS))
    found = frozenset(tool for tool in tools if shutil.which(tool, path=search_path()))
    databases = _databases(user_home) if "certutil" in found else ()
    return Facts(
        system=platform.system(),
        uid=uid,
        tools=found,
        folders=frozenset(each.folder for each in ANCHORS if Path(each.folder).is_dir()),
        anchors={
            str(path): path.read_bytes()
            for each in ANCHORS
            for path in Path(each.folder).glob(f"understudy-{uid}-????????{each.suffix}")
        },
        nss={str(path): _names(OURS, ("certutil", "-L", "-d", f"sql:{path}")) for path in databases},
        keychain=_names(IN_KEYCHAIN, ("security", "find-certificate", "-a", "-c", NAME, KEYCHAIN))
        if "security" in found
        else (),
        java=Path(JAVA_HOOK).exists(),
    )


def proof(roots: Path, authority: Path, host: str, now: float) -> str:
    """Why a program that trusts `roots` (a PEM file) refuses what the authority signs for `host`; empty: it does not.

    A handshake with a certificate made for it. `authority`: its file, with the key. `now`: epoch seconds.
    """
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as leaf:
        leaf.write(new_leaf(authority.read_bytes(), host, now))
        leaf.flush()
        server_side.load_cert_chain(leaf.name, authority)
    try:
        client_side = ssl.create_default_context(cafile=str(roots))
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_side.wrap_bio(to_client, to_server, server_hostname=host)
        server = server_side.wrap_bio(to_server, to_client, server_side=True)
        _shake(client, server)
    except (ssl.SSLError, OSError) as error:
        return getattr(error, "verify_message", "") or str(error)
    return ""


def _shake(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    """Until the client has said what it thinks of the server, which takes one flight each way."""
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass


def _databases(user_home: Path) -> tuple[Path, ...]:
    found = (path for pattern in _PROFILES for path in user_home.glob(pattern))
    return tuple(sorted(path for path in found if (path / "cert9.db").is_file()))


def _names(pattern: re.Pattern[str], command: Step) -> tuple[str, ...]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    return tuple(sorted(set(pattern.findall(done.stdout))))

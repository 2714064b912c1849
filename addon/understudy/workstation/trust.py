"""What has to be run so that the system, or programs with a store of their own, trust our authority; and no longer.

Plans are functions of `Facts`, which `stores.look` gathers. Only Debian's and NSS's have been run by us; the others are
written after the systems' manuals.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.workstation.authority import NAME, Authority

Step = tuple[str, ...]
"""A command line."""

KEYCHAIN = "/Library/Keychains/System.keychain"
JAVA_HOOK = "/etc/ca-certificates/update.d/jks-keystore"
"""How Debian tells Java's store of certificates that come and go."""

OURS = re.compile(rf"^({NAME} [0-9a-f]{{8}})(?=\s|$)", re.MULTILINE)
IN_KEYCHAIN = re.compile(rf'"labl"<blob>="({NAME} [0-9a-f]{{8}})"')


@dataclass(frozen=True, slots=True)
class Anchors:
    """A system that keeps its administrator's certificates in a folder, and gathers them with a tool."""

    system: str
    folder: str
    suffix: str
    gather: Step
    gather_less: Step
    """After one was taken away."""
    tried: bool = False


ANCHORS = (
    Anchors(
        "Fedora",
        "/etc/pki/ca-trust/source/anchors",
        ".pem",
        ("update-ca-trust", "extract"),
        ("update-ca-trust", "extract"),
    ),
    Anchors("Arch", "/etc/ca-certificates/trust-source/anchors", ".crt", ("update-ca-trust",), ("update-ca-trust",)),
    Anchors(
        "openSUSE",
        "/etc/pki/trust/anchors",
        ".pem",
        ("update-ca-certificates",),
        ("update-ca-certificates",),
    ),
    Anchors(
        "Debian",
        "/usr/local/share/ca-certificates",
        ".crt",
        ("update-ca-certificates",),
        # Without --fresh, Debian's leaves the links of what was taken away.
        ("update-ca-certificates", "--fresh"),
        tried=True,
    ),
)
"""The systems, with their relatives. The first whose folder and tool are there is this one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plans depend on."""

    system: str
    """`Linux`, `Darwin`, ..."""
    uid: int
    tools: frozenset[str]
    """Those of the programs in the plans that are installed."""
    folders: frozenset[str]
    """Those of `ANCHORS` that exist."""
    anchors: Mapping[str, bytes]
    """The files there that `trust` has put there for this user, with their content."""
    nss: Mapping[str, tuple[str, ...]]
    """This user's databases, with the names of our authorities in each."""
    keychain: tuple[str, ...] = ()
    """The names of our authorities in macOS's system keychain."""
    java: bool = False
    """Whether Debian hands its certificates on to Java."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, one after the other."""

    store: str
    """What is changed, in words."""
    steps: tuple[Step, ...]
    tried: bool = True
    """Whether we have ever run it."""


def trust_system(facts: Facts, authority: Authority, certificate: Path) -> Plan:
    """Puts the certificate in the system's store, and what is there of an older authority away.

    Raises ValueError, in words, where this system's store is not known.
    """
    if facts.system == "Darwin":
        add = ("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-p", "ssl", "-k", KEYCHAIN, str(certificate))
        here = label(authority) in facts.keychain
        old = [_from_keychain(name) for name in facts.keychain if name != label(authority)]
        return _system_plan(facts, "macOS", [*old, *([] if here else [add])], tried=False)
    anchors = _anchors_of(facts)
    target = f"{anchors.folder}/understudy-{facts.uid}-{label(authority)[-8:]}{anchors.suffix}"
    old_files = sorted(path for path in facts.anchors if path != target)
    gone = _gone(facts, anchors, old_files)
    if facts.anchors.get(target) == authority.certificate:
        return _system_plan(facts, anchors.system, gone, anchors.tried)
    install = ("install", "-m", "0644", str(certificate), target)
    return _system_plan(facts, anchors.system, [*gone, install, anchors.gather], anchors.tried)


def untrust_system(facts: Facts) -> Plan:
    """Takes out of the system's store all that `trust_system` has put there, also of older authorities.

    Raises ValueError, in words, where this system's store is not known.
    """
    if facts.system == "Darwin":
        return _system_plan(facts, "macOS", [_from_keychain(name) for name in facts.keychain], tried=False)
    anchors = _anchors_of(facts)
    return _system_plan(facts, anchors.system, _gone(facts, anchors, sorted(facts.anchors)), anchors.tried)


def trust_nss(facts: Facts, authority: Authority, certificate: Path) -> Plan:
    """Has each of the user's NSS databases trust the certificate for web servers, and no older authority.

    Raises ValueError, in words, where there is none, or no tool for it.
    """
    _need_certutil(facts)
    name = label(authority)
    steps: list[Step] = []
    for database, names in sorted(facts.nss.items()):
        steps += [_from_nss(database, old) for old in names if old != name]
        if name not in names:
            steps.append(("certutil", "-A", "-d", f"sql:{database}", "-n", name, "-t", "C,,", "-i", str(certificate)))
    return Plan("NSS", tuple(steps))


def untrust_nss(facts: Facts) -> Plan:
    """Takes all our authorities out of the user's NSS databases. Raises ValueError, as `trust_nss` does."""
    _need_certutil(facts)
    return Plan(
        "NSS", tuple(_from_nss(database, name) for database, names in sorted(facts.nss.items()) for name in names)
    )


def trusting(facts: Facts, authority: Authority) -> tuple[str, ...]:
    """The stores that have this authority: a file among the system's anchors, the keychain, NSS databases."""
    name = label(authority)
    return (
        *sorted(path for path, data in facts.anchors.items() if data == authority.certificate),
        *([KEYCHAIN] if name in facts.keychain else []),
        *sorted(database for database, names in facts.nss.items() if name in names),
    )


def label(authority: Authority) -> str:
    """What the authority is called in stores, by which it is found again: `Understudy 1a2b3c4d`."""
    return authority.name if OURS.fullmatch(authority.name) else f"{NAME} {authority.fingerprint[:8]}"


def _anchors_of(facts: Facts) -> Anchors:
    for anchors in ANCHORS:
        if anchors.folder in facts.folders and anchors.gather[0] in facts.tools:
            return anchors
    raise ValueError(
        "the system's store of certificates was not found here; on Linux the package ca-certificates brings it"
    )


def _system_plan(facts: Facts, store: str, steps: Iterable[Step], tried: bool) -> Plan:
    if facts.uid == 0:
        return Plan(store, tuple(steps), tried)
    as_root = tuple(("sudo", *step) for step in steps)
    if as_root and "sudo" not in facts.tools:
        raise ValueError(f"the system's store is changed by root, and there is no sudo; have root run: {shown(steps)}")
    return Plan(store, as_root, tried)


def shown(steps: Iterable[Step]) -> str:
    """Command lines as one would type them."""
    return "; ".join(map(shlex.join, steps))


def _gone(facts: Facts, anchors: Anchors, paths: list[str]) -> list[Step]:
    if not paths:
        return []
    java = [f"-/etc/ssl/certs/{Path(path).stem}.pem" for path in paths] if facts.java else []
    # Debian's --fresh does not tell Java what has gone.
    told: list[Step] = [("sh", "-c", f"printf '%s\\n' {' '.join(java)} | {JAVA_HOOK}")] if java else []
    return [("rm", "-f", *paths), anchors.gather_less, *told]


def _from_keychain(name: str) -> Step:
    return ("security", "delete-certificate", "-c", name, "-t", KEYCHAIN)


def _from_nss(database: str, name: str) -> Step:
    return ("certutil", "-D", "-d", f"sql:{database}", "-n", name)


def _need_certutil(facts: Facts) -> None:
    if "certutil" not in facts.tools:
        raise ValueError("there is no certutil, which changes NSS databases; Debian has it in libnss3-tools")
    if not facts.nss:
        raise ValueError("there is no NSS database of yours; start the browser once")

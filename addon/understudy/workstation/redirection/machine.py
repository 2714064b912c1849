"""What this machine says of itself: control groups, addresses, users, processes."""

import os
import pwd
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

from understudy.state.own_address import is_own
from understudy.state.runtime import Runtime, runtimes
from understudy.workstation.confdir import Confdir
from understudy.workstation.redirection.redirect import OtherUser, Selector


class Impossible(Exception):
    """The redirection cannot be made, or would do harm; the message says why, and what to do."""


class NoListener(Impossible):
    """No running proxy takes redirected connections. `running`: one that could be started anew, to take them."""

    def __init__(self, why: str, running: Runtime | None = None) -> None:
        super().__init__(why)
        self.running = running


def cgroup_mount() -> str:
    """Where version 2 of control groups is mounted. Raises Impossible."""
    try:
        lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        lines = []
    # proc_pid_mountinfo(5): root, mount point, ..., a hyphen, type.
    mounts = [fields[4] for fields in lines if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/"]
    if not mounts:
        raise Impossible("no control groups of version 2 are mounted here; choose the programs by --user instead")
    return min(mounts, key=len)


def cgroup_of(pid: int) -> str | None:
    """The path of a process's group in version 2, or None where that is not known."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def catches(selector: Selector, pid: int) -> bool:
    """Whether what this process of our own user connects to is redirected; also where that cannot be known."""
    if isinstance(selector, OtherUser):
        return selector.uid == os.geteuid()
    membership = cgroup_of(pid)
    return membership is None or selector.holds(membership)


def words_of(pid: int) -> tuple[str, ...]:
    """The command line of a process; empty where there is none."""
    try:
        if sys.platform != "darwin":
            return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0"))
        told = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
        return tuple(told.stdout.split())
    except OSError:
        return ()


def leader_of(pid: int) -> int | None:
    """The process that leads this one's group of processes, or None where there is none."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def members_of(group: str) -> tuple[int, ...]:
    """The processes in a control group, given by its folder, and in those below it."""
    try:
        return tuple(int(pid) for procs in Path(group).rglob("cgroup.procs") for pid in procs.read_text().split())
    except OSError:
        return ()


def boot() -> str:
    """This boot of the machine; empty where the system does not number them."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def number_of(folder: str) -> int | None:
    """The number of a control group, or None where there is none."""
    try:
        return Path(folder).stat().st_ino
    except OSError:
        return None


def other_user(name: str, proxy_uid: int) -> OtherUser:
    """The user of this name. Raises Impossible where there is none, or where it is the proxy's own."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Impossible(f"there is no user {name}") from None
    if uid == proxy_uid:
        raise Impossible(f"{name} runs the proxy itself: its own calls would come back to it. Choose another user.")
    return OtherUser(name, uid)


def transparent_proxy(home: Path) -> tuple[Runtime, tuple[int, int]]:
    """The running proxy that takes redirected connections, and its ports on 127.0.0.1 and ::1. Raises NoListener."""
    running = [each for each in runtimes(home) if each.owner is None]
    for runtime in running:
        if ports := transparent_ports(runtime):
            return runtime, ports
    if running:
        raise NoListener(
            "the running proxy takes no redirected connections on both 127.0.0.1 and ::1; run: "
            "understudy restart --transparent",
            running[0],
        )
    raise NoListener(
        "no proxy is running, and what is redirected would be refused; run: understudy start --transparent"
    )


def transparent_ports(runtime: Runtime) -> tuple[int, int] | None:
    """Where it takes redirected connections: on 127.0.0.1, and on ::1. None unless it does on both."""
    ports = {each.host: each.port for each in runtime.listeners if each.mode == "transparent"}
    return (ports["127.0.0.1"], ports["::1"]) if {"127.0.0.1", "::1"} <= set(ports) else None


def certificate_of(runtime: Runtime) -> str:
    """The certificate that programs trust the proxy by (PEM). Raises Impossible."""
    path = Path(runtime.confdir) / Confdir(Path()).certificate.name
    try:
        return path.read_text()
    except OSError as error:
        raise Impossible(f"cannot read the proxy's certificate {path}: {error.strerror}") from None


def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a name, IPv4 and IPv6. Raises Impossible where there are none, or one that must not be ours."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        raise Impossible(f"the addresses of {host} are not known: the name service has none, or is not there") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if why := unfit(address):
            raise Impossible(f"{host} leads to {address}, which is {why}; nothing is redirected")
    return addresses


def unfit(address: str) -> str:
    """Why connections to an address are not to be redirected, in words; empty where they may."""
    parsed = ip_address(address)
    kinds = ("loopback", "link_local", "multicast", "unspecified")
    kind = next((kind for kind in kinds if getattr(parsed, f"is_{kind}")), "")
    if kind:
        return f"a {kind.replace('_', '-')} address"
    return "an address of this machine" if is_own(address) else ""

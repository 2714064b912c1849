"""What is redirected: whose connections, to which addresses, to which ports of the proxy."""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The programs in a control group (cgroup v2), and in those below it."""

    mount: str
    """Where the hierarchy is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` where v1 is mounted beside it."""
    path: str
    """Below the mount, without slashes at its ends."""
    systemd: bool = False
    """It is a slice of the user's systemd, which alone puts programs there; else a folder that root has made."""

    @property
    def folder(self) -> str:
        """Where it is in the file system."""
        return f"{self.mount}/{self.path}"

    @property
    def level(self) -> int:
        """How deep it lies: 1 for a child of the root."""
        return self.path.count("/") + 1

    def holds(self, membership: str) -> bool:
        """Whether a process is caught, by the path that `/proc/PID/cgroup` has for version 2."""
        return f"{membership}/".startswith(f"/{self.path}/")


@dataclass(frozen=True, slots=True)
class OtherUser:
    """The connections of a user who is not the proxy's."""

    name: str
    uid: int


Selector: TypeAlias = Cgroup | OtherUser


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirection. A user has one at most."""

    owner: int
    """The uid of the proxy's user."""
    selector: Selector
    ports: tuple[int, int]
    """The proxy's, in transparent mode, on 127.0.0.1 and on ::1."""
    hosts: tuple[str, ...]
    """The names whose addresses are redirected."""
    addresses: tuple[str, ...]
    """Theirs, as far as they are known."""
    every_address: bool
    """Port 443 is redirected whatever the address; what is not for `hosts` passes through the proxy undecrypted."""
    token: str
    """Eight hexadecimal digits that tell one `up` from the next, so that an old refresher ends."""

    @property
    def name(self) -> str:
        """Of everything that is made: table, chains, anchor, refresher."""
        return name_of(self.owner)

    def other_than(self, hosts: Collection[str]) -> tuple[str, ...]:
        """In what it is not for `hosts`, which the proxy claims; sentences."""
        if self.every_address:
            return ()
        missing, extra = (
            ", ".join(sorted(each)) for each in (set(hosts) - set(self.hosts), set(self.hosts) - set(hosts))
        )
        return (
            *([f"the proxy serves {missing} by now, to which connections are not redirected"] if missing else []),
            *([f"connections to {extra} are redirected, which the proxy does not serve any more"] if extra else []),
        )

    def of_family(self, version: int) -> tuple[str, ...]:
        """The addresses of IPv4 (4) or IPv6 (6)."""
        return tuple(address for address in self.addresses if ip_address(address).version == version)


def name_of(owner: int) -> str:
    """What everything is called that is made for a user."""
    return f"understudy_{owner}"

"""Networks that a test makes for itself: network namespaces, in which whatever it starts finds itself. Needs root."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from support.proxy import clean_environment

_NETWORK = 0x40000000
"""CLONE_NEWNET (setns(2))."""
_HOLD = """\
mount --bind {folder}/hosts /etc/hosts && mount --bind {folder}/nsswitch /etc/nsswitch.conf && echo up && exec cat
"""
LIMIT = 90.0
"""Seconds that a command may take."""


class Namespace:
    """A network with nothing in it but loopback, and an /etc/hosts of its own, which alone knows names.

    Both are gone with the last process in there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        (folder / "nsswitch").write_text("passwd: files\ngroup: files\nhosts: files\n")
        self._hold = ["unshare", "--net", "--mount", "sh", "-c", _HOLD.format(folder=folder)]

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(self._hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n"
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        with self._holder:
            pass

    @property
    def pid(self) -> int:
        """A process in there."""
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """The command that runs this one in there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--", *words]

    def run(
        self,
        *words: str,
        check: bool = True,
        stdin: str = "",
        user: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command in there to its end."""
        as_user = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        done = subprocess.run(
            self.command(*as_user, *words),
            input=stdin,
            env=clean_environment(**(environ or {})),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets and threads that are made meanwhile, by this thread, are in there, for good."""
        with Path("/proc/thread-self/ns/net").open() as here, Path(f"/proc/{self.pid}/ns/net").open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())


def joined(one: Namespace, addresses: Sequence[str], other: Namespace, others: Sequence[str]) -> None:
    """Lays a cable. `addresses`, `others`: each end's own, with prefix lengths. All else is at the other end."""
    one.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(other.pid))
    for end, own in ((one, addresses), (other, others)):
        for address in own:
            end.run("ip", "address", "add", address, "dev", "cable", *(["nodad"] if ":" in address else []))
        end.run("ip", "link", "set", "cable", "up")
        for family in ("-4", "-6"):
            end.run("ip", family, "route", "add", "default", "dev", "cable")


def missing(programs: Sequence[str]) -> str:
    """Why no namespaces can be made here, in words; empty where they can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    absent = [name for name in programs if subprocess.run(["which", name], capture_output=True).returncode]
    if absent:
        return f"{', '.join(absent)} is missing"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    return tried.stderr.strip()


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


if sys.platform != "linux":
    raise ImportError("namespaces are Linux's")

"""What the checks look at: this machine, this user's folder and this shell, each part read once and on demand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.doctor import reading
from understudy.doctor.belongings import stranger
from understudy.state.runtime import Runtime
from understudy.workstation.confdir import Confdir

if TYPE_CHECKING:  # so that a check on what is installed runs where it is not
    from understudy.oauth.formats.found import Found
    from understudy.pool.pool import Pool
    from understudy.state.board import Board


@dataclass(frozen=True, slots=True)
class LoginFile:
    """A login file of another program."""

    program: str
    path: Path
    found: "Found"


@dataclass(frozen=True, slots=True)
class Stored:
    """The pool, or why there is none to be read (in words for the user)."""

    pool: "Pool | None"
    trouble: str = ""
    newer: bool = False
    """Whether another version of Understudy wrote it."""
    command: str = "understudy accounts quarantine"
    """What to run where there is none."""


@dataclass(frozen=True)
class Machine:
    """`home`: Understudy's folder. `user_home`: the user's. `now`: epoch seconds."""

    home: Path
    environ: Mapping[str, str]
    user_home: Path
    now: float
    port: int
    """Where a proxy listens unless it is told otherwise."""
    login_files: Callable[[], Sequence[LoginFile]] = field(default=lambda: (), repr=False)
    """Finds those of other programs."""

    @property
    def confdir(self) -> Confdir:
        """Where the certificate authority is that Understudy makes."""
        return Confdir(self.home)

    @cached_property
    def stranger(self) -> str:
        """Why `home` is not Understudy's folder, in words; empty where it is. Then nothing in it is changed."""
        return stranger(self.home, self.user_home)

    @cached_property
    def running(self) -> reading.Running:
        """What the proxies of this user tell."""
        return reading.running(self.home)

    @property
    def proxies(self) -> tuple[Runtime, ...]:
        """Those that run now, the one that was started last first."""
        return self.running.proxies

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Whose calls are to be ours: by the running proxy's options, or else by those that one would start with."""
        from mitmproxy.exceptions import OptionsError

        from understudy.doctor.settings import in_files
        from understudy.proxy.claim import scope_of
        from understudy.proxy.options import DEFAULT_SCOPE
        from understudy.proxy.values import read_hosts

        try:
            if self.proxies:
                return frozenset(self.proxies[0].hosts)
            told = {name: value for name, (value, _) in in_files(self.confdir.path).items()}
            hosts = read_hosts(str(told["codex_hosts"])) if "codex_hosts" in told else DEFAULT_SCOPE.hosts
            return scope_of(hosts, capture_chatgpt=bool(told.get("codex_capture_chatgpt")), traces=True).all
        except (OptionsError, ValueError):
            return DEFAULT_SCOPE.hosts  # What is wrong with it is the config file's own check to say.

    @cached_property
    def stored(self) -> Stored:
        """The pool on disk, which is not put into quarantine where it is broken."""
        from understudy.pool.pool import Pool
        from understudy.state.errors import StateError, StoreNewer
        from understudy.state.vault import Vault

        path = self.home / "accounts.json"
        try:
            data = reading.read(path)
            if data is not None:
                return Stored(Vault(None).open(data).pool)
        except StoreNewer as error:
            return Stored(None, str(error), newer=True)
        except StateError as error:
            return Stored(None, str(error), command="understudy accounts list")  # The keychain does not answer.
        except ValueError as error:
            return Stored(None, f"{path} cannot be used: {error}")
        backup = path.with_name("accounts.json.bak")
        if backup.is_file():
            return Stored(None, f"{path} is missing, but its backup is there")
        return Stored(Pool())

    @cached_property
    def board(self) -> "Board | None":
        """The figures on disk; None where there are none. Raises ValueError where they cannot be read."""
        from understudy.state.board import decode

        data = reading.read(self.home / "quota.json")
        return None if data is None else decode(data)

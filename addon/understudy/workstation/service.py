"""The proxy as a service of the user's own: what is to run, and the commands that systemd and launchd are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.workstation.ending import DRAIN

UNIT = "understudy.service"
RESTART = ("systemctl", "--user", "restart", UNIT)
"""systemd's name for it."""
LABEL = "understudy.proxy"
"""launchd's."""
MARK = "Made by `understudy service install`; `understudy service remove` takes it away."
"""What tells our file from one that somebody else has put in its place."""
STOP_LIMIT = int(DRAIN) + 15
"""Seconds from being told to stop until it is killed: running answers end first."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A command that is to be run."""

    command: Command
    may_fail: bool = False
    """Whether there may be nothing for it to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run."""

    python: Path
    """The Python that this package is installed for, as it was called: a venv's own."""
    home: Path
    """Our folder. It must exist before the service starts."""
    port: int
    """Where it listens, and nowhere else: programs have been told."""
    environment: Mapping[str, str]
    """What it needs to be told beside that; see `environment`."""

    @property
    def words(self) -> Command:
        """The command, in the foreground."""
        return (str(self.python), "-m", "understudy", "start", "--port", str(self.port))

    @property
    def is_temporary(self) -> bool:
        """Whether any of it lies in a folder for temporary files."""
        return any(path.is_relative_to(root) for path in (self.python, self.home) for root in ("/tmp", "/var/tmp"))


def environment(home: Path, package: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What a service needs to be told of this shell's environment, because a login knows nothing of it.

    `home`: our folder; `package`: the one that our package lies in.
    """
    told = {}
    if environ.get("UNDERSTUDY_HOME") or environ.get("XDG_DATA_HOME"):
        told["UNDERSTUDY_HOME"] = str(home)
    if str(package) in environ.get("PYTHONPATH", "").split(":"):
        told["PYTHONPATH"] = str(package)
    return told


@dataclass(frozen=True, slots=True)
class Manager:
    """What runs services for a user, and how it is asked to."""

    name: str
    run_by_us: bool
    """Whether it was ever run where this was written."""
    file: Path
    """Where the service is described."""
    made: tuple[Path, ...]
    """What `install` makes beside the file, and `remove` removes."""
    answers: Command
    """Ends with 0 where the manager is there."""
    start: tuple[Step, ...]
    """To do it again changes nothing."""
    renew: tuple[Step, ...]
    """Before that, where the file has changed."""
    stop: tuple[Step, ...]
    """Before the file is removed."""
    forget: tuple[Step, ...]
    """After that."""
    state: Command
    logs: Callable[[int, bool], Command]
    """Shows the last lines, and follows where the second argument says so."""
    stay: Command | None
    """What the user may want to do to have it run without a login, or None where there is nothing to do."""


def systemd(config: Path) -> Manager:
    """The user's systemd. `config`: $XDG_CONFIG_HOME, or ~/.config."""
    units = config / "systemd" / "user"
    control = ("systemctl", "--user")
    return Manager(
        name="systemd",
        run_by_us=True,
        file=units / UNIT,
        made=(units / "default.target.wants" / UNIT,),
        answers=(*control, "show-environment"),
        start=(Step((*control, "enable", UNIT)), Step((*control, "start", UNIT))),
        renew=(Step((*control, "daemon-reload")), Step((*control, "try-restart", UNIT))),
        stop=(Step((*control, "disable", "--now", UNIT)),),
        forget=(Step((*control, "daemon-reload")), Step((*control, "reset-failed", UNIT), may_fail=True)),
        state=(*control, "show", UNIT, "--property=ActiveState,SubState,Result,MainPID,NRestarts"),
        logs=lambda lines, follow: (
            *("journalctl", "--user", "--unit", UNIT, "--lines", str(lines)),
            *(("--follow",) if follow else ("--no-pager",)),
        ),
        stay=("loginctl", "enable-linger"),
    )


def launchd(user: Path, home: Path, uid: int) -> Manager:
    """The user's launchd. `user`: their home folder; `home`: ours."""
    file = user / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    domain = f"gui/{uid}"
    out = ("launchctl", "bootout", f"{domain}/{LABEL}")
    log = log_file(home)
    return Manager(
        name="launchd",
        run_by_us=False,
        file=file,
        made=(log,),
        answers=("launchctl", "print", domain),
        start=(
            Step(("launchctl", "bootstrap", domain, str(file)), may_fail=True),
            Step(("launchctl", "kickstart", f"{domain}/{LABEL}")),
        ),
        renew=(Step(out, may_fail=True),),
        stop=(Step(out, may_fail=True),),
        forget=(),
        state=("launchctl", "print", f"{domain}/{LABEL}"),
        logs=lambda lines, follow: ("tail", *(("-F",) if follow else ()), "-n", str(lines), str(log)),
        stay=None,
    )


def log_file(home: Path) -> Path:
    """Where launchd puts what the proxy says."""
    return home / "service.log"

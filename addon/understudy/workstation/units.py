"""The service in the words of systemd and of launchd: a unit and a property list, as text."""

import plistlib

from understudy.workstation.service import LABEL, MARK, STOP_LIMIT, Command, Service, log_file

# What every user's systemd can do. Not MemoryDenyWriteExecute: mitmproxy's TLS makes callbacks while it runs.
HARDENED = f"""\
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
MemoryHigh=768M
MemoryMax=1G
TasksMax=256
KillMode=mixed
TimeoutStopSec={STOP_LIMIT}
"""

# What needs user namespaces, which some systems do not give to users: there the service would not start. Not what wants
# a /proc or /sys of its own (ProtectProc, ProtectKernelTunables, ...): for a user that empties /run, where many systems
# have resolv.conf.
CONFINED = """\
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectClock=yes
ProtectHostname=yes
CapabilityBoundingSet=
"""
PRIVATE_TMP = "PrivateTmp=yes"
"""It would hide our folder, or the Python, from the service where they are temporary themselves."""


def probe() -> Command:
    """Ends with 0 where the user's systemd can confine a service."""
    options = [word for line in CONFINED.splitlines() for word in ("--property", line)]
    return ("systemd-run", "--user", "--quiet", "--wait", "--collect", *options, "true")


def unit(service: Service, *, confined: bool) -> str:
    """The unit for the user's systemd. `confined`: whether it can have namespaces of its own (see `probe`).

    Raises ValueError for a path that no unit can name.
    """
    lines = [f"Environment={_escaped(f'{name}={value}')}" for name, value in service.environment.items()]
    if confined:
        lines += [line for line in CONFINED.splitlines() if line != PRIVATE_TMP or not service.is_temporary]
        lines.append(f"ReadWritePaths={_escaped(str(service.home))}")
    # The colon: no `$` in it is a variable.
    command = " ".join(_escaped(word) for word in _runnable(service.words))
    return f"""\
# {MARK}
[Unit]
Description=Understudy: OpenAI Responses calls, carried out by your ChatGPT accounts
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart=:{command}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
{"".join(f"{line}{chr(10)}" for line in lines)}{HARDENED}
[Install]
WantedBy=default.target
"""


def agent(service: Service) -> str:
    """The property list for the user's launchd. Raises ValueError for a path that none can name."""
    for word in (*service.words, *service.environment.values()):
        _check(word)
    told = {
        "Label": LABEL,
        "ProgramArguments": list(service.words),
        "EnvironmentVariables": dict(service.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": STOP_LIMIT,
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "StandardOutPath": str(log_file(service.home)),
        "StandardErrorPath": str(log_file(service.home)),
    }
    head, plist, rest = plistlib.dumps(told).decode().partition("<plist")
    return f"{head}<!-- {MARK} -->\n{plist}{rest}"


def _runnable(words: Command) -> Command:
    """systemd takes no program whose path has a quote or a backslash; the shell does."""
    if not set(words[0]) & set("'\"\\"):
        return words
    return ("/bin/sh", "-c", 'exec "$0" "$@"', *words)


def _escaped(word: str) -> str:
    """One word of a setting."""
    escaped = _check(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _check(word: str) -> str:
    """Raises ValueError for what no such file can hold."""
    if not word.isprintable():
        raise ValueError(f"a service cannot be told of a path with such characters: {word!r}")
    return word

"""Says which program listens on a port of this machine, where Linux shows it to us: a help for the user, no more."""

from collections.abc import Iterator
from pathlib import Path

from understudy.wire.text import safe_text

_LISTENING = "0A"
"""TCP state in `/proc/net/tcp` (Linux, proc_net_tcp.txt)."""


def port_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """The name of the program that listens on `port`, or None where it cannot be seen, as of another user's."""
    tables = [_text(proc / "net" / name) for name in ("tcp", "tcp6")]
    links = {f"socket:[{inode}]" for table in tables for inode in listening(table, port)}
    if not links:
        return None
    return next((_program(process) for process in _processes(proc) if _has_open(process, links)), None) or None


def listening(table: str, port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on `port`, from the text of `/proc/net/tcp` or `tcp6`."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENING and fields[1].endswith(f":{port:04X}"):
            yield fields[9]


def _processes(proc: Path) -> Iterator[Path]:
    try:
        yield from (entry for entry in proc.iterdir() if entry.name.isdigit())
    except OSError:
        return


def _has_open(process: Path, links: set[str]) -> bool:
    try:
        return any(_link(descriptor) in links for descriptor in (process / "fd").iterdir())
    except OSError:  # another user's process, or one that has just ended
        return False


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _program(process: Path) -> str:
    """The name alone: what else is in a command line is not ours to show."""
    program = _text(process / "cmdline").partition("\0")[0]
    return safe_text(Path(program).name, 40)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

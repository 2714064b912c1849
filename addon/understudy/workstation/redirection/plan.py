"""What `up` and `down` do as root, as commands: `--dry-run` prints these, and nothing else is ever carried out as root.

None of them runs code that the user's account could change later: the refresher of addresses is a text that `sh` gets.
"""

from collections.abc import Mapping
from typing import TypeAlias

from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector
from understudy.workstation.redirection.step import Step
from understudy.workstation.redirection.tools import Tool

Refreshers: TypeAlias = Mapping[int, str]
"""Processes that keep addresses fresh, with what they are called (`marker`)."""

SLICE = "understudy.slice"
KEEPER = "understudy-keep.service"


def group_of(owner: int, mount: str) -> Cgroup:
    """The control group that is made for a user's programs. Root alone can remove it, so its number stays."""
    return Cgroup(mount, f"understudy-{owner}")


def slice_of(owner: int, mount: str) -> Cgroup:
    """The slice of the user's own systemd: programs get there without root. Not run by us."""
    return Cgroup(mount, f"user.slice/user-{owner}.slice/user@{owner}.service/{SLICE}", systemd=True)


def up(redirect: Redirect, tool: Tool, refreshers: Refreshers) -> tuple[Step, ...]:
    """Makes everything, or makes it whole again. The last step prints the refresher's process id.

    `refreshers`: those of earlier times.
    """
    return (*_stop(refreshers), *_group(redirect.selector), *tool.apply(redirect), _refresh(redirect, tool))


def down(name: str, selector: Selector, tool: Tool, refreshers: Refreshers) -> tuple[Step, ...]:
    """Removes everything that `up` made. A refresher that is not known ends by itself."""
    return (*_stop(refreshers), *tool.remove(name), *_ungroup(selector))


def keeps(membership: str | None) -> bool:
    """Whether a process is what keeps a slice, by the path that `/proc/PID/cgroup` has for version 2."""
    return membership is not None and membership.endswith(f"/{KEEPER}")


def enter(group: Cgroup, pid: int | str) -> Step:
    """Puts a process, and what it starts from then on, into the group. `pid`: or a word for it, to be shown."""
    return Step("enter the group", ("sh", "-c", 'echo "$0" > "$1"', str(pid), f"{group.folder}/cgroup.procs"))


def in_slice(program: tuple[str, ...]) -> tuple[str, ...]:
    """The command that has the user's systemd start a program in the slice. Not run by us."""
    return ("systemd-run", "--user", "--scope", "--quiet", f"--slice={SLICE}", "--", *program)


def marker(redirect: Redirect) -> str:
    """What the refresher is called in the list of processes."""
    return f"{redirect.name}:{redirect.token}"


_START = """\
loop=$1 group=$2
shift 2
[ -z "$group" ] || echo $$ > "$group"
$(command -v setsid || echo nohup) sh -c "$loop" "$0" "$@" < /dev/null > /dev/null 2>&1 &
echo $!
"""
"""The refresher stays in the group, so that not even root removes it by mistake."""

_KEEP = """\
systemctl --user is-active --quiet "$0" ||
	systemd-run --user --quiet --collect --slice="$1" --unit="$0" sleep infinity
"""
"""A slice's group is gone with the last program in it, and the next one has another number."""

_STOP = """\
if tr "\\0" "\\n" < "/proc/$0/cmdline" | grep -qxF "$1"; then kill -s TERM -- "-$0"; fi 2> /dev/null
"""
"""It leads a group of processes."""

_EMPTY = """\
for again in 1 2 3 4 5 6 7 8 9 10; do
	[ -d "$0" ] && ! rmdir "$0" 2> /dev/null && sleep 0.1
done
true
"""
"""A group can be removed once the last process in it has ended. Where programs run in it, it stays, without effect."""


def _stop(refreshers: Refreshers) -> tuple[Step, ...]:
    return tuple(Step("end the refresher", ("sh", "-c", _STOP, str(pid), name)) for pid, name in refreshers.items())


def _group(selector: Selector) -> tuple[Step, ...]:
    match selector:
        case Cgroup(systemd=True):
            return (Step("make the slice, and keep it", ("sh", "-c", _KEEP, KEEPER, SLICE), root=False),)
        case Cgroup() as group:
            return (Step("make the control group", ("mkdir", "-p", group.folder)),)
        case OtherUser():
            return ()


def _ungroup(selector: Selector) -> tuple[Step, ...]:
    match selector:
        case Cgroup(systemd=True):
            return (Step("let go of the slice", ("systemctl", "--user", "stop", KEEPER), root=False),)
        case Cgroup() as group:
            return (Step("remove the control group", ("sh", "-c", _EMPTY, group.folder)),)
        case OtherUser():
            return ()


def _refresh(redirect: Redirect, tool: Tool) -> Step:
    group = redirect.selector
    procs = f"{group.folder}/cgroup.procs" if isinstance(group, Cgroup) and not group.systemd else ""
    argv = ("sh", "-c", _START, marker(redirect), tool.refresher(redirect), procs, *redirect.hosts)
    return Step("keep the addresses fresh", argv)

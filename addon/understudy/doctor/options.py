"""Whether mitmproxy's configuration files say what a proxy of ours can start with, and are those that it reads."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from understudy.doctor.check import Check, Result, bad, ok, warn
from understudy.doctor.folder import quoted
from understudy.doctor.machine import Machine


def config(machine: Machine) -> Result:
    """Whether the files of a proxy that `understudy start` starts are harmless and understood."""
    from mitmproxy.exceptions import OptionsError

    from understudy.doctor.settings import FILES, faults_of, in_files, shut

    folder = machine.confdir.path
    try:
        found = in_files(folder)
    except OptionsError as error:
        broken = next((path for name in FILES if str(error).startswith(str(path := folder / name) + " ")), folder)
        return bad(str(error), "No proxy starts with it.", f"mv {quoted(broken)} {quoted(broken)}.old")
    values = {name: value for name, (value, _) in found.items()}
    return judge_config({name: file for name, (_, file) in found.items()}, faults_of(values) | shut(values))


def judge_config(found: Mapping[str, str], faults: Mapping[str, str]) -> Result:
    """`found`: the options that are set, with their files; `faults`: what is wrong with some of them."""
    from understudy.doctor.settings import WARNINGS

    words = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    files = " and ".join(dict.fromkeys(found[name] for name in faults if name in found))
    if set(faults) - WARNINGS:
        return bad(
            f"{files} has options that are dangerous or not understood: {words}",
            "A proxy reads this as it starts; with some of them it does not start, or no program reaches it.",
            "understudy config show",
        )
    if faults:
        return warn(f"{files}: {words}", "Programs get an error (407) in place of an answer.", "understudy config show")
    return ok("its options are understood" if found else "there is none, or none is set in it")


def stray(machine: Machine) -> Result:
    """Whether options of ours are in the files that mitmproxy reads by itself, and a proxy of ours does not."""
    from mitmproxy.exceptions import OptionsError

    from understudy.doctor.settings import in_files

    try:
        found = in_files(machine.user_home / ".mitmproxy")
    except OptionsError:
        found = {}
    ours = [(name, file) for name, (_, file) in found.items() if name.startswith("codex_")]
    return judge_stray([name for name, _ in ours], [*dict.fromkeys(file for _, file in ours)], machine.confdir.path)


def judge_stray(names: Collection[str], files: Sequence[str], ours: Path) -> Result:
    """`names`: the options of ours that are in other `files`."""
    if names:
        return warn(
            f"{' and '.join(files)} has {', '.join(sorted(names))}",
            f"`understudy start` and `understudy run` do not read that, but the file of this name in {ours}.",
            f"cp {' '.join(map(shlex.quote, files))} {quoted(ours)}/",
        )
    return ok("no option of ours is where it is not read")


CHECKS = (Check("config file", config), Check("stray options", stray))

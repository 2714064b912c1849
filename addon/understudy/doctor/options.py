"""Whether mitmproxy's configuration files say what a proxy of ours can start with, and are those that it reads."""

from collections.abc import Collection, Mapping
from pathlib import Path

from understudy.doctor.check import Check, Result, bad, ok, warn
from understudy.doctor.folder import quoted
from understudy.doctor.machine import Machine


def config(machine: Machine) -> Result:
    """Whether the `config.yaml` of a proxy that `understudy start` starts is harmless and understood."""
    from mitmproxy.exceptions import OptionsError

    from understudy.doctor.settings import faults_of, in_file

    path = machine.confdir.config
    try:
        found = in_file(path)
    except OptionsError as error:
        return bad(f"{path} {error}", "No proxy starts with it.", f"rm {quoted(path)}")
    return judge_config(path, found, faults_of(found))


def judge_config(path: Path, found: Collection[str], faults: Mapping[str, str]) -> Result:
    """`found`: the options in the file; `faults`: what is wrong with some of them."""
    if faults:
        words = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        return bad(
            f"{path} has options that are dangerous or not understood: {words}",
            "A proxy reads this file as it starts; with some of them it does not start.",
            "understudy config show",
        )
    return ok("its options are understood" if found else "there is none, or none is set in it")


def stray(machine: Machine) -> Result:
    """Whether options of ours are in the file that mitmproxy reads by itself, and a proxy of ours does not."""
    from mitmproxy.exceptions import OptionsError

    from understudy.doctor.settings import in_file

    path = machine.user_home / ".mitmproxy" / "config.yaml"
    try:
        found = in_file(path)
    except OptionsError:
        found = {}
    return judge_stray(path, [name for name in found if name.startswith("codex_")], machine.confdir.config)


def judge_stray(stray: Path, names: Collection[str], ours: Path) -> Result:
    """`names`: the options of ours that are in the file `stray`."""
    if names:
        return warn(
            f"{stray} has {', '.join(sorted(names))}",
            f"`understudy start` and `understudy run` do not read that file, but {ours}.",
            f"cp {quoted(stray)} {quoted(ours)}",
        )
    return ok("no option of ours is where it is not read")


CHECKS = (Check("config file", config), Check("stray options", stray))

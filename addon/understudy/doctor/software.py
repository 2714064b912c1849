"""What is installed: Python, mitmproxy and the libraries, and whether script, package and running proxies are one."""

import importlib
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from understudy import __version__, needs
from understudy.doctor.check import Check, Result, bad, ok
from understudy.doctor.machine import Machine
from understudy.state.runtime import Runtime
from understudy.workstation.installation import script_path

PIP = f"{shlex.quote(sys.executable)} -m pip install"
"""For the Python that runs."""
NOT_TRIED = "Understudy is not tested with it: requests may fail, or go out as they came."


def missing() -> tuple[str, ...]:
    """The modules that Understudy needs and that cannot be imported."""
    return tuple(module for module in ("mitmproxy", *needs.PACKAGES) if not _is_there(module))


def _is_there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def python(machine: Machine) -> Result:
    """Whether this Python is supported."""
    command = "pipx reinstall --python 3.13 understudy"
    return judge_version("Python", platform.python_version(), f"Python{needs.PYTHON}", command)


def mitmproxy(machine: Machine) -> Result:
    """Whether the mitmproxy that is installed is supported."""
    from mitmproxy.version import VERSION

    return judge_version("mitmproxy", VERSION, needs.MITMPROXY, _cure([needs.MITMPROXY]))


def judge_version(name: str, found: str, needed: str, command: str) -> Result:
    """`needed`: as in `mitmproxy>=11.0.2,<12.3`."""
    if needs.fits(found, needed):
        return ok(f"{name} {found}")
    return bad(f"{name} {found} is not supported; what is: {needed}", NOT_TRIED, command)


def libraries(machine: Machine) -> Result:
    """Whether all that Understudy needs can be imported, and is not too old."""
    absent = missing()
    every = {"mitmproxy": needs.MITMPROXY, **needs.PACKAGES}
    old = (module for module, needed in needs.PACKAGES.items() if not needs.has(module, needed))
    return judge_libraries([every[module] for module in dict.fromkeys((*absent, *old))])


def judge_libraries(lacking: Sequence[str]) -> Result:
    """`lacking`: what is needed and not there, as in `httpx>=0.25`."""
    if not lacking:
        return ok(f"all {len(needs.PACKAGES)} libraries can be loaded")
    return bad(
        f"not there, or too old, for {sys.executable}: {', '.join(lacking)}",
        "mitmdump and understudy run in this Python, and need it there.",
        _cure(lacking),
    )


def _cure(lacking: Sequence[str]) -> str:
    return needs.cure(lacking).removeprefix("run: ")


def replaying(machine: Machine) -> Result:
    """Whether the replaying layer works on this mitmproxy."""
    from mitmproxy.version import VERSION

    try:
        from understudy.proxy.internals import faults
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and not (error.name or "").startswith("mitmproxy"):
            raise
        return judge_layer(("names that are used are not there",), VERSION)
    return judge_layer(faults(), VERSION)


def judge_layer(faults: Sequence[str], version: str) -> Result:
    """`faults`: what of mitmproxy is not as the replaying layer expects it."""
    if not faults:
        return ok(f"the replaying layer works on mitmproxy {version}")
    return bad(
        f"mitmproxy {version} is another inside than the replaying layer expects: {'; '.join(faults)}",
        "No request could be carried out.",
        _cure(["mitmproxy==12.2.3"]),
    )


def in_step(machine: Machine) -> Result:
    """Whether script, package and running proxies are of one version."""
    return judge_step(script_path(), Path(__file__).parents[1], machine.proxies)


def judge_step(script: Path | None, package: Path, proxies: Sequence[Runtime]) -> Result:
    """`script`: what mitmproxy is to load; `package`: the folder that the command runs from."""
    if script is None:
        return bad(
            f"there is no mitmproxy script beside the package in {package}",
            "Without it no proxy can be started.",
            f"{PIP} --force-reinstall understudy",
        )
    others = [proxy for proxy in proxies if proxy.version != __version__]
    if others:
        which = ", ".join(f"process {proxy.pid} has loaded {proxy.version}" for proxy in others)
        return bad(
            f"a running proxy is of another version than this command ({__version__}): {which}",
            "It goes on as it was when it was started, and may read the accounts otherwise.",
            "understudy restart",
        )
    if not proxies:
        return ok(f"script and package {__version__}")
    return ok(f"script, package and running proxies {__version__}")


CHECKS = (
    Check("python", python),
    Check("mitmproxy", mitmproxy),
    Check("libraries", libraries),
    Check("replaying layer", replaying),
    Check("script", in_step),
)

"""The programs that redirect, behind one interface: what each module of them has, and which one this machine has."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from understudy.workstation.redirection import iptables, nft, pf
from understudy.workstation.redirection.redirect import Redirect
from understudy.workstation.redirection.step import Step


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to redirect; pure functions that make commands."""

    program: str
    apply: Callable[[Redirect], tuple[Step, ...]]
    remove: Callable[[str], tuple[Step, ...]]
    look: Callable[[str], Step]
    essence: Callable[[str], str]
    refresher: Callable[[Redirect], str]


TOOLS: Mapping[str, Tool] = {
    "nft": Tool("nft", nft.apply, nft.remove, nft.look, nft.essence, nft.refresher),
    "iptables": Tool("iptables", iptables.apply, iptables.remove, iptables.look, iptables.essence, iptables.refresher),
    "pf": Tool("pfctl", pf.apply, pf.remove, pf.look, pf.essence, pf.refresher),
}
"""By the names that `--tool` takes; the first one that there is, is used."""


def of_this_system(present: Callable[[str], bool], system: str = sys.platform) -> tuple[str, ...]:
    """The names of the tools that this machine has, the better one first. `present`: whether a program is there."""
    names = ("pf",) if system == "darwin" else ("nft", "iptables")
    return tuple(name for name in names if present(TOOLS[name].program))

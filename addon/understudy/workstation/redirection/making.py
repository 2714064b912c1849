"""Makes a redirection, proves it, and takes it back where the proof fails; removes it again."""

import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.workstation.redirection import machine, nft, plan, proof, record
from understudy.workstation.redirection.machine import Impossible
from understudy.workstation.redirection.plan import Refreshers, marker
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.redirect import Cgroup, OtherUser, Redirect, Selector, name_of
from understudy.workstation.redirection.shell import attempt, carry_out, present
from understudy.workstation.redirection.step import Step
from understudy.workstation.redirection.tools import TOOLS, Tool, of_this_system

GONE = "the rules are gone"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of `up`."""

    user: str | None = None
    """Whose connections are redirected; None: those of the programs in the control group."""
    systemd: bool = False
    """The control group is a slice of the user's systemd."""
    every_address: bool = False
    tool: str | None = None
    """One of `TOOLS`; None: the best that there is."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What is asked of `up`, as far as that can be told without a proxy."""

    selector: Selector
    tool: str
    addresses: tuple[str, ...]
    """Those of the hosts."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What `up` is to make, with all that it has found out; nothing is made yet."""

    redirect: Redirect
    tool: str
    certificate: str
    """The proxy's (PEM)."""
    proxy: int
    """Its process."""
    earlier: Refreshers
    """What runs of an earlier `up`."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is carried out."""
        return plan.up(self.redirect, TOOLS[self.tool], self.earlier)

    @property
    def trial(self) -> tuple[Step, ...]:
        """What is carried out before and afterwards, as root or as another user: to look, and to prove it."""
        return (TOOLS[self.tool].look(self.redirect.name), *proof.steps(self.redirect.selector))


def aim(wish: Wish, hosts: Collection[str]) -> Aim:
    """Whether what is asked can be, for `hosts`. Changes nothing. Raises Impossible."""
    selector = _selector(wish, os.geteuid())
    tool = _tool(wish, selector)
    if machine.catches(selector, os.getpid()):
        raise Impossible("this command runs in the group itself: run it from outside")
    return Aim(selector, tool, tuple(dict.fromkeys(address for host in hosts for address in machine.resolve(host))))


def intend(home: Path, wish: Wish) -> Intent:
    """Finds out what `up` is to make, and whether it may. Changes nothing. Raises Impossible, StateError."""
    proxy, ports = machine.transparent_proxy(home)
    aimed, owner = aim(wish, proxy.hosts), os.geteuid()
    if machine.catches(aimed.selector, proxy.pid):
        raise Impossible(f"it would catch the proxy itself (process {proxy.pid}): start the proxy outside of the group")
    token = secrets.token_hex(4)
    redirect = Redirect(owner, aimed.selector, ports, proxy.hosts, aimed.addresses, wish.every_address, token)
    earlier = refreshers(record.read(home), owner, aimed.selector)
    return Intent(redirect, aimed.tool, machine.certificate_of(proxy), proxy.pid, earlier)


@dataclass(frozen=True, slots=True)
class Made:
    """What is there now. `new`: it was not before. `untried`: addresses that there is no way to."""

    record: Record
    new: bool
    untried: tuple[str, ...]


def make(home: Path, intent: Intent) -> Made:
    """Makes it, and proves it. What is there already, and in step, is proved alone.

    sudo may ask. Raises Impossible or Failed: what was made is taken back. Raises StateError.
    """
    known = record.read(home)
    if known is not None and known.boot == machine.boot():
        _must_agree(known, intent)
        if in_step(known, intent.redirect):
            return Made(known, False, _proved(known.redirect, intent.certificate))
    elif known is None and _rules(TOOLS[intent.tool], intent.redirect.name):
        raise Impossible("there are rules that nothing is known of; run: understudy transparent down")
    return _made(home, intent)


def in_step(known: Record, redirect: Redirect) -> bool:
    """Whether what was made is there and does what `redirect` asks; of other addresses the refresher takes care.

    Raises Failed.
    """
    same = replace(known.redirect, addresses=redirect.addresses, token=redirect.token) == redirect
    return same and not faults(known, ask=True)


def faults(known: Record, *, ask: bool) -> tuple[str, ...]:
    """What is wrong with what was made, in sentences. `ask`: sudo may. Raises Failed where only root can look."""
    tool, selector = TOOLS[known.tool], known.redirect.selector
    listing = attempt(tool.look(known.redirect.name), ask=ask)
    if listing is None:
        return (GONE,)
    found = []
    if known.essence is None or tool.essence(listing) != known.essence:
        found.append("the rules are not those that were made")
    if isinstance(selector, Cgroup) and machine.number_of(selector.folder) != known.group:
        found.append("the control group was removed, or made anew: the rules do not know it")
    if marker(known.redirect) not in refreshers(known, known.redirect.owner, selector).values():
        found.append("nothing keeps the addresses fresh")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Removal:
    """What `down` is to remove."""

    steps: tuple[Step, ...]
    running: tuple[int, ...] = ()
    """Who is in the control group still: their calls go out as their own from then on."""


def removal(home: Path, owner: int) -> Removal:
    """What `down` has to do; nothing where nothing is there. sudo may ask. Raises Failed, StateError."""
    known, name = record.read(home), name_of(owner)
    if known is not None and known.boot != machine.boot():
        return Removal(())
    if known is not None:
        selector, tools = known.redirect.selector, [known.tool]
    else:
        selector, tools = _usual_group(owner), [tool for tool in of_this_system(present) if _rules(TOOLS[tool], name)]
    found = refreshers(known, owner, selector)
    steps = tuple(step for tool in tools for step in plan.down(name, selector, TOOLS[tool], found))
    return Removal(steps, _programs(selector, found))


def remove(home: Path, steps: tuple[Step, ...]) -> None:
    """Carries `removal` out. sudo may ask. Raises Failed: then what is recorded stays so."""
    carry_out(steps)
    record.forget(home)


def _made(home: Path, intent: Intent) -> Made:
    redirect, tool = intent.redirect, TOOLS[intent.tool]
    made = Record(redirect, intent.tool, machine.boot())
    record.write(home, made)  # Before anything is there: so that `down` knows of it, however this ends.
    try:
        *_, refresher = carry_out(intent.steps)
        (listing,) = carry_out([tool.look(redirect.name)])
        group = redirect.selector.folder if isinstance(redirect.selector, Cgroup) else ""
        made = replace(
            made,
            essence=tool.essence(listing),
            group=machine.number_of(group) if group else None,
            refresher=int(refresher),
        )
        record.write(home, made)
        return Made(made, True, _proved(redirect, intent.certificate))
    except BaseException:
        found = refreshers(made, redirect.owner, redirect.selector)
        remove(home, plan.down(redirect.name, redirect.selector, tool, found))
        raise


def _proved(redirect: Redirect, certificate: str) -> tuple[str, ...]:
    """The addresses that could not be tried, there being no way to them. Raises Impossible, Failed."""
    # What the proxy's own calls meet first: that the others are answered afterwards shows that it was there to answer.
    outside = proof.from_here(redirect, certificate)
    inside = proof.from_inside(redirect, certificate)
    if found := (*proof.faults_inside(inside), *proof.faults_outside(outside)):
        raise Impossible("it does not work: " + "; ".join(found))
    return proof.unproven(inside)


def _must_agree(known: Record, intent: Intent) -> None:
    if (known.redirect.selector, known.tool) != (intent.redirect.selector, intent.tool):
        raise Impossible("something else is redirected already; first run: understudy transparent down")


def refreshers(known: Record | None, owner: int, selector: Selector) -> dict[int, str]:
    """The refreshers that run: the one that is recorded, and what is in the group of earlier ones."""
    told = known.refresher if known is not None else None
    pids = [] if told is None else [told]
    if isinstance(selector, Cgroup):
        pids += machine.members_of(selector.folder)
    named = ((pid, [word for word in machine.words_of(pid) if word.startswith(f"{name_of(owner)}:")]) for pid in pids)
    # What a refresher starts may be called as it is, for a moment.
    return {pid: words[0] for pid, words in named if words and pid in (told, machine.leader_of(pid))}


def _programs(selector: Selector, found: Collection[int]) -> tuple[int, ...]:
    """Who is in the group beside the refreshers and what they have started."""
    if not isinstance(selector, Cgroup):
        return ()
    ours = {None, *found}
    members = machine.members_of(selector.folder)
    return tuple(
        pid for pid in members if machine.leader_of(pid) not in ours and not plan.keeps(machine.cgroup_of(pid))
    )


def _usual_group(owner: int) -> Selector:
    """Where programs are unless something else is known."""
    try:
        return plan.group_of(owner, machine.cgroup_mount())
    except Impossible:
        return OtherUser("", -1)


def _rules(tool: Tool, name: str) -> bool:
    return attempt(tool.look(name), ask=True) is not None


def _selector(wish: Wish, owner: int) -> Selector:
    if wish.user is not None:
        return machine.other_user(wish.user, owner)
    mount = machine.cgroup_mount()
    return plan.slice_of(owner, mount) if wish.systemd else plan.group_of(owner, mount)


def _tool(wish: Wish, selector: Selector) -> str:
    """Raises Impossible."""
    tools = of_this_system(present)
    if wish.tool is not None and wish.tool not in tools:
        raise Impossible(f"there is no {TOOLS[wish.tool].program} here")
    for tool in (wish.tool,) if wish.tool else tools:
        why = nft.reach(selector) if tool == "nft" else None
        if why is None:
            return tool
    raise Impossible(why if tools else "there is neither nft nor iptables here; install nftables")

"""All that a choice of an account goes by, as a command can know it: the pool, the files, what running proxies tell."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from understudy.cli.network import followed, read_network
from understudy.cli.pool import store
from understudy.pool.affinity import Binding
from understudy.pool.choose import Choice, Exhausted, Rules, choose
from understudy.pool.pool import Pool
from understudy.pool.session import Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import Course
from understudy.pool.vitals import FRESH
from understudy.pool.waiting import worth_waiting
from understudy.state.home import home
from understudy.wire.quota import Snapshot

if TYPE_CHECKING:  # pydantic takes longer to load than `--help` takes
    from understudy.state.running import Record
    from understudy.state.telling import Telling


@dataclass(frozen=True, slots=True)
class Scene:
    """`told`: what one proxy goes by, the pool's pin among it. `sessions`: the latest first."""

    pool: Pool
    standings: tuple[Standing, ...]
    told: "Telling"
    sessions: Sequence[tuple[str, Binding]]
    source: str
    """Whose rules these are, in words."""

    def label(self, account_id: str | None) -> str:
        """The account's label; empty where there is none."""
        return next((account.label for account in self.pool.accounts if account.id == account_id), "")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a proxy would do. `session`: with the model that would serve in the end.

    A request that is let go, or waits, does so whatever `choice` is.
    """

    session: Session
    choice: Choice | Exhausted
    let_go: bool = False
    """The request would go out as it came, under the program's own key."""
    waits_until: float | None = None
    """Epoch seconds until which it would wait for a limit to end."""

    @property
    def what(self) -> str:
        """For machines: served, let_go, waits or refused."""
        if self.let_go:
            return "let_go"
        if self.waits_until is not None:
            return "waits"
        return "served" if isinstance(self.choice, Choice) else "refused"


def read_scene(arguments: argparse.Namespace) -> Scene:
    """The scene as the running proxy has it, or as one would that is started now; with `--set`, by those options.

    Raises WrongUse for options that are none, and StateError.
    """
    from understudy.state.affinity import AffinityFile
    from understudy.state.quota import QuotaCache
    from understudy.state.running import Running
    from understudy.state.telling import Telling, decode

    folder, pool = home(), store().read()
    decoded = ((record, decode(record.told)) for record in Running(folder).all())
    running = sorted(((record, told) for record, told in decoded if told is not None), key=lambda each: each[0].pid)
    told = running[-1][1] if running else Telling(Rules(), Course())
    if arguments.options or not running:
        told = _by_options(told, arguments)
    snapshots = {entry.id: entry.snapshot for entry in QuotaCache(folder).read() or ()}
    standings = _standings(pool, snapshots, told, [other for _, other in running])
    told = told if told.rules.pin else replace(told, rules=replace(told.rules, pin=pool.pin))
    bindings = AffinityFile(folder).read().sessions.at(pool.affinity_generation).sessions
    latest = sorted(bindings.items(), key=lambda item: item[1].used_at, reverse=True)
    return Scene(pool, standings, told, latest, _source([record for record, _ in running], bool(arguments.options)))


def decide(scene: Scene, session: Session, now: float) -> Decision:
    """What the proxy would do with a request that comes at `now` (epoch seconds)."""
    told, asked = scene.told, session.model
    others = told.models.fallbacks(asked)
    for model in (told.models.alias(asked), *others):
        session = replace(session, model=model)
        choice = choose(scene.standings, session, now, told.rules, told.course)
        if isinstance(choice, Choice) or not choice.by_entitlement:
            break
    nobodys = isinstance(choice, Exhausted) and choice.by_entitlement and not others
    if told.passthrough and (told.models.passes_through(asked) or nobodys):
        return Decision(session, choice, let_go=True)
    return Decision(session, choice, waits_until=worth_waiting(choice, now, told.wait))


def _standings(
    pool: Pool, snapshots: Mapping[str, Snapshot | None], told: "Telling", running: Sequence["Telling"]
) -> tuple[Standing, ...]:
    """The accounts as the last of the proxies `running` sees them. `told`: what it tells."""
    claims = sum((Counter(other.claims) for other in running[:-1]), Counter[str]())
    probing = frozenset[str]().union(*(other.probing for other in running))
    return tuple(
        Standing(
            account,
            snapshots.get(account.id),
            told.vitals.get(account.id, FRESH),
            claims[account.id],
            account.id in probing,
            told.apart.get(account.id, frozenset()),
        )
        for account in pool.accounts
    )


def _by_options(told: "Telling", arguments: argparse.Namespace) -> "Telling":
    settings = read_network(arguments)
    return replace(
        told,
        rules=settings.rules,
        wait=settings.wait,
        models=settings.models,
        passthrough=settings.passthrough,
    )


def _source(running: Sequence["Record"], by_options: bool) -> str:
    """Whose rules these are; with `--set`, see `read_network`."""
    if running and not by_options:
        others = f", one of {len(running)}" if len(running) > 1 else ""
        return f"as the running proxy has it (process {running[-1].pid}{others})"
    found = followed()
    if found.proxy is not None:
        return f"by --set over the options of the running proxy (process {found.proxy})"
    said = "by --set; no proxy for all programs is running" if running else "no proxy is running"
    return f"{said}, options of {found.confdir}/config.yaml" if found.confdir else said

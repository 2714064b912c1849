"""`understudy why`: what the next request would use, and why each account may serve it or may not."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from understudy.cli.arguments import CannotDo, Commands, add_command, add_json
from understudy.cli.network import add_network_arguments
from understudy.cli.pool import NO_ACCOUNTS
from understudy.cli.render import age, wrapped
from understudy.cli.scene import Decision, Scene, decide, read_scene
from understudy.pool import edits
from understudy.pool.account import Account
from understudy.pool.affinity import LIFETIME, Binding
from understudy.pool.choose import Choice, Rules, Weighed, weigh
from understudy.pool.ledger import Figures, share
from understudy.pool.obstacles import Obstacle, Why
from understudy.pool.pool import Pool
from understudy.pool.session import Isolation, Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import Strategy, score
from understudy.state.board import session_line
from understudy.wire.text import clock_time, safe_text

MOST_SESSIONS, MOST_IN_JSON = 10, 20


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = add_command(
        commands,
        "why",
        run,
        help="explain which account the next request would use",
        description=(
            "Says which account the next request would use and why, and of every account what keeps it\n"
            "from serving, by the state and the options that the running proxy goes by. With LABEL, of\n"
            "that account alone. Exit code 1 where no account can serve, or the one that is named cannot."
        ),
        example="understudy why home",
    )
    parser.add_argument("label", metavar="LABEL", nargs="?", help="the account's label, or its id")
    parser.add_argument("--model", default="", metavar="MODEL", help="for a request of this model")
    parser.add_argument("--session", default="", metavar="KEY", help="for a session, as the list names it")
    add_json(parser)
    add_network_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the explanation. Exit code 0, or 1 where nobody, or not the account that is named, can serve."""
    scene, now = read_scene(arguments), time.time()
    if not scene.pool.accounts and not arguments.json:
        print(NO_ACCOUNTS, end="")
        return 1
    decision = decide(scene, _session(scene, arguments.model, arguments.session, now), now)
    weighed = weigh(scene.standings, decision.session, now, scene.told.rules)
    if arguments.label is not None:
        account = _named(scene.pool, arguments.label)
        weighed = [(standing, met) for standing, met in weighed if standing.account.id == account.id]
    if arguments.json:
        print(json.dumps(_object(scene, decision, weighed, now), indent=2))
    else:
        print("\n".join(_lines(scene, decision, weighed, now)))
    serves = any(_is_chosen(s, decision) or met is None for s, met in weighed)
    return 0 if decision.what == "served" and serves else 1


def _session(scene: Scene, model: str, name: str, now: float) -> Session:
    """A new session, or the one of that name. Raises CannotDo unless there is exactly one."""
    if not name:
        return Session(model=model)
    found = [binding for key, binding in scene.sessions if key.startswith(name)]
    if len(found) != 1:
        few = "no session is" if not found else f"{len(found)} sessions are"
        raise CannotDo(f"{few} called {safe_text(name)!r}; `understudy why` lists those that are remembered")
    binding, last = found[0], found[0].ledger.last
    bound = binding.account_id if now - binding.used_at <= LIFETIME else None
    maker = last.account_id if last else None
    isolated = scene.told.rules.isolation is not Isolation.OFF
    return Session(
        model=model,
        bound=bound,
        owner=binding.account_id or (maker if isolated else None),
        served=maker if bound else None,
    )


def _named(pool: Pool, name: str) -> Account:
    try:
        return edits.named(pool, name)
    except ValueError as error:
        raise CannotDo(str(error)) from None


def _is_chosen(standing: Standing, decision: Decision) -> bool:
    return isinstance(decision.choice, Choice) and decision.choice.account.id == standing.account.id


# As text


def _lines(scene: Scene, decision: Decision, weighed: Sequence[Weighed], now: float) -> list[str]:
    width = max(len(standing.account.label) for standing, _ in weighed)
    rules = scene.told.rules
    lines = [*wrapped(_headline(decision, now)), ""]
    for standing, met in weighed:
        verdict = _verdict(standing, met, decision, rules, now)
        lines += wrapped(f"  {standing.account.label:{width}}  {verdict}", width + 4)
    lines += ["", *wrapped(f"Strategy {rules.strategy}, isolation {rules.isolation}; {scene.source}.")]
    shown = {standing.account.id for standing, _ in weighed}
    is_one = len(weighed) < len(scene.standings)
    sessions = [each for each in scene.sessions if not is_one or each[1].account_id in shown]
    return lines if decision.session.owner else lines + _session_lines(scene, sessions, now)


def _headline(decision: Decision, now: float) -> str:
    whose = "This session's next request" if decision.session.owner else "The next request of a new session"
    model = f" for {safe_text(decision.session.model)}" if decision.session.model else ""
    choice = decision.choice
    if decision.let_go:
        return f"{whose}{model} would go out as it came, and the program's own key would pay."
    if decision.waits_until is not None:
        return f"{whose}{model} would wait for a limit to end, until {clock_time(decision.waits_until, now)}."
    if isinstance(choice, Choice):
        return f"{whose}{model} would use {choice}."
    # What concerns no account of the pool has no line below.
    reason = next((f" {o.label}: {o.reason}." for o in choice.obstacles if o.why is Why.UNKNOWN), "")
    return f"{whose}{model} would be refused.{reason}"


def _verdict(standing: Standing, met: Obstacle | None, decision: Decision, rules: Rules, now: float) -> str:
    """Whether the account can serve, and what is known of it."""
    if met is None:
        return f"yes, {_fitness(standing, rules, now)}"
    return f"{'if need be' if _is_chosen(standing, decision) else 'no'}: {met.words(now)}"


def _fitness(standing: Standing, rules: Rules, now: float) -> str:
    facts = [f"{standing.left(now):.0f} % left" if standing.snapshot else "nothing known of its quota"]
    if standing.left(now) <= rules.soft_quota and rules.strategy is not Strategy.DRAIN:
        facts.append("no new session while another has more (codex_soft_quota)")
    facts.append(f"score {score(standing, now):.0f}")
    if standing.claims:
        facts.append(f"{standing.claims} running in other processes")
    return ", ".join(facts)


def _session_lines(scene: Scene, sessions: Sequence[tuple[str, Binding]], now: float) -> list[str]:
    if not sessions:
        return []
    cut = f", {MOST_SESSIONS} of {len(sessions)}" if len(sessions) > MOST_SESSIONS else ""
    lines = ["", f"Sessions, the latest first{cut}:"]
    for key, binding in sessions[:MOST_SESSIONS]:
        lines += wrapped(f"  {key[:8]}  {', '.join(_session_facts(scene, binding, now))}", 4)
    return lines


def _session_facts(scene: Scene, binding: Binding, now: float) -> list[str]:
    ledger = binding.ledger
    total = sum(ledger.accounts.values(), Figures())
    cached, moves = share(total), ledger.moves
    facts = [scene.label(binding.account_id) or "on no account", _count(total.requests, "request")]
    if cached is not None:
        facts.append(f"{cached:.0%} cached")
    if moves:
        facts.append(f"{_count(moves, 'move')} that cost {_count(ledger.moved_tokens, 'token')}")
    return [*facts, age(now - binding.used_at)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# As JSON


def _object(scene: Scene, decision: Decision, weighed: Sequence[Weighed], now: float) -> dict[str, object]:
    """`{"version": 1, "outcome": "served", "choice": {"account", "by", "words"} | null, "model", "waits_until",
    "accounts": [{"id", "label", "serves", "why", "reason", "until", "left_percent", "score", "claims"}], "rules":
    {"strategy", "isolation"}, "source", "sessions": [...]}`.

    Outcome is served, waits, refused or let_go, `model` the one that would serve, sessions as in `status_object`; times
    in epoch seconds.
    """
    rules, choice = scene.told.rules, decision.choice
    found = choice if isinstance(choice, Choice) and decision.what == "served" else None
    return {
        "version": 1,
        "outcome": decision.what,
        "choice": found and {"account": found.account.label, "by": found.by.value, "words": str(found)},
        "model": decision.session.model or None,
        "waits_until": decision.waits_until,
        "accounts": [_account_object(standing, met, now) for standing, met in weighed],
        "rules": {"strategy": rules.strategy.value, "isolation": rules.isolation.value},
        "source": scene.source,
        "sessions": [
            asdict(session_line(key, scene.label(binding.account_id), binding.ledger))
            for key, binding in scene.sessions[:MOST_IN_JSON]
        ],
    }


def _account_object(standing: Standing, met: Obstacle | None, now: float) -> dict[str, object]:
    return {
        "id": standing.account.id,
        "label": standing.account.label,
        "serves": met is None,
        "why": met and met.why.value,
        "reason": met and met.reason,
        "until": met and met.until,
        "left_percent": standing.left(now) if standing.snapshot else None,
        "score": round(score(standing, now), 1),
        "claims": standing.claims,
    }

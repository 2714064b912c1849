"""Proxies with one pool: what one of them learns the others know within two seconds, and a restart forgets nothing."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.backstage import times
from support.proxy import SCRIPT
from support.theatre import URL, Json, Theatre, eventually, roles
from support.troupe import Troupe, opened_troupe
from support.witness import with_constants
from understudy.pool import edits
from understudy.pool.account import Ground, Health
from understudy.state.running import Running

ANSWER: Json = {"do": "answer"}
LIMIT: Json = {"do": "usage_limit", "resets_in": 7200}
ERROR: Json = {"do": "server_error"}
LONG: Json = {"do": "stall", "when": "mid_text", "events": 3, "seconds": 60}
"""An answer that has begun, and is not over before the test is."""
SOON = 2.5
"""Seconds within which everybody knows: two, and what a busy machine adds to that."""


@pytest.fixture(scope="module")
def make_troupe(
    tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path
) -> Iterator[Callable[[], Troupe]]:
    with ExitStack() as stack:

        def make() -> Troupe:
            folder = tmp_path_factory.mktemp("troupe")
            return stack.enter_context(opened_troupe(folder, confdir_template, authority_file, roles()))

        yield make


@pytest.fixture(scope="module")
def troupe(make_troupe: Callable[[], Troupe]) -> Troupe:
    return make_troupe()


@pytest.fixture(scope="module")
def pair(troupe: Troupe) -> Iterator[tuple[Theatre, Theatre]]:
    with troupe.theatre() as one, troupe.theatre() as two:
        yield one, two


def session(name: str) -> dict[str, str]:
    return {"session_id": name}


def comes_to_ask(theatre: Theatre, role: str, headers: Callable[[], Mapping[str, str]]) -> None:
    """Requests with these fields come to go to the account, and soon. Each is one more that the proxy knows of: they
    may have to be of different sessions."""
    until = time.monotonic() + SOON
    while asks(theatre, headers()) != role:
        assert time.monotonic() < until, f"{role} is not asked: {theatre.asked}"
        time.sleep(0.1)


def asks(theatre: Theatre, headers: Mapping[str, str]) -> str:
    """Who answers a request with these fields."""
    assert theatre.ask(headers=headers).status == 200
    return theatre.asked[-1]


@contextmanager
def listening(theatre: Theatre, headers: dict[str, str]) -> Iterator[None]:
    """A host whose answer has begun, and which hangs up where the block ends."""
    body = {"model": "gpt-5.5", "input": "hi", "stream": True}
    with theatre.new_client() as client, client.stream("POST", URL, json=body, headers=headers) as response:
        pieces = response.iter_raw()  # whoever drops it hangs up
        next(pieces)
        yield


# What one learns


def test_a_limit_that_one_meets_the_other_respects(troupe: Troupe, pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    one.cast(work=LIMIT, home=ANSWER)
    assert one.ask().status == 200
    eventually(lambda: one.account("work").blocks != (), SOON)
    assert two.ask().status == 200
    assert one.asked == ["work", "home", "home"]


def test_a_login_that_one_finds_dead_the_other_does_not_try(pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    one.cast(work={"do": "revoked"}, home=ANSWER)
    assert one.ask().status == 401
    eventually(lambda: one.account("work").health is Health.NEEDS_LOGIN, SOON)
    assert two.ask().status == 200
    assert one.asked == ["work", "home"]


def test_a_breaker_that_one_opens_the_other_respects(troupe: Troupe, pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    one.cast(retries=4, work=[ERROR] * 4 + [ANSWER], home=ANSWER)
    troupe.store.update(lambda pool: edits.enable(pool, "home", False))
    assert [one.ask().status for _ in range(2)] == [503, 503]
    assert one.asked == ["work"] * 4
    eventually(lambda: any(block.ground is Ground.BREAKER for block in one.account("work").blocks), SOON)
    blocks = tuple(block for block in one.account("work").blocks if block.ground is Ground.BREAKER)
    troupe.change("work", blocks=blocks)
    troupe.store.update(lambda pool: edits.enable(pool, "home", True))
    assert two.ask().status == 200
    assert one.asked[4:] == ["home"]


def test_a_limited_account_is_tried_early_by_one_of_all_requests(troupe: Troupe, pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    one.cast(work={"do": "usage_limit", "resets_in": 7200, "wait": 0.3})
    now = time.time()
    troupe.limit("work", since=now - 900, until=now + 600)
    statuses: list[int] = []

    def ask(theatre: Theatre) -> None:
        with theatre.new_client() as client:
            statuses.append(theatre.ask(client=client).status)

    hosts = [threading.Thread(target=ask, args=(theatre,)) for theatre in (one, two, one, two)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(20)
    assert statuses == [429] * 4
    assert one.asked == ["work"]


# Whose session it is


def cast_home_first(troupe: Troupe, theatre: Theatre, hosts: Sequence[Mapping[str, str]]) -> None:
    """These hosts are served by `home`, and then `work` is there, which is first in order."""
    theatre.cast(work=ANSWER, home=[ANSWER] * len(hosts) + [LONG, ANSWER], disabled=["work"])
    for headers in hosts:
        theatre.ask(headers=headers)
    assert theatre.asked == ["home"] * len(hosts)
    troupe.store.update(lambda pool: edits.enable(pool, "work", True))


def test_a_session_that_one_has_bound_stays_on_its_account_with_the_other(
    troupe: Troupe, pair: tuple[Theatre, Theatre]
) -> None:
    one, two = pair
    names = [f"bound-{number}" for number in range(40)]
    cast_home_first(troupe, one, [session(name) for name in names])
    one.play("home", ANSWER)
    # A session that it does not know yet is a new one to it, and bound anew.
    comes_to_ask(two, "home", lambda: session(names.pop()))
    assert asks(two, session("another")) == "work"


def test_a_turn_goes_on_with_the_account_that_began_it(troupe: Troupe, pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    cast_home_first(troupe, one, [])
    troupe.store.update(lambda pool: edits.enable(pool, "work", False))
    one.play("home", ANSWER)
    state = one.ask().headers["x-codex-turn-state"]
    troupe.store.update(lambda pool: edits.enable(pool, "work", True))
    comes_to_ask(two, "home", lambda: {"x-codex-turn-state": state})
    assert one.calls[-1].header("x-codex-turn-state") == state
    assert one.calls[-2].header("x-codex-turn-state") is None


def test_to_switch_accounts_makes_a_binding_void_for_all(troupe: Troupe, pair: tuple[Theatre, Theatre]) -> None:
    one, two = pair
    cast_home_first(troupe, one, [session("void")])
    eventually(lambda: [line["account"] for line in troupe.json("why")["sessions"]][:1] == ["home"], SOON)
    troupe.store.update(lambda pool: edits.unpin(edits.pin(pool, "home", soft=False)))
    assert asks(two, session("void")) == "work"


def test_a_restart_forgets_no_session(make_troupe: Callable[[], Troupe]) -> None:
    troupe = make_troupe()
    with troupe.theatre() as theatre:
        cast_home_first(troupe, theatre, [session("mine")])
        theatre.play("home", ANSWER)
    with troupe.theatre() as theatre:
        theatre.ask(headers=session("mine"))
        theatre.ask(headers=session("another"))
    assert theatre.asked == ["home", "home", "work"]


def test_a_proxy_that_is_started_knows_at_once_what_is_left(make_troupe: Callable[[], Troupe]) -> None:
    troupe = make_troupe()
    with troupe.theatre() as theatre:
        theatre.cast(work=ANSWER, home=ANSWER)
        theatre.ask()
    # The sandbox's accounts have 30 percent of their week used.
    troupe.store.update(lambda pool: edits.reserve(pool, "work", 70))
    with troupe.theatre() as theatre:
        theatre.ask()
    assert theatre.asked == ["work", "home"]


# What is running


BY_CLAIMS = {
    "understudy.pool.strategies.SWITCH_EVERY": 0.0,
    "understudy.pool.strategies.MARGIN": 0.0,
    "understudy.pool.vitals.REFILL": 1e6,
}
"""With these the hybrid strategy goes by running requests, and next to nothing else."""


def test_what_one_has_running_counts_for_the_other_until_it_is_killed(
    make_troupe: Callable[[], Troupe], tmp_path: Path
) -> None:
    troupe = make_troupe()
    by_claims = with_constants(tmp_path, BY_CLAIMS)
    with (
        troupe.theatre(codex_strategy="hybrid", arguments=by_claims) as one,
        troupe.theatre(codex_strategy="hybrid", arguments=by_claims) as two,
    ):
        one.cast(work=[LONG, ANSWER], home=ANSWER)
        for role in ("work", "home"):
            troupe.change(role, last_used_at=time.time())
        with listening(one, session("long")):
            names = iter(range(1000))
            comes_to_ask(two, "home", lambda: session(f"new-{next(names)}"))
            assert one.asked[0] == "work"
            os.kill(one.proxy.pid, signal.SIGKILL)
            comes_to_ask(two, "work", lambda: session(f"new-{next(names)}"))
            eventually(lambda: records(troupe) == [two.proxy.pid], SOON)


def records(troupe: Troupe) -> list[int]:
    """The processes that have a record in the folder, dead ones too."""
    return sorted(int(path.name.partition("-")[0]) for path in (troupe.home / "running").glob("*.json"))


def test_a_script_that_is_reloaded_goes_on_where_it_was(make_troupe: Callable[[], Troupe], tmp_path: Path) -> None:
    troupe, script = make_troupe(), tmp_path / "codex.py"
    script.write_text(SCRIPT.read_text())
    with troupe.theatre(script=script) as theatre:
        cast_home_first(troupe, theatre, [session("mine")])
        with listening(theatre, session("mine")):
            for count in (2, 3):
                script.write_text(SCRIPT.read_text())
                theatre.proxy.wait_for_log(times(count, "Loading script"))
            theatre.ask(headers=session("mine"))
            theatre.ask(headers=session("another"))
            assert theatre.asked == ["home", "home", "home", "work"]
            eventually(lambda: _claims(troupe) == [{theatre.account("home").id: 1}], SOON)
            assert records(troupe) == [theatre.proxy.pid]
    assert list((troupe.home / "running").iterdir()) == []


def _claims(troupe: Troupe) -> list[object]:
    return [record.told["claims"] for record in Running(troupe.home).all()]

"""Who is asked over several sessions under each strategy, and what a move to another account is seen to cost."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from support.theatre import Json, Theatre, TheatreFactory, eventually, roles
from support.troupe import Troupe, opened_troupe
from support.witness import with_constants
from understudy.pool import edits
from understudy.proxy.views import METADATA

ANSWER: Json = {"do": "answer"}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
ERROR: Json = {"do": "server_error"}
SOON = 2.5


@pytest.fixture
def new() -> Callable[[], dict[str, str]]:
    """Each time the fields of another session, which no other test has."""
    return lambda: {"session_id": uuid.uuid4().hex}


Sessions = Callable[[], dict[str, str]]


def limit(theatre: Theatre, role: str, limited: bool) -> None:
    """The account is out of use, or back."""
    theatre.store.update(lambda pool: edits.enable(pool, role, not limited))


# Who is asked


@pytest.fixture(scope="module")
def sticky(theatres: TheatreFactory) -> Theatre:
    return theatres()


@pytest.fixture(scope="module")
def drain(theatres: TheatreFactory) -> Theatre:
    return theatres(codex_strategy="drain")


@pytest.fixture(scope="module")
def round_robin(theatres: TheatreFactory) -> Theatre:
    return theatres(codex_strategy="round_robin")


@pytest.fixture(scope="module")
def hybrid(theatres: TheatreFactory) -> Theatre:
    return theatres(codex_strategy="hybrid")


@pytest.fixture(scope="module")
def restless(theatres: TheatreFactory, tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    """A hybrid that need not stay where it is for a minute."""
    folder = tmp_path_factory.mktemp("restless")
    at_once = with_constants(folder, {"understudy.pool.strategies.SWITCH_EVERY": 0.0})
    return theatres(codex_strategy="hybrid", arguments=at_once)


def test_sticky_goes_on_with_the_account_in_use_until_that_one_cannot(sticky: Theatre, new: Sessions) -> None:
    sticky.cast(work=[ANSWER, ANSWER, LIMIT, ANSWER], home=ANSWER, third=ANSWER)
    mine = new()
    for headers in (mine, new(), new(), new()):
        sticky.ask(headers=headers)
    assert sticky.asked == ["work", "work", "work", "home", "home"]
    eventually(lambda: sticky.account("work").blocks != ())
    sticky.lift("work")
    sticky.ask(headers=new())
    sticky.ask(headers=mine)
    assert sticky.asked[5:] == ["home", "work"]


def test_drain_goes_back_to_the_first_in_order_as_soon_as_it_can_serve(drain: Theatre, new: Sessions) -> None:
    drain.cast(work=ANSWER, home=ANSWER)
    mine = new()
    drain.ask(headers=new())
    limit(drain, "work", True)
    drain.ask(headers=mine)
    limit(drain, "work", False)
    drain.ask(headers=new())
    drain.ask(headers=mine)
    assert drain.asked == ["work", "home", "work", "home"]


def test_round_robin_gives_each_new_session_the_next_account(round_robin: Theatre, new: Sessions) -> None:
    round_robin.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    sessions = [new() for _ in range(6)]
    for headers in sessions:
        round_robin.ask(headers=headers)
    turn = round_robin.asked[:3]
    assert set(turn) == {"work", "home", "third"}
    assert round_robin.asked[3:] == turn
    for headers in sessions:
        round_robin.ask(headers=headers)
    assert round_robin.asked[6:] == round_robin.asked[:6]


def test_round_robin_passes_by_whom_it_cannot_ask(round_robin: Theatre, new: Sessions) -> None:
    round_robin.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    limit(round_robin, "home", True)
    for _ in range(4):
        round_robin.ask(headers=new())
    assert round_robin.asked in (["work", "third"] * 2, ["third", "work"] * 2)


def test_who_helps_a_session_out_keeps_its_turn_and_the_session_returns(round_robin: Theatre, new: Sessions) -> None:
    round_robin.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    mine = new()
    round_robin.ask(headers=new())
    round_robin.ask(headers=mine)
    before, own = round_robin.asked
    round_robin.play(own, [{"do": "usage_limit", "resets_in": 600}, ANSWER])
    round_robin.ask(headers=mine)
    helper = round_robin.asked[-1]
    eventually(lambda: round_robin.account(own).blocks != ())
    round_robin.lift(own)
    round_robin.ask(headers=mine)
    round_robin.ask(headers=new())
    assert len({before, own, helper}) == 3
    assert round_robin.asked == [before, own, own, helper, own, helper]


def test_hybrid_stays_where_it_is_for_a_minute(hybrid: Theatre, new: Sessions) -> None:
    hybrid.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    for _ in range(4):
        hybrid.ask(headers=new())
    assert hybrid.asked == ["work"] * 4


def test_hybrid_then_goes_to_whoever_is_placed_better(restless: Theatre, new: Sessions) -> None:
    restless.cast(work=ANSWER, home=ANSWER, third=ANSWER)
    for _ in range(4):
        restless.ask(headers=new())
    # Each is rested until its first answer; after that none is better by enough.
    assert restless.asked == ["work", "home", "third", "third"]


def test_hybrid_leaves_an_account_that_fails(restless: Theatre, new: Sessions) -> None:
    restless.cast(retries=1, work=ANSWER, home=[ANSWER, ERROR, ANSWER])
    mine = new()
    for headers in (new(), mine, mine, new()):
        restless.ask(headers=headers)
    assert restless.asked == ["work", "home", "home", "home", "work"]


# What a move costs


@pytest.fixture
def troupe(tmp_path: Path, confdir_template: Path, authority_file: Path) -> Iterator[Troupe]:
    with opened_troupe(tmp_path, confdir_template, authority_file, roles()) as troupe:
        yield troupe


def test_the_price_of_a_move_is_told_in_the_same_figures_everywhere(troupe: Troupe) -> None:
    path = troupe.home.parent / "flows"
    with troupe.theatre(arguments=("-w", str(path))) as theatre:
        theatre.cast(work=[ANSWER, ANSWER, LIMIT], home=ANSWER)
        for words in (2000, 2200, 2400, 2600):
            assert theatre.ask(prompt_cache_key="mine", input="word " * words).status == 200
        theatre.ask(prompt_cache_key="another", input="hi")
        assert theatre.asked == ["work", "work", "work", "home", "home", "home"]
        calls = [call for call in theatre.calls if call.input_tokens is not None]
        eventually(lambda: len(troupe.json("status")["sessions"]) == 2, SOON)
        status, why = troupe.json("status"), troupe.json("why")
        text, log = troupe.understudy("why"), theatre.proxy.log
    given, cached = (
        {who: [getattr(call, name) or 0 for call in calls if call.account == theatre.login(who)] for who in ROLES}
        for name in ("input_tokens", "cached_tokens")
    )
    # What the first account had seen of the prompt already, and the second has not.
    cost = given["work"][1]
    assert cached["work"][1] > 0 and cached["home"][:2] == [0, cached["home"][1]] and cached["home"][1] > 0
    # Each account with what the sandbox has answered for it
    found = {account["label"]: account for account in status["accounts"]}
    for who in ROLES:
        assert found[who]["requests"] == len(given[who])
        assert found[who]["input_tokens"] == sum(given[who])
        assert found[who]["cached_tokens"] == sum(cached[who])
        assert found[who]["cached_share"] == pytest.approx(sum(cached[who]) / sum(given[who]))
    # The session
    assert status["sessions"] == why["sessions"]
    another, mine = status["sessions"]
    assert (mine["account"], mine["requests"], mine["moves"], mine["moved_tokens"]) == ("home", 4, 1, cost)
    share = sum(cached["work"] + cached["home"]) / sum(given["work"] + given["home"][:2])
    assert mine["cached_share"] == pytest.approx(share)
    assert (another["account"], another["requests"], another["moves"]) == ("home", 1, 0)
    assert f"{mine['session']}  home, 4 requests, {share:.0%} cached, 1 move that cost {cost} tokens" in text
    assert f"{another['session']}  home, 1 request, 0% cached" in text
    # The flow, and the log
    said = f"0 of {given['home'][0]} input tokens cached, {cost} lost by the move"
    with path.open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    [moved] = [flow for flow in flows if flow.metadata[METADATA]["move_cost"]]
    assert moved.comment == f"understudy: home (first in order), attempt 2, 200 ok, {said}"
    assert moved.comment in log
    assert [flow.metadata[METADATA]["input_tokens"] for flow in flows if flow.metadata[METADATA]["input_tokens"]] == [
        call.input_tokens for call in calls
    ]


ROLES = ("work", "home")


def test_a_session_that_returns_pays_only_for_what_is_new(troupe: Troupe) -> None:
    with troupe.theatre() as theatre:
        theatre.cast(work=[ANSWER, {**LIMIT, "resets_in": 600}, ANSWER], home=ANSWER)
        prompt = "word " * 2000
        for _ in range(2):
            theatre.ask(prompt_cache_key="mine", input=prompt)
        eventually(lambda: theatre.account("work").blocks != ())
        theatre.lift("work")
        theatre.ask(prompt_cache_key="mine", input=prompt)
        assert theatre.asked == ["work", "work", "home", "work"]
        first, _, third = (call for call in theatre.calls if call.input_tokens is not None)
        eventually(lambda: [line["moves"] for line in troupe.json("status")["sessions"]] == [2], SOON)
        [line] = troupe.json("status")["sessions"]
    assert first.input_tokens is not None and third.input_tokens is not None and third.cached_tokens
    assert line["account"] == "work"
    assert line["moved_tokens"] == first.input_tokens + (third.input_tokens - third.cached_tokens)


def test_a_move_from_one_proxy_to_another_costs_the_same(troupe: Troupe) -> None:
    prompt = "word " * 2000
    with troupe.theatre() as one:
        one.cast(work=ANSWER, home=ANSWER, disabled=["home"])
        one.ask(prompt_cache_key="mine", input=prompt)
        eventually(lambda: [line["requests"] for line in troupe.json("why")["sessions"]] == [1], SOON)
        with troupe.theatre() as two:
            limit(one, "home", False)
            limit(one, "work", True)
            two.ask(prompt_cache_key="mine", input=prompt)
            cost = one.calls[0].input_tokens
            eventually(lambda: [line["moved_tokens"] for line in troupe.json("why")["sessions"]] == [cost], SOON)

"""What the answers to a request teach of its account, and what they do not."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from support import desk
from support.desk import Desk, able, blocked, event
from understudy.pool.account import Block
from understudy.wire import outcome as outcomes
from understudy.wire.quota import MAIN_LIMIT, Snapshot, Source, Window
from understudy.wire.reply import Headers


def figures(used: float, *, resets_in: float = 3600, limit_id: str = MAIN_LIMIT, age: float = 0) -> Snapshot:
    """What is known of an account: one window, seen `age` seconds ago."""
    now = time.time()
    return Snapshot("plus", (Window("5h", limit_id, used, 300, now + resets_in),), None, now - age, Source.HEADERS)


def head(used: int, *, resets_in: int = 3600, family: str = "codex", active: str = "") -> Headers:
    """The fields of an answer that tell of one window."""
    told = {"used-percent": used, "window-minutes": 300, "reset-after-seconds": resets_in}
    fields = tuple((f"x-{family}-primary-{name}", str(value)) for name, value in told.items())
    return (*fields, ("x-codex-active-limit", active)) if active else fields


@pytest.fixture
def house(home: Path) -> Desk:
    return Desk(home, (able("home"),))


class TestABlock:
    """Made of the figures that an answer brings, or lifted."""

    async def test_is_made_where_they_say_that_nothing_is_left(self, house: Desk) -> None:
        house.answer(await house.ask(), headers=head(100))
        (block,) = house.known("home").blocks
        assert block.until == pytest.approx(time.time() + 3600, abs=60)

    async def test_is_not_made_of_the_main_limit_where_they_are_of_another_family(self, house: Desk) -> None:
        house.roster.learn("acct_home", figures(100, age=60))
        house.commit(await house.ask(), headers=head(1, family="codex-bengalfox"))
        assert house.known("home").blocks == ()

    @pytest.mark.parametrize("family", ["codex", "codex-bengalfox"])
    async def test_is_not_made_of_what_has_been_reset_since(self, house: Desk, family: str) -> None:
        house.roster.learn("acct_home", figures(100, resets_in=-10, age=3600))
        house.commit(await house.ask(), headers=head(100, resets_in=0, family=family))
        assert house.known("home").blocks == ()

    async def test_that_began_as_the_attempt_was_sent_ends_with_its_answer(self, house: Desk) -> None:
        turn = await house.ask()
        house.commit(turn)
        sent = turn.sent[-1].epoch
        ended, later = (
            Block(sent + 600, "usage limit", True, model=model, since=since)
            for model, since in (("", sent), ("gpt-4o", sent + 0.001))
        )
        house.roster.change("acct_home", lambda account: replace(account, blocks=(ended, later)))
        house.end(turn)
        assert house.known("home").blocks == (later,)


async def test_a_model_counts_against_the_main_limit_again_once_an_answer_says_so(house: Desk) -> None:
    house.answer(await house.ask(), headers=head(1, family="codex_other", active="codex_other"))
    house.roster.change("acct_home", blocked)
    other = await house.ask()
    assert desk.who(other) == "home"
    house.answer(other, headers=head(1, active="codex"))
    house.roster.change("acct_home", blocked)
    assert desk.who(await house.ask()) == "refused"


async def test_figures_that_came_before_the_answer_failed_are_kept(house: Desk) -> None:
    turn = await house.ask()
    house.send(turn)
    assert turn.relay is not None
    limits = {"primary": {"used_percent": 42, "window_minutes": 300, "reset_at": int(time.time()) + 3600}}
    turn.relay.feed(event("codex.rate_limits", plan_type="plus", rate_limits=limits), time.time())
    failed = outcomes.transport("the connection broke")
    turn.sent[-1].outcome = failed
    await house.dispatcher.decide(turn)
    known = house.roster.snapshot("acct_home")
    assert known is not None and [window.used_percent for window in known.windows] == [42]

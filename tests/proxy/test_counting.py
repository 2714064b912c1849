"""What is counted of a request: that an account carried it out, or that none could, and nothing that needed none."""

from dataclasses import replace
from pathlib import Path

from support.desk import Desk, able, limit
from understudy.pool.tally import Tally
from understudy.proxy.counting import counted
from understudy.proxy.turn import Turn
from understudy.wire.endpoints import Op


def tally(turn: Turn, *, served: bool = True, left: bool = False) -> Tally:
    return counted(Tally(4, 1, 1, {"ada": 2}), turn, served=served, left=left)


async def test_an_answer_is_counted_for_the_account_that_gave_it(home: Path) -> None:
    desk = Desk(home, (able("ada"), able("bob")))
    turn = await desk.ask()
    desk.answer(turn)
    assert tally(turn) == Tally(5, 1, 1, {"ada": 3})


async def test_each_attempt_beyond_the_first_is_a_replay(home: Path) -> None:
    desk = Desk(home, (able("ada"), able("bob")))
    turn = await desk.ask()
    await desk.fail(turn, limit())
    desk.answer(turn)
    assert tally(turn) == Tally(5, 1, 2, {"ada": 2, "bob": 1})


async def test_one_that_no_account_can_carry_out_has_failed(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    await desk.fail(turn, limit())
    assert tally(turn, served=False) == Tally(5, 2, 1, {"ada": 2})


async def test_an_answer_that_broke_off_has_failed(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    desk.commit(turn)
    assert tally(turn, served=False) == Tally(5, 2, 1, {"ada": 2})


async def test_a_host_that_hangs_up_is_nobodys_failure(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    desk.commit(turn)
    assert tally(turn, served=False, left=True) == Tally(5, 1, 1, {"ada": 3})


async def test_what_is_answered_on_this_machine_is_not_counted(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    turn.answered = True
    assert tally(turn) == Tally(4, 1, 1, {"ada": 2})


async def test_what_could_not_be_read_is_not_counted(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    turn.request = None
    assert tally(turn, served=False) == Tally(4, 1, 1, {"ada": 2})


async def test_what_no_account_carries_out_is_not_counted(home: Path) -> None:
    desk = Desk(home, (able("ada"),))
    turn = await desk.ask()
    turn.endpoint = replace(turn.endpoint, op=Op.MODELS)
    assert tally(turn) == Tally(4, 1, 1, {"ada": 2})

"""Who carries out a request, attempt by attempt: what the options mean for one that is under way."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support import desk, logins
from support.desk import Desk, able, blocked, limit, paid, request, who
from support.login_server import LoginServer, serving
from understudy.pool import edits
from understudy.pool.account import Account, Ground
from understudy.proxy.turn import Attempt
from understudy.wire import outcome as outcomes
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.reply import openai_error

TROUBLE = outcomes.transport("the connection broke")
COMPACTED = [{"type": "compaction", "encrypted_content": "gAAAA"}]
LET_GO = "codex_unsupported=passthrough"


def not_entitled() -> Outcome:
    reply = openai_error(400, "no such model", type="invalid_request_error", code="model_not_supported")
    return Outcome(Kind.NOT_ENTITLED, 400, "no such model", reply=reply)


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with serving() as running:
        yield running


class TestAKeyThatCostsMoney:
    """The paid lane."""

    async def test_is_passed_over_by_a_request_that_came_before_the_user_wanted_it(self, home: Path) -> None:
        house = Desk(home, (able("home"), paid("key")))
        turn = await house.ask()
        house.set("codex_overflow=on")
        await house.fail(turn, limit())
        assert (who(turn), house.known("key").spending.requests) == ("refused", 0)

    async def test_is_passed_over_by_a_request_that_waited_before_the_user_wanted_it(self, home: Path) -> None:
        house = Desk(home, (blocked(able("home"), 60), paid("key")), "codex_wait=600")
        turn = await house.ask()
        house.set("codex_wait=1", "codex_overflow=on")
        await house.dispatcher.look_again(turn)
        assert (who(turn), house.known("key").spending.requests) == ("refused", 0)

    async def test_is_asked_once_where_the_user_has_enough_of_it_meanwhile(self, home: Path) -> None:
        house = Desk(home, (paid("key"),), "codex_overflow=on")
        turn = await house.ask()
        assert who(turn) == "key"
        house.set("codex_overflow=off")
        await house.fail(turn, TROUBLE)
        assert (who(turn), house.known("key").spending.requests) == ("refused", 1)

    async def test_is_not_asked_again_where_the_user_has_enough_of_it_while_the_pause_lasts(self, home: Path) -> None:
        house = Desk(home, (paid("key"),), "codex_overflow=on")
        turn = await house.ask()
        await house.fail(turn, TROUBLE)
        assert who(turn) == "key"
        house.set("codex_overflow=off")
        await house.dispatcher.look_again(turn)
        assert who(turn) == "refused"

    @pytest.mark.parametrize("isolation", ["off", "workspace", "account"])
    async def test_is_no_home_to_a_session_that_began_on_it(self, home: Path, isolation: str) -> None:
        options = ("codex_overflow=on", f"codex_isolate={isolation}")
        house = Desk(home, (blocked(able("home")), paid("key")), *options)
        first = await house.ask(session="one")
        assert who(first) == "key"
        house.answer(first)
        house.lift("home")
        for _ in range(2):
            turn = await house.ask(session="one")
            assert who(turn) == "home"
            house.answer(turn)


class TestAnAccountWhoseNewTokenIsSlow:
    """The login server takes more time than a request gives it that has another account to go to."""

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(blocked(able("other"), 86400, ground=Ground.COOLING), id="one that failed a moment ago"),
            pytest.param(blocked(able("other"), 86400, ground=Ground.BREAKER), id="one that fails again and again"),
            pytest.param(replace(able("other"), blocks=blocked(able("other"), 86400).blocks), id="a limited one"),
            pytest.param(paid("other"), id="one that costs money"),
        ],
    )
    async def test_is_waited_for_before_any_last_resort(self, home: Path, server: LoginServer, other: Account) -> None:
        now, slow = time.time(), logins.account("slow", expires_at=time.time() - 1)
        limits = [replace(b, since=now - 86400) for b in other.blocks if b.ground is Ground.LIMIT]
        other = replace(other, blocks=tuple(limits) or other.blocks)
        server.valid[slow.tokens.refresh.reveal()] = "slow"
        server.delay = 1.3
        options = ("codex_overflow=on", f"codex_issuer={server.url}")
        house = Desk(home, (slow, able("quick"), other), *options)
        turn = await house.ask()
        assert who(turn) == "quick"
        await house.fail(turn, limit())
        assert who(turn) == "slow"
        await house.dispatcher.end()


class TestAModel:
    """What is served for it, and whether it is let go."""

    async def test_that_another_one_stands_in_for_is_not_let_go_as_that_one_would_be(self, home: Path) -> None:
        house = Desk(home, (able("home"),), "codex_models=gpt-4*=gpt-5,gpt-5=passthrough", LET_GO)
        served, let_go = await house.ask(model="gpt-4o"), await house.ask(model="gpt-5")
        assert (served.released, who(served)) == (False, "home")
        assert let_go.released

    async def test_is_not_let_go_where_the_user_replays_the_flow(self, home: Path) -> None:
        lacking = blocked(able("home"), ground=Ground.ENTITLEMENT, model=desk.MODEL)
        house = Desk(home, (lacking,), LET_GO)
        replayed = request()
        replayed.flow.is_replay = "request"
        await house.dispatcher.prepare(replayed)
        assert (replayed.released, who(replayed)) == (False, "refused")
        assert (await house.ask()).released

    async def test_that_stands_in_is_told_of_once_for_a_host(
        self, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        house = Desk(home, (able("home"),), "codex_models=gpt-4*=gpt-5")
        for model in ("gpt-4o", "gpt-4o", "gpt-4.1"):
            await house.ask(model=model)
        assert [record.message.partition("asks for ")[2] for record in caplog.records] == [
            "gpt-4o: gpt-5 serves",
            "gpt-4.1: gpt-5 serves",
        ]

    async def test_that_stands_in_is_not_named_where_it_does_not_serve_either(self, home: Path) -> None:
        house = Desk(home, (able("home"),), "codex_models=gpt-6>gpt-5")
        turn = await house.ask(model="gpt-6")
        await house.fail(turn, not_entitled())
        assert (who(turn), turn.told) == ("home", (("x-understudy-model", "gpt-5"),))
        await house.fail(turn, limit())
        assert (who(turn), turn.told) == ("refused", ())

    async def test_that_stands_in_is_not_named_where_cloudflare_lets_nobody_pass(self, home: Path) -> None:
        house = Desk(home, (able("home"),), "codex_models=gpt-4o=gpt-5")
        house.memory.breaker.challenged(time.time())
        await house.ask()
        turn = await house.ask(model="gpt-4o")
        assert (who(turn), turn.told) == ("refused", ())


class TestAConversation:
    """Which account goes on with it."""

    async def test_stays_with_the_stand_in_that_made_what_it_alone_can_read(self, home: Path) -> None:
        house = Desk(home, (able("home"), able("work")))
        house.answer(await house.ask(session="one"))
        house.roster.change("acct_home", lambda account: blocked(account, 60))
        stood_in = await house.ask(session="one")
        assert who(stood_in) == "work"
        house.answer(stood_in)
        house.lift("home")
        assert who(await house.ask(session="one")) == "home"
        held = await house.ask(session="one", input=COMPACTED)
        assert who(held) == "work"
        house.answer(held)
        assert who(await house.ask(session="one")) == "work"

    async def test_that_is_isolated_stays_so_after_another_account_was_pinned(self, home: Path) -> None:
        house = Desk(home, (able("home"), able("work")), "codex_isolate=account")
        house.answer(await house.ask(session="one"))
        house.roster.edit(lambda pool: edits.pin(pool, "work", soft=False))
        assert who(await house.ask(session="one")) == "refused"
        house.roster.edit(edits.unpin)
        assert who(await house.ask(session="one")) == "home"
        house.roster.change("acct_home", blocked)
        assert who(await house.ask(session="one")) == "refused"
        assert who(await house.ask(session="two")) == "work"


class TestWaiting:
    """`codex_wait`."""

    async def test_holds_for_a_request_that_has_met_four_limits(self, home: Path) -> None:
        house = Desk(home, tuple(map(able, ("one", "two", "three", "four"))), "codex_wait=600")
        turn = await house.ask()
        for _ in range(3):
            await house.fail(turn, limit(60))
            assert isinstance(turn.next, Attempt)
        await house.fail(turn, limit(60))
        assert who(turn) == "waits"
        house.lift("three")
        await house.dispatcher.look_again(turn)
        assert who(turn) == "three"

    async def test_is_not_for_a_request_whose_time_is_up(self, home: Path) -> None:
        house = Desk(home, (able("home"),), "codex_wait=600")
        turn = await house.ask()
        turn.arrived_at -= 91
        await house.fail(turn, limit(60))
        assert who(turn) == "refused"


class TestAfterAChallengeByCloudflare:
    """One request at a time finds out whether it is over."""

    async def test_a_request_that_only_waits_is_not_the_one(self, home: Path) -> None:
        house = Desk(home, (blocked(able("home"), 60),), "codex_wait=600")
        house.memory.breaker.challenged(time.time())
        assert who(await house.ask()) == "waits"
        house.lift("home")
        assert who(await house.ask()) == "home"
        assert who(await house.ask()) == "refused"

    async def test_others_go_out_from_its_first_output_on(self, home: Path) -> None:
        house = Desk(home, (able("home"),))
        house.memory.breaker.challenged(time.time())
        probe = await house.ask()
        assert who(await house.ask()) == "refused"
        house.commit(probe)
        assert who(await house.ask()) == "home"

    async def test_an_answer_that_has_passed_is_not_the_one_again(self, home: Path) -> None:
        house = Desk(home, (able("home"),))
        house.memory.breaker.challenged(time.time())
        house.commit(await house.ask())
        house.memory.breaker.challenged(time.time())
        assert who(await house.ask()) == "home"

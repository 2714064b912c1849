"""What the pool learns from an attempt, kind by kind: how long the account rests, and for which model."""

from dataclasses import replace

import pytest

from support.logins import NOW, account
from understudy.pool.account import Block, Ground, Health, Lane, Spending
from understudy.pool.policy import Deliver, Hop, Stay
from understudy.pool.record import SERVED, Changes, block_by_figures, block_for, changed, paid, record
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.quota import MAIN_LIMIT, Credits, Snapshot, Source, Window


def outcome(kind: Kind, **more: float | str | bool) -> Outcome:
    resets_at = NOW + 300 if kind is Kind.USAGE_LIMIT else None
    return replace(Outcome(kind, None, kind.code, resets_at), **more)  # type: ignore[arg-type]


def rest(ground: Ground, seconds: float, reason: str, model: str = "") -> Block:
    return Block(NOW + seconds, reason, authoritative=False, ground=ground, model=model, since=NOW)


LEARNT = {
    Kind.USAGE_LIMIT: Changes(rest(Ground.LIMIT, 300, "usage_limit"), health=-10, tokens=-10),
    Kind.SHORT_LIMIT: Changes(health=-10, tokens=-10),
    Kind.BURST: Changes(health=-10, tokens=-10),
    Kind.UNAUTHORIZED: Changes(rest(Ground.LOGIN, 60, "unauthorized"), health=-20),
    Kind.REVOKED: Changes(dead="revoked", health=-20),
    Kind.WORKSPACE_GONE: Changes(dead="workspace_gone", health=-20),
    Kind.NOT_ENTITLED: Changes(rest(Ground.ENTITLEMENT, 1800, "not_entitled", model="big")),
    Kind.CHALLENGE: Changes(challenged=True),
    Kind.STALE_REASONING: Changes(),
    Kind.OVERLOADED: Changes(),
    Kind.SERVER_ERROR: Changes(rest(Ground.COOLING, 4, "server_error"), health=-20),
    Kind.TRANSPORT: Changes(rest(Ground.COOLING, 6, "transport"), health=-20),
    Kind.EMPTY: Changes(rest(Ground.COOLING, 4, "empty"), health=-20),
    Kind.REDIRECT: Changes(),
    Kind.REFUSED: Changes(),
}
"""From an attempt for the model `big` that nothing more is known of."""


@pytest.mark.parametrize("move", [Hop(), Deliver()], ids=["hop", "deliver"])
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_an_attempt_that_ended_so_changes_this(kind: Kind, move: Hop | Deliver) -> None:
    assert record(outcome(kind), "big", move, NOW) == LEARNT[kind]


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_an_account_that_is_asked_again_at_once_does_not_rest(kind: Kind) -> None:
    health = 0.0 if kind is Kind.UNAUTHORIZED else LEARNT[kind].health  # a token that had run out is nobody's fault
    assert record(outcome(kind), "big", Stay(), NOW) == replace(LEARNT[kind], block=None, health=health)


def test_a_burst_cools_the_account_for_the_pause_that_it_asks_for() -> None:
    asked = outcome(Kind.BURST, retry_after=30.0)
    assert block_for(asked, "big", NOW) == rest(Ground.COOLING, 30, "burst")


def test_an_answer_makes_up_for_little() -> None:
    assert (SERVED.health, SERVED.tokens, SERVED.block) == (1.0, -1.0, None)


def test_a_limit_lasts_until_its_own_end_for_every_model() -> None:
    limit = outcome(Kind.USAGE_LIMIT, resets_at=NOW + 3600, authoritative=True)
    assert block_for(limit, "big", NOW) == Block(NOW + 3600, "usage_limit", authoritative=True, since=NOW)


def test_a_limit_of_another_family_is_the_model_s_alone() -> None:
    block = block_for(outcome(Kind.USAGE_LIMIT, resets_at=NOW + 3600, limit_id="spark"), "small", NOW)
    assert block is not None and (block.model, block.limit_id) == ("small", "spark")


@pytest.mark.parametrize(("asked", "rests"), [(1, 4), (30, 30)], ids=["less than usual", "more"])
def test_a_backend_in_trouble_is_left_alone_for_as_long_as_it_asks(asked: float, rests: float) -> None:
    block = block_for(outcome(Kind.SERVER_ERROR, retry_after=asked), "big", NOW)
    assert block is not None and block.until == NOW + rests


def used(*windows: Window, credits: Credits | None = None) -> Snapshot:
    return Snapshot("plus", windows, credits, NOW, Source.HEADERS)


def window(percent: float, resets_in: float | None, name: str = "5h", limit_id: str = MAIN_LIMIT) -> Window:
    return Window(name, limit_id, percent, None, None if resets_in is None else NOW + resets_in)


def test_windows_that_are_full_block_until_the_last_of_them_resets() -> None:
    full = used(window(100, 60), window(100, 9000, "weekly"), window(40, 99999, "monthly"))
    reason = "5h and weekly limit used up"
    assert block_by_figures(full, MAIN_LIMIT, "big", NOW) == Block(NOW + 9000, reason, authoritative=True, since=NOW)


def test_full_windows_that_do_not_say_when_they_reset_block_for_five_minutes() -> None:
    block = block_by_figures(used(window(100, None)), MAIN_LIMIT, "big", NOW)
    assert block is not None and (block.until, block.authoritative) == (NOW + 300, False)


def test_a_limit_of_which_nobody_knows_the_window_is_just_a_limit() -> None:
    block = block_by_figures(used(window(100, 60, "limit")), MAIN_LIMIT, "big", NOW)
    assert block is not None and block.reason == "limit used up"


def test_a_full_window_that_has_been_reset_since_blocks_nobody() -> None:
    assert block_by_figures(used(window(100, 60)), MAIN_LIMIT, "big", NOW + 60) is None
    block = block_by_figures(used(window(100, 60), window(100, 9000, "weekly")), MAIN_LIMIT, "big", NOW + 60)
    assert block is not None and block.reason == "weekly limit used up"


def test_windows_of_another_limit_count_for_the_models_of_that_limit() -> None:
    snapshot = used(window(100, 60, limit_id="spark"))
    block = block_by_figures(snapshot, "spark", "small", NOW)
    assert block is not None and (block.model, block.limit_id) == ("small", "spark")
    assert block_by_figures(snapshot, MAIN_LIMIT, "big", NOW) is None


@pytest.mark.parametrize(
    "snapshot",
    [used(window(99.9, 60)), used(window(100, 60), credits=Credits(True, False, "5")), used()],
    ids=["a little left", "credits", "nothing known"],
)
def test_where_there_is_room_nothing_is_blocked(snapshot: Snapshot) -> None:
    assert block_by_figures(snapshot, MAIN_LIMIT, "big", NOW) is None


def test_changes_are_made_to_the_account() -> None:
    block = rest(Ground.COOLING, 4, "server error")
    assert changed(account(), Changes(block=block), NOW).blocks == (block,)
    dead = changed(account(), Changes(dead="login revoked"), NOW)
    assert (dead.health, dead.health_reason, dead.health_at) == (Health.NEEDS_LOGIN, "login revoked", NOW)
    assert changed(account(), Changes(health=-20), NOW) == account()


def test_paid_requests_are_counted_by_the_day_up_to_the_limit() -> None:
    key = replace(account("key"), lane=Lane.PLATFORM)
    today = int(NOW // 86400)
    first = paid(key, NOW, 2)
    assert first is not None and first.spending == Spending(today, 1)
    second = paid(first, NOW, 2)
    assert second is not None and second.spending == Spending(today, 2)
    assert paid(second, NOW, 2) is None
    tomorrow = paid(second, NOW + 86400, 2)
    assert tomorrow is not None and tomorrow.spending == Spending(today + 1, 1)

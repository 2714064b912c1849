"""Which account serves the next attempt, why this one, and what is said where none can."""

from dataclasses import replace

import pytest

from support.logins import NOW
from support.logins import account as login
from understudy.pool.account import Account, Block, Ground, Health, Lane, Spending
from understudy.pool.choose import Choice, Exhausted, Rules, candidates, choose, find, given_up
from understudy.pool.obstacles import Obstacle, Why
from understudy.pool.pool import Pin
from understudy.pool.session import Isolation, Session
from understudy.pool.standing import Standing
from understudy.pool.strategies import By, Course, Strategy
from understudy.wire.text import clock_time

WORK, HOME, SPARE = login("work"), login("home"), login("spare")
POOL = (WORK, HOME, SPARE)
KEY = replace(login("key"), lane=Lane.PLATFORM)
TODAY = int(NOW // 86400)
NEW, AS_USUAL, AT_FIRST = Session("m"), Rules(), Course()
OVERFLOW = Rules(overflow=True, overflow_limit=2)


def blocked(account: Account, ground: Ground, seconds: float = 60, **more: str | float | bool) -> Account:
    block = Block(NOW + seconds, ground.value, authoritative=ground is Ground.LIMIT, ground=ground, since=NOW)
    return replace(account, blocks=(*account.blocks, replace(block, **more)))  # type: ignore[arg-type]


def limited(account: Account, seconds: float, **more: str | float | bool) -> Account:
    return blocked(account, Ground.LIMIT, seconds, **more)


def early(account: Account, seconds: float = 60) -> Account:
    """Limited, and past the half of it."""
    return limited(account, seconds, since=NOW - seconds - 1)


def decide(
    *accounts: Account | Standing, session: Session = NEW, rules: Rules = AS_USUAL, course: Course = AT_FIRST
) -> Choice | Exhausted:
    standings = [each if isinstance(each, Standing) else Standing(each) for each in accounts]
    return choose(standings, session, NOW, rules, course)


def chosen(
    *accounts: Account | Standing, session: Session = NEW, rules: Rules = AS_USUAL, course: Course = AT_FIRST
) -> tuple[str, By]:
    choice = decide(*accounts, session=session, rules=rules, course=course)
    assert isinstance(choice, Choice), choice
    return choice.account.label, choice.by


def refused(*accounts: Account | Standing, session: Session = NEW, rules: Rules = AS_USUAL) -> dict[str, Why]:
    exhausted = decide(*accounts, session=session, rules=rules)
    assert isinstance(exhausted, Exhausted), exhausted
    return {obstacle.label: obstacle.why for obstacle in exhausted.obstacles}


class TestWhoHasTheRequestAlready:
    def test_a_new_session_takes_the_first_account_in_pool_order(self) -> None:
        assert chosen(*POOL) == ("work", By.ORDER)

    @pytest.mark.parametrize("strategy", Strategy)
    def test_a_session_stays_on_its_account_under_every_strategy(self, strategy: Strategy) -> None:
        rules, course = Rules(strategy), Course(WORK.id, NOW)
        assert chosen(*POOL, session=Session("m", bound=SPARE.id), rules=rules, course=course) == ("spare", By.SESSION)

    def test_a_turn_is_ended_by_the_account_that_began_it(self) -> None:
        assert chosen(*POOL, session=Session("m", turn=HOME.id, bound=SPARE.id)) == ("home", By.TURN)

    def test_a_session_whose_account_cannot_serve_goes_where_a_new_one_would(self) -> None:
        assert chosen(WORK, HOME, limited(SPARE, 60), session=Session("m", bound=SPARE.id)) == ("work", By.ORDER)

    @pytest.mark.parametrize("strategy", Strategy)
    def test_it_stays_with_the_account_that_serves_it_meanwhile(self, strategy: Strategy) -> None:
        session, rules = Session("m", bound=SPARE.id, served=HOME.id), Rules(strategy)
        assert chosen(WORK, HOME, limited(SPARE, 60), session=session, rules=rules) == ("home", By.MEANWHILE)
        assert chosen(*POOL, session=session, rules=rules) == ("spare", By.SESSION)

    @pytest.mark.parametrize("name", ["home", "acct_home", "ws-home", "HOME"])
    def test_a_pin_moves_every_session(self, name: str) -> None:
        session = Session("m", turn=SPARE.id, bound=WORK.id)
        assert chosen(*POOL, session=session, rules=Rules(pin=Pin(name))) == ("home", By.PIN)

    def test_a_soft_pin_falls_through_where_its_account_cannot_serve(self) -> None:
        rules = Rules(pin=Pin("home", soft=True))
        assert chosen(*POOL, rules=rules) == ("home", By.PREFERRED)
        assert chosen(WORK, limited(HOME, 60), SPARE, rules=rules) == ("work", By.ORDER)

    def test_a_hard_pin_never_does(self) -> None:
        expected = {"work": Why.PINNED_AWAY, "home": Why.LIMIT, "spare": Why.PINNED_AWAY}
        assert refused(WORK, limited(HOME, 60), SPARE, rules=Rules(pin=Pin("home"))) == expected

    def test_a_pin_that_names_nobody_serves_nobody_unless_it_is_soft(self) -> None:
        assert refused(*POOL, rules=Rules(pin=Pin("nobody"))) == {"nobody": Why.UNKNOWN}
        assert chosen(*POOL, rules=Rules(pin=Pin("nobody", soft=True))) == ("work", By.ORDER)

    def test_what_this_request_has_already_met_is_passed_over(self) -> None:
        met = {WORK.id: Obstacle("work", Why.TRIED, "server error")}
        choice = decide(*POOL, session=Session("m", bound=WORK.id, met=met))
        assert isinstance(choice, Choice)
        assert (choice.account, choice.passed) == (HOME, (met[WORK.id],))


class TestWhoMayNotHaveIt:
    @pytest.mark.parametrize(
        "unusable",
        [
            pytest.param(replace(WORK, enabled=False), id="disabled"),
            pytest.param(replace(WORK, health=Health.NEEDS_LOGIN, health_reason="token revoked"), id="needs login"),
            *(pytest.param(blocked(WORK, ground, 1), id=ground) for ground in Ground),
        ],
    )
    def test_an_account_that_cannot_serve_is_passed_over(self, unusable: Account) -> None:
        assert chosen(unusable, HOME, session=Session("m", bound=unusable.id)) == ("home", By.ORDER)

    @pytest.mark.parametrize("ground", Ground)
    def test_a_block_that_has_run_out_blocks_nobody(self, ground: Ground) -> None:
        assert chosen(blocked(WORK, ground, 0), HOME) == ("work", By.ORDER)

    @pytest.mark.parametrize("ground", Ground)
    def test_a_model_s_block_stops_no_other_model(self, ground: Ground) -> None:
        work = blocked(WORK, ground, model="big")
        assert chosen(work, HOME, session=Session("small")) == ("work", By.ORDER)
        assert chosen(work, HOME, session=Session("big")) == ("home", By.ORDER)

    @pytest.mark.parametrize("trouble", [Ground.COOLING, Ground.BREAKER, None])
    @pytest.mark.parametrize("rules", [Rules(), Rules(pin=Pin("home"))], ids=["unpinned", "pinned"])
    def test_what_one_account_alone_can_read_goes_nowhere_else(self, trouble: Ground | None, rules: Rules) -> None:
        home = blocked(HOME, trouble) if trouble else early(HOME)
        session = Session("m", owner=WORK.id, held=True)
        told = refused(replace(WORK, enabled=False), home, session=session, rules=rules)
        assert told["home"] is Why.HELD

    def test_what_is_held_goes_to_its_own_account_before_that_of_the_turn_or_the_session(self) -> None:
        session = Session("m", turn=WORK.id, bound=HOME.id, owner=SPARE.id, held=True)
        assert chosen(*POOL, session=session) == ("spare", By.HELD)

    def test_what_an_account_holds_that_is_gone_is_lost(self) -> None:
        assert refused(WORK, session=Session("m", owner="acct_gone", held=True)) == {"work": Why.HELD}
        assert chosen(WORK, session=Session("m", owner="acct_gone")) == ("work", By.ORDER)

    def test_what_nobody_is_known_to_hold_may_be_tried(self) -> None:
        assert chosen(*POOL, session=Session("m", held=True)) == ("work", By.ORDER)

    @pytest.mark.parametrize("trouble", [Ground.COOLING, Ground.BREAKER, None])
    def test_a_conversation_never_crosses_into_another_workspace(self, trouble: Ground | None) -> None:
        team = replace(HOME, plan="team")
        team = blocked(team, trouble) if trouble else early(team)
        session, rules = Session("m", bound=WORK.id), Rules(isolation=Isolation.WORKSPACE)
        assert refused(limited(WORK, 60), team, session=session, rules=rules)["home"] is Why.ISOLATED
        assert chosen(limited(WORK, 60), team, SPARE, session=session, rules=rules) == ("spare", By.ORDER)

    def test_a_conversation_whose_account_is_gone_stays_away_from_all_others(self) -> None:
        session, rules = Session("m", owner="acct_gone"), Rules(isolation=Isolation.WORKSPACE)
        assert refused(WORK, session=session, rules=rules) == {"work": Why.ISOLATED}

    def test_the_end_of_a_limit_is_not_worth_waiting_for_where_the_account_may_not_serve_after_it(self) -> None:
        session = Session("m", owner=WORK.id, held=True)
        exhausted = decide(replace(WORK, enabled=False), limited(HOME, 60), session=session)
        assert isinstance(exhausted, Exhausted) and not exhausted.by_limits


class TestTheLastResorts:
    def test_whoever_can_serve_comes_first_and_what_costs_money_last(self) -> None:
        ranks = [
            (SPARE, By.ORDER),
            (blocked(SPARE, Ground.COOLING), By.COOLING),
            (blocked(SPARE, Ground.BREAKER), By.PROBE),
            (early(SPARE), By.EARLY),
        ]
        others = [blocked(WORK, Ground.BREAKER), early(HOME), KEY]
        assert chosen(*others, ranks[0][0], rules=OVERFLOW) == ("spare", By.ORDER)
        assert chosen(*others, ranks[1][0], rules=OVERFLOW) == ("spare", By.COOLING)
        for at, (account, by) in enumerate(ranks):
            worse = [replace(each, id=f"acct_{n}", label=f"a{n}") for n, (each, _) in enumerate(ranks[at + 1 :])]
            assert chosen(KEY, *worse, account, rules=OVERFLOW) == ("spare", by)
        assert chosen(KEY, rules=OVERFLOW) == ("key", By.OVERFLOW)

    @pytest.mark.parametrize("ground", [Ground.LOGIN, Ground.ENTITLEMENT, Ground.LIMIT])
    def test_whoever_is_blocked_for_good_reason_is_not_asked_even_then(self, ground: Ground) -> None:
        assert isinstance(decide(blocked(WORK, ground)), Exhausted)

    def test_of_several_the_one_whose_trouble_ends_first_is_asked(self) -> None:
        assert chosen(early(WORK, 600), early(HOME, 500), early(SPARE, 700)) == ("home", By.EARLY)

    def test_one_request_at_a_time_finds_out_whether_an_account_works_again(self) -> None:
        broken = blocked(WORK, Ground.BREAKER)
        assert chosen(broken) == ("work", By.PROBE)
        assert refused(Standing(broken, probing=True)) == {"work": Why.PROBING}

    def test_a_limit_counts_more_than_a_failure_of_a_moment_ago(self) -> None:
        assert refused(limited(blocked(WORK, Ground.COOLING), 60)) == {"work": Why.LIMIT}

    def test_a_choice_says_what_was_in_the_way_of_the_others_and_of_itself(self) -> None:
        choice = decide(blocked(WORK, Ground.COOLING), limited(HOME, 60))
        assert isinstance(choice, Choice)
        assert str(choice) == "work (failed a moment ago, but nobody else is left)"
        assert {obstacle.label: obstacle.why for obstacle in choice.passed} == {"work": Why.COOLING, "home": Why.LIMIT}


class TestWhatCostsMoney:
    def test_it_is_taken_only_where_the_user_said_so(self) -> None:
        assert refused(KEY) == {"key": Why.OVERFLOW_OFF}
        assert refused(KEY, rules=Rules(pin=Pin("key"))) == {"key": Why.OVERFLOW_OFF}

    def test_so_many_times_a_day_and_no_more(self) -> None:
        assert chosen(replace(KEY, spending=Spending(TODAY, 1)), rules=OVERFLOW) == ("key", By.OVERFLOW)
        assert refused(replace(KEY, spending=Spending(TODAY, 2)), rules=OVERFLOW) == {"key": Why.SPENT}
        assert chosen(replace(KEY, spending=Spending(TODAY - 1, 2)), rules=OVERFLOW) == ("key", By.OVERFLOW)

    def test_no_session_belongs_to_it(self) -> None:
        assert chosen(KEY, WORK, session=Session("m", bound=KEY.id, turn=KEY.id), rules=OVERFLOW)[0] == "work"

    def test_it_is_not_tried_out(self) -> None:
        assert chosen(blocked(KEY, Ground.COOLING), rules=OVERFLOW) == ("key", By.OVERFLOW)
        assert refused(blocked(KEY, Ground.BREAKER), rules=OVERFLOW) == {"key": Why.BREAKER}
        assert refused(early(KEY), rules=OVERFLOW) == {"key": Why.LIMIT}

    @pytest.mark.parametrize("trouble", [Ground.COOLING, Ground.BREAKER])
    def test_trouble_does_not_make_it_free(self, trouble: Ground) -> None:
        assert refused(blocked(KEY, trouble)) == {"key": Why.OVERFLOW_OFF}


class TestWhatIsSaidWhereNobodyCan:
    def test_a_host_is_told_no_time_that_is_a_guess(self) -> None:
        sure, guess = (
            Obstacle("work", Why.LIMIT, "limit", NOW + 60, authoritative=True),
            Obstacle("home", Why.LIMIT, "limit", NOW + 60),
        )
        exhausted = Exhausted((sure, guess, replace(sure, label="key", why=Why.COOLING, reason="failing")))
        at = clock_time(NOW + 60, NOW)
        assert exhausted.words(NOW, told=True) == f"work: limit until {at}; home: limit; key: failing"
        assert exhausted.words(NOW) == f"work: limit until {at}; home: limit until {at}; key: failing until {at}"

    def test_an_empty_pool_has_no_obstacles_to_name(self) -> None:
        assert decide() == Exhausted(())
        assert Exhausted(()).words(NOW) == "there are no accounts"

    def told(self, *accounts: Account, session: Session = NEW) -> Exhausted:
        exhausted = decide(*accounts, session=session)
        assert isinstance(exhausted, Exhausted)
        return exhausted

    def test_where_all_are_limited_it_is_the_soonest_reset(self) -> None:
        told = self.told(limited(WORK, 300), limited(HOME, 60))
        assert (told.by_limits, told.resets_at, told.recovers_at) == (True, NOW + 60, NOW + 60)

    def test_a_reset_that_the_backend_did_not_name_is_waited_for_and_never_told(self) -> None:
        told = self.told(limited(WORK, 60, authoritative=False), limited(HOME, 300))
        assert (told.resets_at, told.recovers_at) == (NOW + 300, NOW + 60)

    def test_a_dead_login_beside_a_limited_one_does_not_hide_the_limit(self) -> None:
        assert self.told(limited(WORK, 60), replace(HOME, health=Health.NEEDS_LOGIN)).by_limits

    def test_trouble_on_one_account_means_that_trying_again_may_help(self) -> None:
        met = {HOME.id: Obstacle("home", Why.TRIED, "server error")}
        assert not self.told(limited(WORK, 60), HOME, session=Session("m", met=met)).by_limits

    def test_a_model_that_no_account_has_is_not_a_limit(self) -> None:
        unentitled = blocked(WORK, Ground.ENTITLEMENT)
        assert self.told(unentitled, replace(HOME, enabled=False)).by_entitlement
        told = self.told(unentitled, limited(HOME, 60))
        assert (told.by_entitlement, told.by_limits) == (False, True)

    def test_a_request_without_attempts_left_names_those_that_it_has_not_asked(self) -> None:
        standings = [Standing(limited(WORK, 60)), Standing(HOME)]
        left = given_up(standings, Session("m"), NOW, Rules())
        assert [obstacle.why for obstacle in left.obstacles] == [Why.LIMIT, Why.UNASKED]
        assert not left.by_limits

    def test_accounts_that_a_pin_keeps_out_are_no_news(self) -> None:
        exhausted = decide(WORK, replace(HOME, enabled=False), rules=Rules(pin=Pin("home")))
        assert isinstance(exhausted, Exhausted) and exhausted.words(NOW) == "home: disabled"


def test_a_label_wins_over_an_id_that_reads_the_same() -> None:
    impostor = replace(HOME, account_id="work")
    assert find((impostor, WORK), "work") is WORK
    assert find(POOL, "nobody") is None


def test_only_a_hard_pin_leaves_one_account() -> None:
    assert list(candidates(POOL, Pin("home"))) == [HOME]
    assert candidates(POOL, Pin("home", soft=True)) == candidates(POOL, None) == POOL

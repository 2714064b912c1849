"""What an account is before its refresh is sent, and what the answer makes of it."""

from dataclasses import replace

import pytest

from support.logins import NOW, account, tokens
from understudy.oauth.refresh import Outcome, Rejected, Transient
from understudy.oauth.renewal import LOST, NeedsLogin, RefreshFailed, claimed, settled
from understudy.pool.account import Account, Health
from understudy.pool.health import needs_login
from understudy.pool.refreshes import Refreshes

ADA = account("ada")
REUSED = Rejected("refresh_token_reused", "its refresh token was used by another program")
BUSY = Transient("the login server answered 503")
SILENT = Transient("the login server did not answer", perhaps_spent=True)


def after(outcome: Outcome, asked: Account = ADA) -> Account:
    """The account after a refresh that was sent at `NOW` and ended a second later."""
    return settled(claimed(asked, NOW), asked, outcome, NOW + 1, NOW)


def test_before_a_refresh_is_sent_the_account_says_so() -> None:
    assert claimed(ADA, NOW) == replace(ADA, refreshes=Refreshes(sent_at=NOW, attempts=(NOW,)))


def test_no_refresh_is_sent_for_a_dead_a_disabled_or_a_waiting_account() -> None:
    with pytest.raises(NeedsLogin, match="the login has expired"):
        claimed(needs_login(ADA, "the login has expired", NOW), NOW)
    with pytest.raises(RefreshFailed, match="disabled"):
        claimed(replace(ADA, enabled=False), NOW)
    with pytest.raises(RefreshFailed, match="not known yet; it is tried again in 48 s"):
        claimed(claimed(ADA, NOW), NOW + 12)


def test_tokens_that_come_take_the_place_of_the_old_ones_and_end_all_trouble() -> None:
    new = tokens("ada", mark="new")
    renewed = after(new, replace(ADA, refreshes=Refreshes(sent_at=NOW - 99, streak=3, reason="trouble")))
    assert renewed == replace(ADA, tokens=new, refreshes=Refreshes(attempts=(NOW,), renewed_at=NOW + 1))


def test_a_final_no_is_kept_with_its_reason() -> None:
    dead = after(REUSED)
    assert (dead.health, dead.health_reason, dead.health_at) == (Health.NEEDS_LOGIN, REUSED.message, NOW + 1)


def test_a_spent_token_is_explained_by_the_answer_that_was_lost_before() -> None:
    assert after(REUSED, replace(ADA, refreshes=Refreshes(sent_at=NOW - 99))).health_reason == LOST


def test_only_an_answer_that_may_have_been_tokens_stays_unanswered() -> None:
    assert (after(BUSY).refreshes.sent_at, after(BUSY).refreshes.retry_at) == (None, NOW + 31)
    assert (after(SILENT).refreshes.sent_at, after(SILENT).refreshes.retry_at) == (NOW, NOW + 61)


@pytest.mark.parametrize("outcome", [tokens("ada", mark="late"), REUSED, BUSY, SILENT], ids=repr)
def test_no_answer_changes_an_account_that_has_got_other_tokens_meanwhile(outcome: Outcome) -> None:
    newer = replace(ADA, tokens=tokens("ada", mark="newer"))
    assert settled(newer, ADA, outcome, NOW + 1, NOW) == newer


@pytest.mark.parametrize("outcome", [Transient("not sent"), Transient("no answer", perhaps_spent=True)])
def test_trouble_does_not_touch_the_record_of_a_refresh_that_another_process_has_sent_since(outcome: Transient) -> None:
    since = claimed(ADA, NOW + 100)
    assert settled(since, ADA, outcome, NOW + 101, NOW) == since

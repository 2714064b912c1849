"""When a refresh may be sent: never while one is unanswered, not soon after trouble, and not often."""

import pytest

from understudy.pool.refreshes import Refreshes, Wait, failed, renewed, sending, unanswered, wait_of

NOW = 1_000_000.0
NEW = Refreshes()


def test_a_refresh_may_be_sent_at_any_time_when_nothing_is_known_of_any() -> None:
    assert wait_of(NEW, NOW) is None


def test_one_that_is_unanswered_forbids_the_next_for_a_minute() -> None:
    sent = sending(NEW, NOW)
    assert wait_of(sent, NOW + 59.9) == Wait(NOW + 60, "the answer to its last refresh is not known yet")
    assert wait_of(sent, NOW + 60) is None


def test_each_failure_in_a_row_makes_the_pause_longer_up_to_five_minutes() -> None:
    record, pauses = NEW, []
    for _ in range(12):
        record = failed(sending(record, NOW), "the login server answered 503", NOW)
        pauses.append(record.retry_at - NOW)
    assert pauses == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]
    assert wait_of(record, NOW + 299) == Wait(NOW + 300, "the login server answered 503")


def test_an_answer_that_was_lost_leaves_its_mark_until_tokens_come() -> None:
    lost = unanswered(sending(NEW, NOW), "no answer", NOW + 15)
    assert lost.sent_at == NOW
    assert wait_of(lost, NOW + 74) == Wait(NOW + 75, "no answer")
    assert wait_of(lost, NOW + 75) is None
    assert renewed(lost, NOW + 80).sent_at is None


def test_the_login_server_may_ask_for_a_longer_pause_but_not_for_more_than_an_hour() -> None:
    assert failed(NEW, "too many requests", NOW, asked=5).retry_at == NOW + 30
    assert failed(NEW, "too many requests", NOW, asked=90).retry_at == NOW + 90
    assert failed(NEW, "too many requests", NOW, asked=86400).retry_at == NOW + 3600


def test_an_answer_that_was_lost_stays_lost_when_the_next_refresh_fails() -> None:
    assert failed(sending(NEW, NOW), "the login server answered 503", NOW).sent_at is None
    assert failed(sending(NEW, NOW), "the login server answered 503", NOW, lost_at=NOW - 60).sent_at == NOW - 60


def test_tokens_that_come_end_the_trouble_and_count_as_an_attempt() -> None:
    record = renewed(failed(sending(NEW, NOW), "trouble", NOW), NOW + 40)
    assert (record.streak, record.retry_at, record.reason, record.renewed_at) == (0, 0.0, "", NOW + 40)
    assert record.attempts == (NOW,)


def test_an_account_makes_no_more_than_five_refreshes_a_minute() -> None:
    record = NEW
    for second in range(5):
        assert wait_of(record, NOW + second) is None
        record = renewed(sending(record, NOW + second), NOW + second)
    assert wait_of(record, NOW + 59) == Wait(NOW + 60, "5 refreshes within a minute")
    assert wait_of(record, NOW + 60) is None


@pytest.mark.parametrize(
    "record",
    [
        Refreshes(attempts=tuple(NOW + 9999 + n for n in range(5))),
        Refreshes(retry_at=NOW + 86400),
        Refreshes(sent_at=NOW + 86400),
    ],
    ids=["attempts", "a pause", "one without an answer"],
)
def test_what_a_clock_wrote_that_was_set_back_since_counts_for_nothing(record: Refreshes) -> None:
    assert wait_of(record, NOW) is None


def test_one_that_another_process_sent_this_very_moment_is_no_matter_of_clocks() -> None:
    assert wait_of(Refreshes(sent_at=NOW + 0.01), NOW) is not None

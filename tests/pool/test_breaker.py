"""What keeps failing is asked less: an account, or the backend as a whole; and one request at a time finds out."""

from support.logins import NOW
from understudy.pool.breaker import Breaker


class TestAnAccount:
    def test_the_third_failure_within_a_minute_opens_its_breaker(self) -> None:
        breaker = Breaker()
        assert [breaker.failed("work", NOW + second) for second in (0, 30, 60)] == [False, False, True]

    def test_failures_that_are_spread_out_open_none(self) -> None:
        breaker = Breaker()
        assert not any(breaker.failed("work", NOW + 31 * n) for n in range(10))

    def test_a_probe_that_fails_opens_it_again(self) -> None:
        breaker = Breaker()
        assert [breaker.failed("work", NOW + second) for second in (0, 1, 2, 34)] == [False, False, True, True]

    def test_an_answer_makes_up_for_everything(self) -> None:
        breaker = Breaker()
        breaker.failed("work", NOW)
        breaker.failed("work", NOW)
        breaker.succeeded("work")
        assert not breaker.failed("work", NOW)

    def test_each_account_is_counted_by_itself(self) -> None:
        breaker = Breaker()
        assert not any(breaker.failed(account, NOW) for account in ("work", "home", "work", "home"))

    def test_what_a_clock_counted_that_was_set_back_since_counts_for_nothing(self) -> None:
        breaker = Breaker()
        assert not any(breaker.failed("work", now) for now in (NOW + 9999, NOW, NOW + 1))


class TestTheBackend:
    def test_three_accounts_that_fail_within_ten_seconds_are_an_outage_of_ten_seconds(self) -> None:
        breaker = Breaker()
        for second, account in enumerate(("work", "home", "spare")):
            assert not breaker.is_outage(NOW)
            breaker.failed(account, NOW + 5 * second)
        assert [breaker.is_outage(NOW + second) for second in (10, 19, 20)] == [True, True, False]

    def test_one_account_that_fails_often_is_none(self) -> None:
        breaker = Breaker()
        for _ in range(9):
            breaker.failed("work", NOW)
        assert not breaker.is_outage(NOW)

    def test_nor_are_three_that_fail_one_after_the_other(self) -> None:
        breaker = Breaker()
        for second, account in enumerate(("work", "home", "spare")):
            breaker.failed(account, NOW + 6 * second)
        assert not breaker.is_outage(NOW + 12)

    def test_nor_are_three_with_an_answer_in_between(self) -> None:
        breaker = Breaker()
        breaker.failed("work", NOW)
        breaker.failed("home", NOW)
        breaker.succeeded("other")
        breaker.failed("spare", NOW)
        assert not breaker.is_outage(NOW)

    def test_an_answer_of_one_says_that_the_failures_of_others_are_their_own(self) -> None:
        breaker = Breaker()
        for account in ("work", "home"):
            breaker.failed(account, NOW)
        breaker.succeeded("spare")
        breaker.failed("work", NOW + 1)
        assert not breaker.is_outage(NOW + 1)

    def test_one_answer_ends_it(self) -> None:
        breaker = Breaker()
        for account in ("work", "home", "spare"):
            breaker.failed(account, NOW)
        breaker.succeeded("work")
        assert not breaker.is_outage(NOW)


class TestProbes:
    def test_an_account_is_probed_until_the_request_ends(self) -> None:
        breaker = Breaker()
        breaker.probe("work", "request")
        assert breaker.probes("work") and not breaker.probes("home")
        breaker.ended("another")
        assert breaker.probes("work")
        breaker.ended("request")
        assert not breaker.probes("work")


class TestAChallenge:
    def test_for_a_minute_after_it_one_request_at_a_time_goes_out(self) -> None:
        breaker = Breaker()
        assert not breaker.must_wait("early", NOW)
        breaker.challenged(NOW)
        assert not breaker.must_wait("a", NOW + 1)
        breaker.sends("a")
        assert [breaker.must_wait(request, NOW + 1) for request in ("a", "b")] == [False, True]
        breaker.ended("a")
        assert not breaker.must_wait("b", NOW + 2)
        breaker.sends("b")
        assert breaker.must_wait("c", NOW + 2)
        assert not breaker.must_wait("c", NOW + 60)

    def test_a_probe_that_is_stopped_prolongs_it(self) -> None:
        breaker = Breaker()
        breaker.challenged(NOW)
        breaker.sends("a")
        breaker.challenged(NOW + 50)
        breaker.ended("a")
        breaker.sends("b")
        assert breaker.must_wait("c", NOW + 100)

    def test_a_request_that_sends_nothing_holds_nobody_up(self) -> None:
        breaker = Breaker()
        breaker.challenged(NOW)
        assert not breaker.must_wait("waits for a limit", NOW + 1)
        assert not breaker.must_wait("b", NOW + 1)

    def test_an_answer_ends_it(self) -> None:
        breaker = Breaker()
        breaker.challenged(NOW)
        breaker.sends("a")
        breaker.succeeded("work")
        assert not breaker.must_wait("b", NOW + 2)

    def test_one_that_lies_in_the_future_since_the_clock_was_set_back_is_none(self) -> None:
        breaker = Breaker()
        breaker.challenged(NOW + 9999)
        assert [breaker.must_wait(request, NOW) for request in ("a", "b")] == [False, False]

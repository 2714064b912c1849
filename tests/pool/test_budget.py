"""Retries are a fraction of the requests, with a floor for a quiet proxy."""

from understudy.pool.budget import RetryBudget


def withdrawn(budget: RetryBudget, now: float) -> int:
    count = 0
    while budget.withdraw(now):
        count += 1
    return count


def test_a_quiet_proxy_may_retry_ten_times_a_minute() -> None:
    budget = RetryBudget()
    assert withdrawn(budget, now=0) == 10
    assert withdrawn(budget, now=59) == 0
    assert withdrawn(budget, now=61) == 10


def test_a_busy_proxy_may_retry_a_fifth_of_its_requests() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.request(now=0)
    assert withdrawn(budget, now=1) == 200


def test_requests_of_the_last_minute_count_and_no_older_ones() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.request(now=0)
    budget.request(now=61)
    assert withdrawn(budget, now=61) == 10

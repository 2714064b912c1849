"""What a host is told where no account can serve."""

import json

from support.logins import NOW
from understudy.pool.choose import Exhausted
from understudy.pool.obstacles import Obstacle, Why
from understudy.proxy.refusals import LONGEST_PAUSE, no_account, without_long_pause
from understudy.wire.text import clock_time


def test_a_host_hears_of_no_reset_that_the_backend_did_not_name() -> None:
    guess = Obstacle("work", Why.LIMIT, "usage limit", NOW + 300)
    reply = no_account(Exhausted((guess,)), NOW)
    error = json.loads(reply.body)["error"]
    assert reply.status == 429 and "resets_at" not in error and "retry-after" not in dict(reply.headers)
    assert "(work: usage limit)" in error["message"] and clock_time(NOW + 300, NOW) not in error["message"]


def test_what_the_backend_named_is_told() -> None:
    sure = Obstacle("work", Why.LIMIT, "usage limit", NOW + 3600, authoritative=True)
    error = json.loads(no_account(Exhausted((sure,)), NOW).body)["error"]
    assert (error["resets_at"], error["resets_in_seconds"]) == (NOW + 3600, 3600)
    assert f"(work: usage limit until {clock_time(NOW + 3600, NOW)})" in error["message"]


def test_a_host_that_would_sleep_through_a_long_pause_hears_of_a_short_one_alone() -> None:
    for seconds, told in ((LONGEST_PAUSE, True), (LONGEST_PAUSE + 1, False)):
        sure = Obstacle("work", Why.LIMIT, "usage limit", NOW + seconds, authoritative=True)
        reply = without_long_pause(no_account(Exhausted((sure,)), NOW))
        assert ("retry-after" in dict(reply.headers)) is told
        assert json.loads(reply.body)["error"]["resets_in_seconds"] == seconds
    empty = no_account(Exhausted(()), NOW)
    assert without_long_pause(empty) is empty

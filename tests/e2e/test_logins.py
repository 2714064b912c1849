"""A running proxy keeps its accounts' logins alive, and says so when one is dead."""

import re

from support.theatre import Theatre, TheatreFactory, eventually
from understudy.pool.account import Health


def test_a_proxy_at_rest_refreshes_what_ends_soon_and_tells_of_a_login_that_is_dead(theatres: TheatreFactory) -> None:
    specs = {"soon": {"first_life": 200}, "gone": {"first_life": -5.0, "token_steps": [{"do": "refuse"}]}}
    theatre = theatres(specs=specs)
    theatre.cast(soon={"do": "answer"}, gone={"do": "answer"}, work={"do": "answer"})
    before = theatre.account("work").tokens, theatre.account("soon").tokens
    eventually(lambda: theatre.account("soon").tokens != before[1], 20)
    assert theatre.account("soon").tokens.refresh.reveal() == theatre.sandbox.tokens(theatre.login("soon")).refresh
    assert theatre.account("work").tokens == before[0]
    assert theatre.account("gone").health is Health.NEEDS_LOGIN
    assert len(re.findall(r"gone is used no more: the login has expired; .*`understudy login`", theatre.proxy.log)) == 1
    assert theatre.calls == ()


def test_a_login_that_a_request_finds_dead_is_told_and_loudly_when_it_was_the_last(theatre: Theatre) -> None:
    theatre.cast(work={"do": "revoked"}, home={"do": "revoked"})
    for _ in range(2):
        theatre.ask()
    log = theatre.proxy.wait_for_log("no usable account is left, every call will be refused; .*`understudy login`")
    assert re.findall(r"understudy: (\w+) is used no more: ", log) == ["work", "home"]
    assert log.count("no usable account is left") == 1

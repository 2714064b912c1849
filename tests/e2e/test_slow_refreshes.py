"""A refresh that hangs or fails costs no host anything, while another account can serve or the access token lives."""

import time

import pytest

from support.theatre import Theatre, TheatreFactory

SLOW = [{"do": "rotate", "wait": 12.0}]


def in_time(theatre: Theatre, *asked: str) -> None:
    """A host is served by the last of these roles, and has not waited."""
    began = time.monotonic()
    heard = theatre.ask()
    took = time.monotonic() - began
    assert (heard.status, theatre.asked) == (200, list(asked)), heard.body
    assert took < 6, f"{took:.1f} s"


@pytest.mark.parametrize(
    ("life", "served_by"),
    [
        pytest.param(45.0, "slow", id="its access token lives"),
        pytest.param(-5.0, "work", id="another account serves meanwhile"),
    ],
)
def test_a_host_does_not_wait_for_a_refresh_that_hangs(theatres: TheatreFactory, life: float, served_by: str) -> None:
    theatre = theatres(specs={"slow": {"first_life": life, "token_steps": SLOW}})
    theatre.cast(slow={"do": "answer"}, work={"do": "answer"})
    in_time(theatre, served_by)


def test_a_host_does_not_wait_for_a_refresh_after_a_refused_token(theatres: TheatreFactory) -> None:
    theatre = theatres(specs={"slow": {"token_steps": SLOW}})
    theatre.cast(slow={"do": "unauthorized"}, work={"do": "answer"})
    in_time(theatre, "slow", "work")


def test_a_host_waits_where_nobody_else_can_serve(theatres: TheatreFactory) -> None:
    theatre = theatres(specs={"slow": {"first_life": -5.0, "token_steps": [{"do": "rotate", "wait": 3.0}]}})
    theatre.cast(slow={"do": "answer"}, work={"do": "usage_limit"})
    assert (theatre.ask().status, theatre.asked) == (200, ["work", "slow"])


def test_a_host_is_served_by_another_account_while_the_pool_cannot_be_written(theatres: TheatreFactory) -> None:
    theatre = theatres(specs={"over": {"first_life": -5.0}})
    theatre.cast(over={"do": "answer"}, work={"do": "answer"})
    # An error that is logged before mitmproxy has started in full ends it.
    assert theatre.ask(b"[]").status == 400
    lock = theatre.store.home / ".accounts.json.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    in_time(theatre, "work")
    lock.rmdir()

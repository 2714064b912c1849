"""A lease is one holder's at a time, and ends by itself."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from understudy.state.lease import LIFETIME, Lease, holding, take_lease

NOW = 1_800_000_000.0


def take(home: Path, now: float = NOW) -> Lease | None:
    return take_lease(home / "leases", "acct_ada", now)


def test_a_lease_that_is_held_is_not_given_again_until_it_is_given_back(home: Path) -> None:
    lease = take(home)
    assert lease is not None
    assert take(home) is None
    lease.release()
    assert take(home) is not None


def test_leases_of_other_names_are_free(home: Path) -> None:
    take(home)
    assert take_lease(home / "leases", "acct_bob", NOW) is not None


@pytest.mark.parametrize(
    ("later", "free"),
    [
        pytest.param(-0.01, False, id="a clock read a moment before the holder's"),
        pytest.param(LIFETIME - 0.1, False, id="just before its end"),
        pytest.param(LIFETIME, True, id="at its end"),
        pytest.param(-3600.0, True, id="taken by a clock that was an hour ahead"),
    ],
)
def test_a_lease_ends_by_itself(home: Path, later: float, free: bool) -> None:
    take(home)
    assert (take(home, NOW + later) is not None) is free


def test_a_holder_whose_lease_ended_does_not_give_back_the_next_ones(home: Path) -> None:
    first = take(home)
    second = take(home, NOW + LIFETIME)
    assert first is not None and second is not None
    first.release()
    assert take(home, NOW + LIFETIME) is None


def test_a_lease_that_is_renewed_ends_later(home: Path) -> None:
    lease = take(home)
    assert lease is not None
    assert lease.renew(NOW + 15)
    assert take(home, NOW + 15 + LIFETIME - 0.1) is None
    assert take(home, NOW + 15 + LIFETIME) is not None


def test_a_lease_that_was_lost_cannot_be_renewed(home: Path) -> None:
    first, second = take(home), take(home, NOW + LIFETIME)
    assert first is not None and second is not None
    assert not first.renew(NOW + LIFETIME + 1)
    assert second.renew(NOW + LIFETIME + 1)


async def test_a_holder_whose_event_loop_is_busy_keeps_its_lease(home: Path) -> None:
    clock = [NOW]
    lease = take(home)
    assert lease is not None
    async with holding(lease, lambda: clock[0], beat=0.01):
        clock[0] += LIFETIME
        give_up = time.monotonic() + 10
        while json.loads(lease.path.read_bytes())["expires_at"] < clock[0] + LIFETIME:
            assert time.monotonic() < give_up
        assert take(home, clock[0]) is None
    assert take(home, clock[0]) is not None


async def test_a_lease_is_given_back_by_a_holder_that_fails_or_is_cancelled(home: Path) -> None:
    lease = take(home)
    assert lease is not None
    with pytest.raises(asyncio.CancelledError):
        async with holding(lease, lambda: NOW):
            raise asyncio.CancelledError
    assert take(home) is not None


@pytest.mark.parametrize("data", [b"", b"torn", b"[]", b'{"holder": 1}', b'{"holder": "x", "expires_at": "soon"}'])
def test_an_unreadable_lease_is_nobodys(home: Path, data: bytes) -> None:
    lease = take(home)
    assert lease is not None
    lease.path.write_bytes(data)
    assert take(home) is not None


def test_a_lease_says_who_holds_it(home: Path) -> None:
    lease = take(home)
    assert lease is not None
    assert json.loads(lease.path.read_bytes()).keys() == {"version", "holder", "pid", "expires_at"}


def test_to_give_back_a_lease_never_fails(home: Path) -> None:
    lease = take(home)
    assert lease is not None
    lease.path.unlink()
    lease.path.mkdir()
    lease.release()

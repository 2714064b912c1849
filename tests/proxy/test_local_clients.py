"""Who is a program on this machine: told by the address that it comes from."""

import socket

import pytest
from mitmproxy.connection import Client

from understudy.proxy.names import is_local


def client(address: str) -> Client:
    # Redirected, its other end is the address that it wanted to reach.
    return Client(peername=(address, 40000), sockname=("203.0.113.7", 443), timestamp_start=1.0)


def own_address() -> str:
    """An address of this machine that is not loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.7", 9))  # Sends nothing.
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
        return address


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_local(address: str) -> None:
    assert is_local(client(address))


def test_a_redirected_program_is_local_by_the_machine_s_own_address() -> None:
    assert is_local(client(own_address()))


@pytest.mark.parametrize("address", ["203.0.113.7", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_other_machines_are_not_even_under_the_address_that_was_to_be_reached(address: str) -> None:
    assert not is_local(client(address))

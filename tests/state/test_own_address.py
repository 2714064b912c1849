"""Which addresses are the machine's own, on a machine that has several, and may bind any."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    from support.namespaces import Namespace, missing
except ImportError as error:
    pytest.skip(f"NO MACHINE THAT MAY BIND ANY ADDRESS IS TESTED: {error}", allow_module_level=True)

if reason := missing(("ip", "unshare", "nsenter", "sysctl")):
    pytest.skip(f"NO MACHINE THAT MAY BIND ANY ADDRESS IS TESTED: {reason}", allow_module_level=True)

OWN = ("192.0.2.1/24", "192.0.2.5/24", "2001:db8::1/64", "2001:db8::5/64", "fe80::5/64")
ASK = """\
import sys
from socket import if_nametoindex
from understudy.state.own_address import is_own
print(is_own(sys.argv[1], if_nametoindex(sys.argv[2]) if len(sys.argv) > 2 else 0))
"""


@pytest.fixture(scope="module", params=["0", "1"], ids=["ordinary", "binds any address"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    with Namespace(tmp_path_factory.mktemp("own") / "machine") as made:
        made.run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
        for end in ("left", "right"):
            made.run("ip", "link", "set", end, "up")
        for address in OWN:
            made.run("ip", "address", "add", address, "dev", "left", *(["nodad"] if ":" in address else []))
        for family in ("-4", "-6"):
            made.run("ip", family, "route", "add", "default", "dev", "left")
        for family in ("ipv4", "ipv6"):
            made.run("sysctl", "-qw", f"net.{family}.ip_nonlocal_bind={request.param}")
        yield made


def is_own(machine: Namespace, *words: str) -> bool:
    package = str(Path(__file__).parents[2] / "addon")
    return machine.run(sys.executable, "-c", ASK, *words, environ={"PYTHONPATH": package}).stdout == "True\n"


@pytest.mark.parametrize(
    "address", [*(address.partition("/")[0] for address in OWN[:4]), "127.0.0.1", "::1", "::ffff:192.0.2.5"]
)
def test_every_address_that_the_machine_has_is_its_own(machine: Namespace, address: str) -> None:
    assert is_own(machine, address)


@pytest.mark.parametrize(
    "address",
    [
        *("192.0.2.2", "203.0.113.7", "2001:db8::7", "2001:db9::7", "::ffff:203.0.113.7"),
        *("192.0.2.255", "255.255.255.255", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "no address"),
    ],
)
def test_no_other_is(machine: Namespace, address: str) -> None:
    assert not is_own(machine, address)


def test_an_address_of_one_interface_is_its_own_there_alone(machine: Namespace) -> None:
    assert is_own(machine, "fe80::5", "left")
    assert not is_own(machine, "fe80::5", "right")
    assert not is_own(machine, "fe80::7", "left")

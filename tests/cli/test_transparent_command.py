"""`understudy transparent`, as far as it goes without root; tests/e2e/test_redirected.py has the rest."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from support.terminal import Understudy
from understudy.state.running import Running
from understudy.state.runtime import KEY, Listener, Runtime, encode
from understudy.workstation.redirection import machine, record
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.redirect import OtherUser, Redirect

PROXY = Runtime(os.getpid(), "mitmdump", "1", "11", 0.0, "/nowhere", (Listener("regular", "127.0.0.1", 8080),))
REDIRECTED = (Listener("transparent", "127.0.0.1", 8180), Listener("transparent", "::1", 8180))
MADE = Record(
    Redirect(os.geteuid(), OtherUser("guest", 4711), (8180, 8180), ("api.openai.com",), ("203.0.113.10",), False, "00"),
    "nft",
    machine.boot(),
)


def tell(home: Path, runtime: Runtime) -> Running:
    """A proxy of this process."""
    running = Running(home)
    running.tell({KEY: encode(runtime)})
    return running


def test_nothing_is_redirected_to_begin_with(understudy: Understudy, home: Path) -> None:
    said = understudy("transparent", "status")
    assert (said.code, said.lines) == (0, ["off"])
    assert understudy("transparent", "status", "--json").json == {
        "version": 1,
        "state": "off",
        "reasons": [],
        "mend": None,
        "redirect": None,
    }
    assert not home.exists()


@pytest.mark.parametrize("options", [(), ("--user", "root"), ("--every-address",)], ids=" ".join)
def test_without_a_proxy_there_is_nothing_to_try(understudy: Understudy, options: tuple[str, ...]) -> None:
    said = understudy("transparent", "up", "--dry-run", *options)
    assert (said.code, said.out) == (1, "")
    assert "no proxy is running, and what is redirected would be refused" in said.err


@pytest.mark.parametrize("listeners", [(), REDIRECTED[:1], REDIRECTED[1:]], ids=["none", "IPv4 alone", "IPv6 alone"])
def test_a_proxy_that_does_not_listen_for_it_on_both_addresses_is_not_enough(
    understudy: Understudy, home: Path, listeners: tuple[Listener, ...]
) -> None:
    running = tell(home, replace(PROXY, listeners=PROXY.listeners + listeners))
    assert "run: understudy restart --transparent" in understudy("transparent", "up", "--dry-run").err
    running.end()


def test_a_user_that_there_is_not_cannot_be_chosen(understudy: Understudy, home: Path) -> None:
    running = tell(home, replace(PROXY, listeners=PROXY.listeners + REDIRECTED))
    assert (
        "there is no user nobody-of-that-name" in understudy("transparent", "up", "--user", "nobody-of-that-name").err
    )
    running.end()


def test_rules_of_an_earlier_boot_are_gone(understudy: Understudy, home: Path) -> None:
    record.write(home, replace(MADE, boot="an earlier one"))
    said = understudy("transparent", "status")
    assert (said.code, said.lines[0]) == (1, "gone")
    assert "  mend it: understudy transparent up" in said.lines
    assert understudy("transparent", "down").out == "nothing is redirected\n"
    assert understudy("transparent", "status").lines == ["off"]


def test_without_its_proxy_what_is_redirected_is_refused(understudy: Understudy, home: Path) -> None:
    record.write(home, MADE)
    found = understudy("transparent", "status", "--json").json
    assert (found["state"], found["redirect"]["ports"]) == ("stale", [8180, 8180])
    assert found["mend"] == "understudy start --transparent, or: understudy transparent down"


def test_a_proxy_that_listens_elsewhere_by_now_wants_an_up(understudy: Understudy, home: Path) -> None:
    record.write(home, MADE)
    moved = tuple(replace(listener, port=8181) for listener in REDIRECTED)
    running = tell(home, replace(PROXY, listeners=PROXY.listeners + moved))
    found = understudy("transparent", "status", "--json").json
    assert (found["state"], found["mend"]) == ("stale", "understudy transparent up")
    running.end()

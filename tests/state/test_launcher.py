"""The line between a proxy and the command that starts it, from both ends."""

import fcntl
import os
import select
import socket
from pathlib import Path

import pytest

from understudy.state.launcher import VARIABLE, Launcher, hear, let_in, variable
from understudy.state.runtime import Listener, Runtime

PROXY = Runtime(7, "mitmdump", "0.1.0", "11.0.2", 5.0, "/confdir", (Listener("regular", "127.0.0.1", 8080),))


def pair(owner: int | None = None) -> tuple[socket.socket, Launcher]:
    command, proxy = socket.socketpair()
    command.settimeout(5)
    return command, Launcher(dict(variable(proxy.detach(), owner)))


def can_be_read(file: int | None) -> bool:
    assert file is not None
    return bool(select.select([file], [], [], 0)[0])


def test_the_command_hears_what_the_proxy_is() -> None:
    command, launcher = pair()
    launcher.say(PROXY)
    assert hear(command) == PROXY
    launcher.is_up()
    command.close()


def test_a_proxy_that_ends_before_it_is_up_is_heard_as_none() -> None:
    command, launcher = pair()
    launcher.is_up()
    assert hear(command) is None
    command.close()


def test_a_silent_proxy_is_not_waited_for_for_ever() -> None:
    command, launcher = pair()
    command.settimeout(0.01)
    with pytest.raises(TimeoutError):
        hear(command)
    command.close()
    launcher.is_up()


def test_what_the_proxy_has_is_not_inherited_by_what_it_starts() -> None:
    command, launcher = pair()
    assert launcher.file is not None and not os.get_inheritable(launcher.file)
    command.close()
    launcher.is_up()


def test_the_variable_is_read_once_and_goes() -> None:
    environ = {VARIABLE: "999999:12", "OTHER": "stays"}
    assert Launcher(environ).owner == 12
    assert environ == {"OTHER": "stays"}


def test_an_owner_s_end_can_be_read_however_long_the_proxy_has_been_up() -> None:
    command, launcher = pair(owner=12)
    launcher.say(PROXY)
    launcher.is_up()
    assert launcher.file is not None and not can_be_read(launcher.file)
    command.close()
    assert can_be_read(launcher.file) and not launcher.has_said()
    assert launcher.file is None


def test_a_proxy_with_its_ports_closed_is_let_in() -> None:
    command, launcher = pair()
    launcher.say(PROXY)
    assert hear(command) == PROXY and not can_be_read(launcher.file)
    let_in(command)
    assert can_be_read(launcher.file) and launcher.has_said()
    launcher.say(PROXY)
    assert hear(command) == PROXY
    launcher.is_up()
    command.close()


def test_a_command_that_is_gone_does_not_stop_the_proxy_from_saying_what_it_is() -> None:
    command, launcher = pair()
    command.close()
    launcher.say(PROXY)
    launcher.is_up()


def test_a_lock_is_held_until_the_proxy_is_up(tmp_path: Path) -> None:
    ours, theirs = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    fcntl.flock(theirs, fcntl.LOCK_EX)
    launcher = Launcher(dict(variable(theirs)))
    launcher.say(PROXY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    launcher.is_up()
    fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert (tmp_path / "lock").read_bytes() == b""
    os.close(ours)


@pytest.mark.parametrize("value", ["", "word", "-1", "3.5"])
def test_a_proxy_that_nobody_has_started_so_needs_none_of_this(value: str) -> None:
    launcher = Launcher({VARIABLE: value})
    launcher.say(PROXY)
    launcher.is_up()
    assert (launcher.file, launcher.owner) == (None, None)

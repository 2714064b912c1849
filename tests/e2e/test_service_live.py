"""The service under a real systemd of a user's own: it serves, comes back, is confined, and goes without a trace."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.command import free_port
from support.user_systemd import UserSystemd, missing, user_systemd

REASON = missing()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"NO SERVICE IS RUN: {REASON}")

Service = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def systemd() -> Iterator[UserSystemd]:
    with user_systemd() as running:
        yield running


@pytest.fixture
def service(systemd: UserSystemd) -> Iterator[Service]:
    """Runs `understudy service WORDS`: the exit code, and all that was said. Ends with the service removed."""

    def run(*words: str) -> tuple[int, str]:
        done = systemd.run(sys.executable, "-m", "understudy", "service", *words)
        return done.returncode, done.stdout + done.stderr

    systemd.environment["UNDERSTUDY_HOME"] = str(systemd.home / 'our "own" 100% folder')
    yield run
    assert run("remove")[0] == 0


def main_pid(systemd: UserSystemd) -> int:
    shown = systemd.run("systemctl", "--user", "show", "understudy.service", "--property=MainPID", "--value")
    return int(shown.stdout)


def files(systemd: UserSystemd) -> set[str]:
    config = systemd.home / ".config"
    return {str(path.relative_to(config)) for path in config.rglob("*") if not path.is_dir() or path.is_symlink()}


def names(pid: int, folder: str) -> set[str]:
    """What a process sees in a folder."""
    return {path.name for path in Path(f"/proc/{pid}/root", folder).iterdir()}


def until_it_answers(service: Service) -> str:
    until = time.monotonic() + 30
    while (answer := service("status"))[0] != 0:
        assert time.monotonic() < until, answer
        time.sleep(0.2)
    return answer[1]


def test_it_is_installed_answers_and_goes_without_a_trace(systemd: UserSystemd, service: Service) -> None:
    before, port = files(systemd), free_port()
    code, said = service("install", "--port", str(port))
    assert code == 0, said
    assert f"http://127.0.0.1:{port}" in said and "loginctl enable-linger" in said
    code, said = service("status")
    assert code == 0 and "active (running)" in said and f"http://127.0.0.1:{port}" in said
    assert service("remove")[0] == 0
    assert files(systemd) == before
    assert service("remove") == (0, "there is no service\n")
    assert service("status")[0] == 1


def test_to_install_it_again_leaves_it_running_and_another_port_moves_it(
    systemd: UserSystemd, service: Service
) -> None:
    first, second = free_port(), free_port()
    service("install", "--port", str(first))
    process = main_pid(systemd)
    assert service("install")[0] == 0
    assert main_pid(systemd) == process
    code, said = service("install", "--port", str(second))
    assert code == 0 and f":{second}" in said
    assert main_pid(systemd) != process


def test_it_comes_back_on_the_same_port_after_it_was_killed(systemd: UserSystemd, service: Service) -> None:
    port = free_port()
    service("install", "--port", str(port))
    os.kill(main_pid(systemd), signal.SIGKILL)
    assert f":{port}" in until_it_answers(service)
    assert "restarted 1 times" in service("status")[1]


def test_it_may_write_into_our_folder_alone(systemd: UserSystemd, service: Service) -> None:
    service("install", "--port", str(free_port()))
    process = Path(f"/proc/{main_pid(systemd)}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapBnd"], 16) == 0
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    apart = ("/proc", "/dev", "/sys")
    writable = [words[4] for words in mounts if "rw" in words[5].split(",") and not words[4].startswith(apart)]
    assert [os.fsdecode(point.encode().decode("unicode_escape")) for point in writable] == [
        systemd.environment["UNDERSTUDY_HOME"]
    ]


def test_it_sees_what_is_needed_to_find_a_host(systemd: UserSystemd, service: Service) -> None:
    # Where systemd empties /run for a service, /etc/resolv.conf may lead nowhere.
    service("install", "--port", str(free_port()))
    for folder in ("run", "etc"):
        assert names(main_pid(systemd), folder) == names(systemd.pid, folder)


def test_a_port_that_is_taken_is_said_before_anything_is_done(systemd: UserSystemd, service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, said = service("install", "--port", str(other.getsockname()[1]))
    assert code == 1 and "is taken" in said and said.count("\n") == 1
    assert files(systemd) == set()


def test_a_file_of_somebody_else_is_left_alone(systemd: UserSystemd, service: Service) -> None:
    path = systemd.home / ".config/systemd/user/understudy.service"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")
    try:
        for words in (("install",), ("remove",), ("status",)):
            code, said = service(*words)
            assert code == 1 and "was not made by Understudy" in said
        assert path.read_text() == "[Service]\nExecStart=/bin/true\n"
    finally:
        path.unlink()

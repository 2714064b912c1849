"""`understudy service`: what it would do is told, and where no manager serves the user it says what to do instead."""

import sys
from pathlib import Path

import pytest

from support.terminal import Understudy
from understudy.cli.service.manager import installed_port
from understudy.cli.service.status import summary
from understudy.workstation.service import Service
from understudy.workstation.units import agent, unit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the service is systemd's here")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder for configuration."""
    folder = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder


@pytest.fixture
def no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_dry_run_shows_the_unit_and_the_commands_and_does_nothing(
    understudy: Understudy, config: Path, home: Path, no_systemd: None
) -> None:
    said = understudy("service", "install", "--dry-run", "--port", "8123")
    assert said.code == 0
    assert str(config / "systemd/user/understudy.service") in said.out
    assert f'ExecStart=:"{sys.executable}" "-m" "understudy" "start" "--port" "8123"' in said.out
    assert "systemctl --user enable understudy.service" in said.out
    assert not config.exists() and not home.exists()


@pytest.mark.parametrize("words", [("install",), ("install", "--yes")], ids=" ".join)
def test_without_systemd_it_names_the_alternative(
    understudy: Understudy, config: Path, no_systemd: None, words: tuple[str, ...]
) -> None:
    said = understudy("service", *words)
    assert said.code == 1
    assert said.err == (
        "understudy: there is no systemd here (systemctl is missing); "
        "`understudy start --background` starts the proxy without one\n"
    )
    assert not config.exists()


def test_where_systemd_serves_others_its_own_words_are_passed_on(understudy: Understudy, no_bus: None) -> None:
    said = understudy("service", "install")
    assert said.code == 1
    assert "Failed to connect to bus: No medium found; `understudy start --background`" in said.err


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_there_is_not_is_wrong_use(understudy: Understudy, port: str) -> None:
    assert understudy("service", "install", "--port", port).code == 2


@pytest.mark.parametrize("words", [("status",), ("logs",)], ids=" ".join)
def test_what_needs_a_service_says_how_to_get_one(understudy: Understudy, words: tuple[str, ...]) -> None:
    said = understudy("service", *words)
    assert said.code == 1
    assert said.err == "understudy: there is no service; `understudy service install` makes one\n"


def test_to_remove_what_is_not_there_is_no_error(understudy: Understudy) -> None:
    assert understudy("service", "remove").out == "there is no service\n"


def test_a_dry_run_of_remove_names_exactly_what_install_makes(understudy: Understudy, config: Path) -> None:
    units = config / "systemd" / "user"
    units.mkdir(parents=True)
    file = units / "understudy.service"
    file.write_text(unit(Service(Path("/p"), Path("/h"), 1, {}), confined=False))
    said = understudy("service", "remove", "--dry-run")
    assert said.out.splitlines() == [
        "systemctl --user disable --now understudy.service",
        f"rm -f {file}",
        f"rm -f {units / 'default.target.wants' / 'understudy.service'}",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed understudy.service",
    ]
    assert file.exists()


def test_the_port_is_found_again_in_both_kinds_of_file() -> None:
    service = Service(Path("/p"), Path("/h"), 8123, {})
    assert installed_port(unit(service, confined=True)) == 8123
    assert installed_port(agent(service)) == 8123
    assert installed_port(None) is None


@pytest.mark.parametrize(
    ("manager", "told", "words"),
    [
        (
            "systemd",
            "ActiveState=active\nSubState=running\nResult=success\nMainPID=12\nNRestarts=3\n",
            "active (running), process 12, restarted 3 times",
        ),
        (
            "systemd",
            "ActiveState=failed\nSubState=failed\nResult=exit-code\nMainPID=0\nNRestarts=10\n",
            "failed (failed), exit-code, restarted 10 times",
        ),
        ("launchd", "gui/501/understudy.proxy = {\n\tstate = running\n\tpid = 12\n}\n", "state running, pid 12"),
        ("launchd", "", "not loaded"),
    ],
)
def test_what_the_manager_says_becomes_one_line(manager: str, told: str, words: str) -> None:
    assert summary(manager, told) == words

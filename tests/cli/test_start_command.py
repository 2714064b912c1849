"""`understudy start`, `stop` and `restart`: what they say, and what they end with."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.launching import accepts, is_alive, kill_all, quiet_port
from support.logins import account
from support.proxy import clean_environment
from support.theatre import eventually
from understudy.cli.main import main
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.runtime import runtimes, shared_proxy
from understudy.workstation import launch
from understudy.workstation.reach import ask


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.setattr(launch, "PORT", quiet_port())
    yield
    kill_all(home)


@pytest.fixture
def started(home: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """The port of a proxy that runs in the background."""
    assert main(["start", "--background"]) == 0
    capsys.readouterr()
    return launch.PORT


def command(home: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "understudy", *words],
        env=clean_environment(UNDERSTUDY_HOME=str(home)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_where_it_runs_and_where_its_log_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--background"]) == 0
    said = capsys.readouterr().out
    [runtime] = runtimes(home)
    assert f"The proxy runs: 127.0.0.1:{launch.PORT}, process {runtime.pid}\n" in said
    assert f"Its log: {home / 'logs' / 'proxy.log'}\n" in said


def test_the_first_start_says_what_will_happen_and_the_next_does_not(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    AccountStore(home).update(over_accounts(lambda _: (account("ada"), account("bob"))))
    assert main(["start", "--background", "--set", "codex_hosts=api.openai.com,llm.example"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("This is the first start.")
    assert "carried out by your accounts: ada, bob." in said
    assert "sign for api.openai.com, llm.example alone" in said
    assert f"{home / 'mitmproxy' / 'mitmproxy-ca.pem'}\n" in said
    assert max(len(line) for line in said.splitlines() if str(home) not in line) <= 100
    assert main(["stop"]) == 0
    capsys.readouterr()
    assert main(["start", "--background"]) == 0
    assert capsys.readouterr().out.startswith("The proxy runs: ")


def test_where_there_is_no_account_the_first_start_says_how_to_add_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--background"]) == 0
    assert "there is no account yet (understudy login)" in capsys.readouterr().out


def test_one_that_runs_already_is_no_trouble(started: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--background"]) == 0
    assert capsys.readouterr().out.startswith(f"A proxy runs already: 127.0.0.1:{started}, process ")
    assert main(["start"]) == 0


def test_unless_it_runs_otherwise_than_is_asked_for(started: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--set", "codex_strategy=drain"]) == 1
    said = capsys.readouterr().err
    assert "its codex_strategy is sticky" in said and "understudy restart" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "codex_wait"],
        ["--set", "codex_wait=-1"],
        ["--set", "codex_isuer=http://x"],
        ["--port", "0"],
        ["--port", "70000"],
        ["--open"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_for_is_wrong_use(words: list[str], home: Path) -> None:
    assert main(["start", "--background", *words]) == 2
    assert runtimes(home) == ()


def test_why_it_does_not_start_is_said(home: Path, started: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop"]) == 0
    assert main(["start", "--background", "--set", "ssl_insecure=true"]) == 1
    assert "ssl_insecure would hand your ChatGPT tokens" in capsys.readouterr().err


def test_a_chosen_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", launch.PORT))):
        assert main(["start", "--port", str(launch.PORT)]) == 1
    assert f"port {launch.PORT} cannot be had" in capsys.readouterr().err


def test_a_file_that_counts_before_what_is_asked_for_is_named(
    home: Path, started: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "mitmproxy" / "config.yaml").write_text("codex_strategy: drain\n")
    assert main(["restart", "--set", "codex_strategy=hybrid"]) == 0
    said = capsys.readouterr().err
    assert "its codex_strategy is drain" in said and str(home / "mitmproxy" / "config.yaml") in said


def test_hosts_that_the_authority_may_not_sign_for_are_refused_with_the_command_that_helps(
    home: Path, started: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restart", "--set", "codex_hosts=llm.example"]) == 1
    assert "understudy ca rotate" in capsys.readouterr().err
    assert ask(started) is not None


def test_to_stop_what_does_not_run_is_no_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "No proxy runs.\n"


def test_one_for_programs_that_change_their_base_url_is_a_proxy_like_any_other(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["start", "--background", "--mode", "reverse:https://api.openai.com"]
    assert main(words) == 0
    [runtime] = runtimes(home)
    assert main(words) == 0
    assert f"A proxy runs already: 127.0.0.1:{launch.PORT}, process {runtime.pid}" in capsys.readouterr().out
    assert main(["restart"]) == 0
    [anew] = [each for each in runtimes(home) if each.listeners]
    assert (anew.pid != runtime.pid, anew.listeners) == (True, runtime.listeners)


def test_what_is_stopped_is_named(home: Path, started: int, capsys: pytest.CaptureFixture[str]) -> None:
    [runtime] = runtimes(home)
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == f"The proxy has ended (process {runtime.pid}).\n"
    assert not is_alive(runtime.pid) and not accepts(started)


def test_those_of_one_process_alone_are_left_unless_all_are_meant(home: Path, started: int) -> None:
    owned = launch.start(home, owned=True)
    assert main(["stop"]) == 0
    assert [each.pid for each in runtimes(home)] == [owned.pid]
    assert main(["stop"]) == 0
    assert [each.pid for each in runtimes(home)] == [owned.pid]
    assert main(["stop", "--all"]) == 0
    assert runtimes(home) == ()


def test_a_restart_says_how_long_nobody_listened(home: Path, started: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restart", "--set", "codex_strategy=drain"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"The proxy runs anew: 127.0.0.1:{started}, process ")
    assert "Nobody listened for " in said
    running = shared_proxy(home)
    assert running is not None and running.options["codex_strategy"] == "drain"


def test_without_a_proxy_there_is_none_to_restart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restart"]) == 1
    assert "understudy start" in capsys.readouterr().err


def test_in_the_foreground_the_command_becomes_the_proxy(home: Path) -> None:
    port = quiet_port()
    with command(home, "start", "--port", str(port)) as running:
        eventually(lambda: shared_proxy(home) is not None)
        runtime = ask(port)
        assert runtime is not None and runtime.pid == running.pid
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "This is the first start." in said and f"listening at 127.0.0.1:{port}" in said


def test_one_in_the_foreground_does_not_keep_others_from_asking(home: Path) -> None:
    port = quiet_port()
    with command(home, "start", "--port", str(port)) as running:
        eventually(lambda: ask(port) is not None)
        assert main(["start"]) == 0
        assert main(["stop"]) == 0
        running.communicate(timeout=20)
    assert running.returncode == 0


def test_of_two_that_start_at_once_one_does_and_the_other_says_so(home: Path) -> None:
    port = quiet_port()
    words = ("start", "--background", "--port", str(port))
    with command(home, *words) as one, command(home, *words) as other:
        said = [process.communicate(timeout=60)[0] for process in (one, other)]
    assert [process.returncode for process in (one, other)] == [0, 0]
    assert sorted("A proxy runs already" in each for each in said) == [False, True]
    assert len(runtimes(home)) == 1


def test_one_in_the_background_outlives_its_terminal(home: Path) -> None:
    output, terminal = os.openpty()
    words = [sys.executable, "-m", "understudy", "start", "--background", "--port", str(quiet_port())]
    setsid = shutil.which("setsid")
    assert setsid is not None
    subprocess.run(
        [setsid, "--ctty", *words],
        env=clean_environment(UNDERSTUDY_HOME=str(home)),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        check=True,
        timeout=60,
    )
    [runtime] = runtimes(home)
    os.close(terminal)
    os.close(output)
    assert ask(runtime) is not None

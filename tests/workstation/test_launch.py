"""A proxy is started once, says where it is, and is ended in good order: real processes, in a folder of their own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from support.launching import accepts, is_alive, kill_all, quiet_port
from support.proxy import clean_environment
from support.theatre import eventually
from understudy.state.runtime import Runtime, runtimes, shared_proxy
from understudy.workstation import launch
from understudy.workstation.confdir import Confdir
from understudy.workstation.ending import Living
from understudy.workstation.launch import LaunchError, RunsAlready, Wanted, restart, start, stop
from understudy.workstation.reach import ask
from understudy.workstation.redirection import machine, record
from understudy.workstation.redirection.record import Record
from understudy.workstation.redirection.redirect import OtherUser, Redirect


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.setattr(launch, "PORT", quiet_port())
    yield
    kill_all(home)


def test_once_it_is_started_programs_reach_it(home: Path) -> None:
    runtime = start(home)
    assert ask(runtime) is not None and runtime.port == launch.PORT
    assert shared_proxy(home) == ask(runtime)
    assert runtime.confdir == str(Confdir(home).path)


def test_its_authority_is_the_constrained_one(home: Path) -> None:
    from understudy.workstation.authority import read_authority

    start(home, hosts=frozenset({"api.openai.com", "llm.example"}))
    authority = read_authority(Confdir(home).authority.read_bytes())
    assert authority.permitted == {"api.openai.com", "llm.example"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere local mode does not fail open")
def test_local_mode_which_fails_open_on_linux_is_refused(home: Path) -> None:
    with pytest.raises(LaunchError, match="understudy transparent up"):
        start(home, modes=("regular", "local:opencode"))
    assert runtimes(home) == ()


def test_what_is_redirected_already_is_taken_on_the_ports_that_it_is_led_to(home: Path) -> None:
    port = quiet_port()
    made = Redirect(os.geteuid(), OtherUser("guest", 4711), (port, port), ("api.openai.com",), (), False, "00")
    record.write(home, Record(made, "nft", machine.boot()))
    assert machine.transparent_ports(start(home)) == (port, port)


def test_one_is_enough(home: Path) -> None:
    runtime = start(home)
    with pytest.raises(RunsAlready) as raised:
        start(home, port=quiet_port())
    assert raised.value.running.pid == runtime.pid
    assert len(runtimes(home)) == 1


def test_of_many_that_start_one_at_once_one_does(home: Path) -> None:
    def found(_: int) -> tuple[int, bool]:
        try:
            return start(home).pid, True
        except RunsAlready as error:
            return error.running.pid, False

    with ThreadPoolExecutor(4) as pool:
        pids, fresh = zip(*pool.map(found, range(4)), strict=True)
    assert len(set(pids)) == 1 and sum(fresh) == 1 and len(runtimes(home)) == 1


def test_a_port_that_is_taken_is_passed_over(home: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", launch.PORT))):
        runtime = start(home)
    assert runtime.port is not None and launch.PORT < runtime.port <= launch.PORT + launch.TRIED
    assert accepts(runtime.port)


def test_the_port_of_mitmweb_s_page_is_left_to_it(home: Path) -> None:
    assert launch.free_port(Wanted("mitmweb", (f"web_port={launch.PORT}",))) == launch.PORT + 1
    assert launch.free_port(Wanted()) == launch.PORT


def test_mitmweb_can_be_started_anew_while_the_old_one_has_its_page(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "WEB_PORT", quiet_port())
    first = start(home, program="mitmweb")
    again = restart(home, first, Wanted()).runtime
    assert (again.port, again.program) == (first.port, "mitmweb")
    assert again.web is not None and again.web.startswith(f"http://127.0.0.1:{launch.WEB_PORT + 1}/")


def test_a_port_that_the_user_has_chosen_is_not_replaced(home: Path) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", launch.PORT))),
        pytest.raises(LaunchError, match=f"port {launch.PORT} cannot be had"),
    ):
        start(home, port=launch.PORT)
    assert runtimes(home) == ()


def test_why_it_does_not_start_is_said_and_nothing_is_left(home: Path) -> None:
    with pytest.raises(LaunchError, match="codex_strategy: not understood: 'bogus'"):
        start(home, options=["codex_strategy=bogus"])
    assert runtimes(home) == () and not accepts(launch.PORT)
    assert start(home).port == launch.PORT


def test_without_mitmproxy_that_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "program_path", lambda _: None)
    with pytest.raises(LaunchError, match="there is no mitmdump"):
        start(home)


def test_the_log_is_in_our_folder_and_has_no_requests(home: Path) -> None:
    runtime = start(home)
    ask(runtime)
    log = home / "logs" / "proxy.log"
    assert log.stat().st_mode & 0o777 == 0o600
    eventually(lambda: "client disconnect" in log.read_text())
    assert "/runtime" not in log.read_text()


def test_the_key_to_mitmweb_s_page_is_told_to_who_starts_it_and_kept_nowhere_else(home: Path) -> None:
    runtime = start(home, program="mitmweb", options=[f"web_port={quiet_port()}"])
    assert runtime.web is not None and runtime.program == "mitmweb"
    page, _, key = runtime.web.partition("?token=")
    kept = shared_proxy(home)
    assert kept is not None and kept.web == page
    if int(runtime.mitmproxy.partition(".")[0]) >= 12:
        assert len(key) == 32


def test_it_also_takes_redirected_connections_where_that_is_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "REDIRECTED_PORT", quiet_port())
    runtime = start(home, transparent=True)
    found = sorted((each.mode, each.host) for each in runtime.listeners)
    assert found == [("regular", "127.0.0.1"), ("transparent", "127.0.0.1"), ("transparent", "::1")]
    assert restart(home, runtime, Wanted()).runtime.listeners == runtime.listeners


def test_an_owned_one_is_nobody_else_s(home: Path) -> None:
    owned = start(home, owned=True)
    assert (owned.owner, shared_proxy(home)) == (os.getpid(), None)
    assert start(home).pid != owned.pid


def test_an_owned_one_ends_with_its_owner_however_that_ends(home: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom understudy.workstation.launch import start\n"
        "print(start(Path(sys.argv[1]), owned=True).pid, flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home)],
        env=clean_environment(UNDERSTUDY_HOME=str(home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert [each.owner for each in runtimes(home)] == [owner.pid]
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: not is_alive(pid))
    assert runtimes(home) == ()
    assert "is gone" in (home / "logs" / "run.log").read_text()


def test_a_killed_one_leaves_nothing_that_lies(home: Path) -> None:
    runtime = start(home)
    os.kill(runtime.pid, signal.SIGKILL)
    eventually(lambda: shared_proxy(home) is None)
    anew = start(home)
    assert (anew.port, anew.pid == runtime.pid) == (runtime.port, False)


def test_to_stop_it_is_to_have_it_gone(home: Path) -> None:
    runtime = start(home)
    stop(home, runtime)
    assert not is_alive(runtime.pid) and not accepts(launch.PORT)
    with pytest.raises(LaunchError, match="there is no proxy with process"):
        stop(home, runtime)


def test_a_number_that_is_another_process_now_gets_no_signal(home: Path) -> None:
    runtime = start(home)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        recycled = Runtime(**{name: getattr(runtime, name) for name in runtime.__slots__} | {"pid": bystander.pid})
        with pytest.raises(LaunchError, match="there is no proxy with process"):
            stop(home, recycled)
        assert bystander.poll() is None
        bystander.kill()


def test_a_record_of_a_container_names_no_process_here(home: Path) -> None:
    """It is alive, and its process has another number outside."""
    from understudy.state.running import Running
    from understudy.state.runtime import KEY, encode

    runtime = start(home)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stop(home, runtime)
        inside = Running(home)
        inside.tell({KEY: encode(runtime)})
        for path in sorted((home / "running").iterdir()):
            path.rename(path.with_name(path.name.replace(str(os.getpid()), str(bystander.pid), 1)))
        [found] = runtimes(home)
        assert found.pid == bystander.pid
        with pytest.raises(LaunchError, match="there is no proxy with process"), Living(home, found):
            pass
        bystander.kill()
    for path in (home / "running").iterdir():
        path.unlink()
    inside.end()


def test_a_restart_keeps_the_port_and_the_options(home: Path) -> None:
    first = start(home, options=["codex_strategy=drain", "codex_wait=60"])
    done = restart(home, first, Wanted(options=("codex_wait=30",)))
    runtime = done.runtime
    assert (runtime.port, runtime.options["codex_strategy"], runtime.options["codex_wait"]) == (first.port, "drain", 30)
    assert runtime.pid != first.pid and done.gap < 5
    assert shared_proxy(home) == ask(runtime)
    again = restart(home, runtime, Wanted()).runtime
    assert (again.options, again.port) == (runtime.options, first.port)


def test_where_the_new_one_cannot_start_the_old_one_goes_on(home: Path) -> None:
    runtime = start(home)
    with pytest.raises(LaunchError, match="bogus"):
        restart(home, runtime, Wanted(options=("codex_strategy=bogus",)))
    assert [each.pid for each in runtimes(home)] == [runtime.pid]
    assert ask(runtime) is not None
    assert restart(home, runtime, Wanted()).runtime.options["codex_strategy"] == "sticky"


def test_a_restart_may_move_to_another_port(home: Path) -> None:
    runtime, port = start(home), quiet_port()
    assert restart(home, runtime, Wanted(port=port)).runtime.port == port
    assert not accepts(launch.PORT)

"""What is run to start a proxy, what is remembered of it, and whether a running one is what is asked for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.state.runtime import Listener, Runtime
from understudy.workstation.confdir import Confdir
from understudy.workstation.errors import LaunchError
from understudy.workstation.wanted import Wanted, again, command_line, remember, remembered

CONFDIR = Confdir(Path("/home/ada/understudy"))
SCRIPT = Path("/lib/understudy/script/codex.py")
RUNNING = Runtime(
    pid=17,
    program="mitmdump",
    version="0.1.0",
    mitmproxy="11.0.2",
    started_at=1000.0,
    confdir=str(CONFDIR.path),
    listeners=(Listener("regular", "127.0.0.1", 8083),),
    options={"codex_strategy": "drain", "codex_wait": 60, "codex_capture_chatgpt": True, "mode": ["regular"]},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


def words(wanted: Wanted, program: str = "mitmdump", *, terse: bool = True) -> list[str]:
    return command_line(Path("/bin", program), SCRIPT, CONFDIR, wanted, 8080, terse=terse)


def test_what_is_run_where_nothing_is_asked_for() -> None:
    assert " ".join(words(Wanted())) == (
        "/bin/mitmdump -s /lib/understudy/script/codex.py --listen-port 8080"
        " --set confdir=/home/ada/understudy/mitmproxy --set listen_host=127.0.0.1 --set upstream_cert=false"
        " --set connection_strategy=lazy --set flow_detail=0"
    )


def test_mitmweb_opens_no_browser_unless_it_is_told_to() -> None:
    assert words(Wanted(), "mitmweb")[-1] == "web_open_browser=false"
    assert words(Wanted(options=("web_open_browser=true",)), "mitmweb")[-1] == "web_open_browser=true"


def test_on_a_terminal_requests_are_shown() -> None:
    assert not any(word.startswith("flow_detail") for word in words(Wanted(), terse=False))


def test_what_the_user_sets_is_in_the_place_of_what_we_would() -> None:
    line = words(Wanted(options=("upstream_cert=true", "codex_wait=60"), modes=("regular", "transparent@8180")))
    assert [word for word in line if word.startswith("upstream_cert")] == ["upstream_cert=true"]
    assert line[-1] == "codex_wait=60"
    assert line[5:9] == ["--mode", "regular", "--mode", "transparent@8180"]


@pytest.mark.parametrize("option", ["confdir=/tmp", "listen_port=1"])
def test_what_is_not_the_users_to_set_is_refused(option: str) -> None:
    with pytest.raises(LaunchError, match=option.partition("=")[0]):
        words(Wanted(options=(option,)))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(port=8083),
        Wanted(options=("codex_strategy=drain", "codex_wait=60", "codex_capture_chatgpt=true")),
        Wanted(options=("web_columns=path",)),
        Wanted(modes=("regular",)),
    ],
    ids=str,
)
def test_a_running_proxy_may_be_what_is_asked_for(wanted: Wanted) -> None:
    assert wanted.differs_from(RUNNING, Wanted(options=("web_columns=path", "codex_strategy=sticky"))) == ""


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(port=8080), "it listens on port 8083"),
        (Wanted("mitmweb"), "it is mitmdump"),
        (Wanted(options=("codex_strategy=sticky",)), "its codex_strategy is drain"),
        (Wanted(options=("web_columns=path",)), "its web_columns is not known"),
        (Wanted(modes=("socks5",)), "its mode is regular"),
        (Wanted(transparent=True), "it takes no redirected connections"),
    ],
    ids=str,
)
def test_or_it_is_said_what_it_is(wanted: Wanted, said: str) -> None:
    assert wanted.differs_from(RUNNING, None) == said


def test_how_it_was_started_is_remembered_for_that_process_alone(folder: Path) -> None:
    wanted = Wanted("mitmweb", ("codex_wait=60",), None, ("regular", "transparent@8180"), transparent=True)
    remember(folder, 17, wanted)
    assert remembered(folder, RUNNING) == wanted
    assert remembered(folder, replace(RUNNING, pid=18)) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 17}', '{"pid": 17, "program": "x", "port": "none"}'])
def test_a_file_that_says_nothing_is_no_error(folder: Path, content: str) -> None:
    (folder / "start.json").write_text(content)
    assert remembered(folder, RUNNING) is None


def test_what_may_hold_a_password_is_for_its_owner_alone(folder: Path) -> None:
    remember(folder, 17, Wanted(options=("upstream_auth=ada:secret",)))
    path = folder / "start.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["options"] == ["upstream_auth=ada:secret"]


def test_a_restart_keeps_the_port_and_takes_what_is_asked_for_besides(folder: Path) -> None:
    remember(folder, 17, Wanted("mitmweb", ("codex_strategy=drain", "codex_wait=60")))
    more = Wanted(options=("codex_wait=0",), transparent=True)
    assert again(folder, RUNNING, more) == Wanted(
        "mitmweb", ("codex_strategy=drain", "codex_wait=0"), 8083, transparent=True
    )


def test_a_proxy_that_was_started_by_hand_is_not_started_anew(folder: Path) -> None:
    with pytest.raises(LaunchError, match="end it where it was started"):
        again(folder, RUNNING, Wanted())

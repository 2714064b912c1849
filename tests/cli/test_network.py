"""The commands go by the options of the proxy that runs, else by those that one would have which is started now."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.cli.arguments import WrongUse
from understudy.cli.network import read_network
from understudy.state.running import Running
from understudy.state.runtime import KEY, Listener, Runtime, encode
from understudy.workstation.confdir import Confdir


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    proxy = Running(home)
    yield proxy
    proxy.end()


def runtime(confdir: Path, options: Mapping[str, object]) -> Runtime:
    return Runtime(1, "mitmdump", "0", "11", 1.0, str(confdir), (Listener("regular", "127.0.0.1", 1),), options)


def wait(*options: str) -> float:
    return read_network(Namespace(options=list(options))).wait


def write(confdir: Path, text: str) -> None:
    confdir.mkdir(parents=True)
    (confdir / "config.yaml").write_text(text)


def test_our_own_file_counts_where_no_proxy_runs(home: Path) -> None:
    write(Confdir(home).path, "codex_wait: 7\n")
    assert (wait(), wait("codex_wait=8")) == (7, 8)


def test_the_running_proxy_counts_before_any_file(home: Path, tmp_path: Path, running: Running) -> None:
    write(Confdir(home).path, "codex_wait: 7\n")
    write(tmp_path / "other", "codex_wait: 9\nupstream_auth: ada:secret\n")
    options: dict[str, object] = {"codex_wait": 60, "mode": ["upstream:http://127.0.0.1:3128"], "codex_keyring": None}
    running.tell({KEY: encode(runtime(tmp_path / "other", options))})
    assert (wait(), wait("codex_wait=8")) == (60, 8)
    settings = read_network(Namespace(options=[]))
    assert settings.keyring is None
    # What is secret is not told: it is in the file that the proxy has read.
    assert settings.route.proxy == "http://ada:secret@127.0.0.1:3128"


def test_one_that_serves_a_single_process_is_not_followed(tmp_path: Path, running: Running) -> None:
    running.tell({KEY: encode(replace(runtime(tmp_path, {"codex_wait": 60}), owner=5))})
    assert wait() == 0


def test_what_another_version_tells_besides_is_passed_over(tmp_path: Path, running: Running) -> None:
    running.tell({KEY: encode(runtime(tmp_path, {"codex_of_tomorrow": 1, "codex_wait": 60}))})
    assert wait() == 60


def test_a_file_that_would_give_tokens_away_is_refused(home: Path) -> None:
    write(Confdir(home).path, "ssl_insecure: true\n")
    with pytest.raises(WrongUse, match="ssl_insecure"):
        wait()


@pytest.mark.parametrize("text", ["codex_hold: soon\n", "- codex_hold\n", "codex_hold: [\n", "codex_models: 7\n"])
def test_a_file_that_is_wrong_is_named(home: Path, text: str) -> None:
    write(Confdir(home).path, text)
    with pytest.raises(WrongUse, match=r"config\.yaml|codex_"):
        wait()

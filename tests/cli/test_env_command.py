"""`understudy env`: a shell is told how to reach the running proxy, or nothing at all."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.proxy import Proxy, clean_environment
from support.terminal import Understudy
from support.theatre import eventually
from understudy.sandbox.server import Sandbox
from understudy.state.runtime import shared_proxy
from understudy.workstation.confdir import Confdir
from understudy.workstation.environment import BEFORE, applied, changes
from understudy.workstation.keeping import ensure
from understudy.workstation.wanted import HOSTS


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's environment, which nobody has set anything in yet."""
    for name in set(os.environ) - clean_environment().keys():
        if name.upper().endswith("_PROXY") or "CERT" in name or "CA_BUNDLE" in name or name == BEFORE:
            monkeypatch.delenv(name)
    monkeypatch.setenv("SHELL", "/bin/bash")


@pytest.mark.usefixtures("ours")
class TestWithoutAProxy:
    """What a shell would evaluate is nothing, and the user is told why."""

    @pytest.mark.parametrize("words", [[], ["--json"], ["--shell", "fish"]], ids=str)
    def test_there_is_nothing_to_evaluate(self, understudy: Understudy, words: list[str]) -> None:
        said = understudy("env", *words)
        assert (said.code, said.out) == (1, "")
        assert said.err == "understudy: no proxy is running; start one: understudy start --background\n"

    def test_what_was_set_can_be_taken_back(self, understudy: Understudy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "intranet.example")
        for name, value in changes(
            "http://127.0.0.1:9", Confdir(Path("/data")), {"NO_PROXY": "intranet.example"}
        ).items():
            monkeypatch.setenv(name, str(value))
        said = understudy("env", "--unset", "--shell", "fish")
        assert said.code == 0
        assert {"set -gx NO_PROXY 'intranet.example'", "set -e HTTPS_PROXY", f"set -e {BEFORE}"} <= set(said.lines)
        assert not any("set -gx HTTPS_PROXY" in line for line in said.lines)

    def test_where_nothing_was_set_nothing_is_taken_back(self, understudy: Understudy) -> None:
        said = understudy("env", "--unset", "--shell", "sh")
        assert (said.code, said.out) == (0, "")
        assert "nothing to take back" in said.err

    @pytest.mark.parametrize(("shell", "code"), [("/bin/tcsh", 2), ("/usr/bin/fish", 0)])
    def test_who_asks_from_no_shell_gets_the_user_s_own_if_that_is_known(
        self, home: Path, shell: str, code: int
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "understudy", "env", "--unset"],
            env=clean_environment(UNDERSTUDY_HOME=str(home), SHELL=shell),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert ("--shell" in done.stderr) is (code == 2)


@pytest.mark.usefixtures("ours")
class TestWithAProxy:
    """There is one, with our own authority."""

    @pytest.fixture
    def proxy(self, home: Path) -> Iterator[Proxy]:
        ensure(Confdir(home), HOSTS, time.time())
        with Sandbox({"accounts": {"work": {}}}) as sandbox:
            options = {"codex_backend": sandbox.backend, "codex_issuer": sandbox.issuer, "upstream_cert": "false"}
            with Proxy(home, Confdir(home).path, options) as running:
                eventually(lambda: shared_proxy(home) is not None)
                yield running

    def test_a_shell_s_programs_are_led_to_it(self, proxy: Proxy, home: Path) -> None:
        evaluated = subprocess.run(
            ["bash", "-c", f'eval "$({sys.executable} -m understudy env)"; env -0'],
            env=clean_environment(UNDERSTUDY_HOME=str(home), NO_PROXY="api.openai.com,intranet.example"),
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        )
        got = dict(entry.split("=", 1) for entry in evaluated.stdout.split("\0") if entry)
        assert got["HTTPS_PROXY"] == got["https_proxy"] == proxy.url
        assert Path(got["SSL_CERT_FILE"]).read_bytes().endswith(Confdir(home).certificate.read_bytes())
        assert got["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"
        assert evaluated.stderr == (
            "understudy: NO_PROXY has 'api.openai.com', which would lead past the proxy: left out\n"
        )

    def test_json_has_the_same(self, proxy: Proxy, understudy: Understudy) -> None:
        said = understudy("env", "--json")
        assert said.json["proxy"] == said.json["variables"]["HTTPS_PROXY"] == proxy.url

    def test_a_second_time_it_says_the_same(
        self, proxy: Proxy, understudy: Understudy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = understudy("env", "--json").json["variables"]
        for name, value in applied({}, first).items():
            monkeypatch.setenv(name, value)
        assert understudy("env", "--json").json["variables"] == first

    def test_the_user_s_own_proxy_is_named_without_its_password(
        self, proxy: Proxy, understudy: Understudy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://ada:hidden@proxy.example:3128")
        said = understudy("env", "--shell", "sh")
        assert "http://proxy.example:3128" in said.err and "hidden" not in said.err

    def test_the_files_that_it_names_are_there(
        self, proxy: Proxy, home: Path, understudy: Understudy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(proxy.ca))
        named = understudy("env", "--json").json["variables"]
        files = {Path(named[name]) for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")}
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


@pytest.mark.usefixtures("ours")
def test_a_proxy_with_another_authority_is_not_used(home: Path, confdir_template: Path, understudy: Understudy) -> None:
    with Sandbox({"accounts": {"work": {}}}) as sandbox:
        options = {"codex_backend": sandbox.backend, "codex_issuer": sandbox.issuer}
        with Proxy(home, confdir_template, options):
            eventually(lambda: shared_proxy(home) is not None)
            said = understudy("env")
    assert (said.code, said.out) == (1, "") and str(confdir_template) in said.err


def test_help_says_how_to_evaluate_it(understudy: Understudy) -> None:
    assert 'eval "$(understudy env)"' in understudy("env", "--help").out

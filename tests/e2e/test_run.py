"""`understudy run`: a real program through a proxy, as if it had been started by the shell itself."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command import free_port
from support.hosts import PROGRAMS
from support.proxy import ROOT, Proxy, clean_environment
from support.theatre import eventually
from understudy.oauth.codex_auth import read_auth_json
from understudy.oauth.enrol import enrol
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore
from understudy.state.runtime import runtimes, shared_proxy
from understudy.wire.identity import DUMMY_KEY
from understudy.workstation.confdir import Confdir

WORDS = "Nobody in the house can tell."
SCENARIO: dict[str, object] = {
    "accounts": {"work": {"steps": [{"do": "answer", "text": WORDS}]}},
    "models": ["gpt-*"],
}
BODY = json.dumps({"model": "gpt-5.5", "input": "hi"})
CURL = ["curl", "-sS", "--max-time", "30", "-H", "Content-Type: application/json", "-d", BODY]
ASK = [*CURL, "https://api.openai.com/v1/responses"]
ASK_NODE = f"""
const https = require('node:https');
const options = {{ method: 'POST', headers: {{ 'content-type': 'application/json' }} }};
const url = 'https://api.openai.com/v1/responses', body = {json.dumps(BODY)};
const said = (text) => console.log(JSON.parse(text).output[0].content[0].text);
fetch(url, {{ ...options, body }}).then((answer) => answer.text()).then((text) => {{
  said(text);
  https.request(url, options, (answer) => {{
    let all = '';
    answer.on('data', (part) => (all += part)).on('end', () => said(all));
  }}).end(body);
}});
"""
OPEN_FILES = """
import os
names = os.listdir('/proc/self/fd')  # The folder itself was open, and is no more.
print(sorted(int(name) for name in names if os.path.exists(f'/proc/self/fd/{name}')))
"""
ONE = "understudy: 1 request, answered by work (1)\n"
NONE = (
    "understudy: no request for your accounts came through the proxy; if the program has made some: understudy doctor\n"
)


@dataclass(frozen=True)
class House:
    """A user with an account of the sandbox's."""

    home: Path
    sandbox: Sandbox

    @property
    def options(self) -> list[str]:
        """What leads a proxy to the sandbox."""
        values = {"codex_backend": self.sandbox.backend, "codex_issuer": self.sandbox.issuer}
        return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]

    def environment(self, **more: str) -> dict[str, str]:
        """The user's own."""
        return clean_environment(UNDERSTUDY_HOME=str(self.home), **more)

    def understudy(self, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """A command of ours, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "understudy", *words],
            env=self.environment(**environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def command(self, *words: str, flags: Sequence[str] = ()) -> list[str]:
        """The command line that runs a program with a proxy of its own."""
        return [sys.executable, "-m", "understudy", "run", *self.options, *flags, "--", *words]

    def run(self, *words: str, flags: Sequence[str] = (), **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs a program, with a proxy of its own, to its end."""
        return self.understudy(*self.command(*words, flags=flags)[3:], **environ)

    @contextmanager
    def config(self, text: str) -> Iterator[Path]:
        """While mitmproxy's own file for our proxies has this text."""
        file = Confdir(self.home).config
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        try:
            yield file
        finally:
            file.unlink()

    def shell(self, text: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """What a shell makes of `text`, in which `"$@"` runs a program as `run` does."""
        return subprocess.run(
            ["bash", "-c", text, "bash", *self.command(*words)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def started(self, *words: str) -> "subprocess.Popen[str]":
        """The same, while it runs: what it prints is read by the test."""
        return subprocess.Popen(
            self.command(*words),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # There is no terminal.
            # What is ignored, as where the tests themselves run under nohup, is not passed on.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For all tests: to make a certificate authority takes a while."""
    home = tmp_path_factory.mktemp("run") / "understudy"
    with Sandbox(SCENARIO) as sandbox:
        login = read_auth_json(sandbox.auth_json("work"))
        AccountStore(home).update(
            over_accounts(lambda _: enrol((), login, "acct_000000000001", "work", now=0.0).accounts)
        )
        yield House(home, sandbox)
        eventually(lambda: runtimes(home) == ())


def python(text: str) -> list[str]:
    """A program."""
    return [sys.executable, "-c", text]


class TestTheProgram:
    """It runs as it would without us, and is answered."""

    def test_curl_is_answered_and_one_line_is_said(self, house: House) -> None:
        done = house.run(*ASK)
        assert (done.returncode, done.stderr) == (0, ONE)
        assert WORDS in done.stdout

    def test_a_program_on_the_sdk_needs_no_key(self, house: House) -> None:
        done = house.run(str(PROGRAMS), str(ROOT / "tests" / "programs" / "ask.py"), "create")
        assert (done.returncode, done.stderr) == (0, ONE)
        assert WORDS in done.stdout

    @pytest.mark.skipif(shutil.which("node") is None, reason="NODE IS NOT TESTED: not installed")
    def test_node_is_answered_whether_or_not_it_knows_of_proxies(self, house: House) -> None:
        done = house.run("node", "-e", ASK_NODE)
        assert (done.returncode, done.stdout) == (0, f"{WORDS}\n{WORDS}\n")
        assert done.stderr == "understudy: 2 requests, answered by work (2)\n"

    def test_it_gets_its_arguments_as_they_are(self, house: House) -> None:
        words = python("import sys; print(sys.argv[1:])")
        assert house.run(*words, "--set", "--", "-x", "--quiet").stdout == "['--set', '--', '-x', '--quiet']\n"

    def test_it_reads_what_is_typed(self, house: House) -> None:
        done = subprocess.run(
            house.command("cat"), env=house.environment(), input=b"\x00typed\xff", capture_output=True, timeout=60
        )
        assert done.stdout == b"\x00typed\xff"

    def test_it_has_no_file_of_ours_and_those_of_the_user(self, house: House, tmp_path: Path) -> None:
        with (tmp_path / "own").open("w") as own:
            seen = subprocess.run(
                house.command(*python(OPEN_FILES)),
                env=house.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                pass_fds=(own.fileno(),),
            )
            assert json.loads(seen.stdout) == [0, 1, 2, own.fileno()]

    def test_it_has_the_user_s_environment_and_nothing_secret(self, house: House) -> None:
        done = house.run(*python("import os, json; print(json.dumps(dict(os.environ)))"), OWN="kept")
        got = json.loads(done.stdout)
        assert got["OWN"] == "kept" and got["OPENAI_API_KEY"] == DUMMY_KEY
        assert {name for name in got if name.startswith("UNDERSTUDY_")} == {"UNDERSTUDY_HOME", "UNDERSTUDY_BEFORE"}

    def test_a_script_that_does_not_say_what_runs_it_is_run_as_a_shell_does(self, house: House, tmp_path: Path) -> None:
        path = tmp_path / "script"
        path.write_text('echo "$0" "$@"; exit 3\n')
        path.chmod(0o700)
        done = house.run(str(path), "a b", "c")
        assert (done.returncode, done.stdout) == (3, f"{path} a b c\n")

    def test_it_is_not_led_past_the_proxy(self, house: House) -> None:
        done = house.run(*ASK, NO_PROXY="api.openai.com")
        assert WORDS in done.stdout
        assert (
            done.stderr
            == f"understudy: NO_PROXY has 'api.openai.com', which would lead past the proxy: left out\n{ONE}"
        )


class TestItsEnd:
    """The caller sees the program's own."""

    def test_the_exit_code_is_the_program_s(self, house: House) -> None:
        done = house.run("sh", "-c", "exit 7")
        assert (done.returncode, done.stderr) == (7, NONE)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV])
    def test_who_dies_of_a_signal_is_seen_to(self, house: House, number: signal.Signals) -> None:
        assert house.run("sh", "-c", f"kill -{number.value} $$").returncode == -number

    def test_quiet_says_nothing(self, house: House) -> None:
        assert house.run(*ASK, flags=["--quiet"]).stderr == ""

    def test_what_failed_is_counted_and_the_log_is_named(self, house: House) -> None:
        house.sandbox.set_steps("work", [{"do": "status", "status": 400, "body": "{}"}])
        try:
            done = house.run(*ASK)
        finally:
            house.sandbox.set_steps("work", [{"do": "answer", "text": WORDS}])
        log = house.home / "logs" / "run.log"
        assert done.stderr.endswith(f"1 failed; the proxy's log: {log}\n")
        assert log.stat().st_mode & 0o777 == 0o600

    def test_who_ignores_the_end_of_children_is_told_the_exit_code_and_the_program_ignores_it_too(
        self, house: House
    ) -> None:
        see = "import signal, sys; print(signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN); sys.exit(7)"
        done = house.shell("""trap '' CHLD; exec "$@" """, *python(see))
        assert (done.returncode, done.stdout, done.stderr) == (7, "True\n", NONE)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
    @pytest.mark.parametrize(
        "where", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full", "2> >(exec true)"]
    )
    def test_a_standard_file_that_is_closed_or_broken_changes_nothing_of_it(self, house: House, where: str) -> None:
        done = house.shell(f'"$@" {where}', "sh", "-c", "sleep 0.2; exit 7")
        assert done.returncode == 7 and done.stderr in ("", NONE)

    def test_what_went_on_under_the_program_s_own_key_is_said(self, house: House) -> None:
        embeddings = [*CURL, "-H", "Authorization: Bearer sk-own", "https://api.openai.com/v1/embeddings"]
        done = house.run(*embeddings, HTTPS_PROXY=f"http://127.0.0.1:{free_port()}")
        assert done.stderr == "understudy: 1 let through under the program's own key\n"

    def test_its_proxy_ends_with_it(self, house: House) -> None:
        house.run("true")
        assert runtimes(house.home) == ()


class TestRefusals:
    """What cannot work is said before anything is started."""

    def test_a_command_that_there_is_not(self, house: House) -> None:
        done = house.run("no-such-command-anywhere")
        assert (done.returncode, done.stderr) == (127, "understudy: there is no command 'no-such-command-anywhere'\n")

    @pytest.mark.parametrize("what", ["file", "folder"])
    def test_a_command_that_cannot_be_run(self, house: House, tmp_path: Path, what: str) -> None:
        path = tmp_path / what
        path.mkdir() if what == "folder" else path.write_text("#!/bin/sh\n")
        done = house.run(str(path))
        assert done.returncode == 126 and str(path) in done.stderr

    def test_a_file_that_the_system_cannot_run(self, house: House, tmp_path: Path) -> None:
        path = tmp_path / "nothing"
        path.write_bytes(b"no program\0\n")
        path.chmod(0o700)
        done = house.run(str(path))
        assert (done.returncode, done.stderr) == (126, f"understudy: {path} cannot be run: Exec format error\n")

    def test_no_command_at_all(self, house: House) -> None:
        assert house.understudy("run").returncode == house.understudy("run", "--").returncode == 2

    def test_an_empty_pool(self, tmp_path: Path) -> None:
        done = House(tmp_path / "empty", Sandbox(SCENARIO)).understudy("run", "--", "true")
        assert done.returncode == 1 and "understudy login" in done.stderr
        assert not (tmp_path / "empty" / "mitmproxy").exists()

    def test_an_option_that_there_is_not(self, house: House) -> None:
        done = house.run("true", flags=["--set", "codex_strategy=best"])
        assert done.returncode == 1 and "codex_strategy" in done.stderr

    def test_a_config_file_that_counts_before_what_is_asked_for(self, house: House) -> None:
        with house.config("codex_unsupported: passthrough\n") as file:
            done = house.run("true", flags=["--set", "codex_unsupported=strict"])
            assert (done.returncode, done.stderr) == (
                1,
                f"understudy: {file} counts before --set for mitmproxy, and so its codex_unsupported is passthrough; "
                "change it there\n",
            )
            assert runtimes(house.home) == ()
            assert house.run("true").returncode == 0

    @pytest.mark.parametrize(
        ("text", "option"),
        [
            ("server: false", "server"),
            ("mode: ['socks5']", "mode"),
            ("mode: ['reverse:https://api.openai.com']", "mode"),
        ],
    )
    def test_a_proxy_that_https_proxy_cannot_lead_to(self, house: House, text: str, option: str) -> None:
        with house.config(f"{text}\n") as file:
            done = house.run("env")
        assert (done.returncode, done.stdout) == (1, "")
        assert "no port that HTTPS_PROXY can lead to" in done.stderr
        assert option in done.stderr and str(file) in done.stderr
        assert runtimes(house.home) == ()

    @pytest.mark.parametrize("option", ["server=false", "mode=socks5"])
    def test_an_option_that_leaves_no_port(self, house: House, option: str) -> None:
        done = house.run("env", flags=["--set", option])
        assert (done.returncode, done.stdout) == (1, "") and "no port that HTTPS_PROXY" in done.stderr

    def test_a_proxy_of_its_own_with_another_authority(self, house: House, tmp_path: Path) -> None:
        with house.config(f"confdir: {tmp_path}\n") as file:
            done = house.run("env")
        assert (done.returncode, done.stdout) == (1, "")
        assert str(tmp_path) in done.stderr and str(file) in done.stderr
        assert runtimes(house.home) == ()

    def test_a_proxy_that_wants_a_password_of_the_program(self, house: House) -> None:
        with house.config("proxyauth: 'ada:hidden'\n") as file:
            done = house.run("env")
            assert (done.returncode, done.stdout) == (1, "") and runtimes(house.home) == ()
            assert "proxyauth" in done.stderr and str(file) in done.stderr and "hidden" not in done.stderr
            assert house.understudy("start", "--background", "--port", str(free_port())).returncode == 0
            try:
                for words in (["run", "--", "env"], ["env"]):
                    done = house.understudy(*words)
                    assert (done.returncode, done.stdout) == (1, "")
                    assert "proxyauth" in done.stderr and "understudy restart" in done.stderr
            finally:
                assert house.understudy("stop").returncode == 0

    def test_a_running_proxy_that_still_has_the_authority_of_before(self, house: House) -> None:
        assert house.understudy("start", "--background", "--port", str(free_port()), *house.options).returncode == 0
        try:
            assert house.understudy("run", "--", "true").returncode == 0
            assert house.understudy("ca", "rotate", "--yes").returncode == 0
            for words in (["run", "--", "env"], ["env"]):
                done = house.understudy(*words)
                assert (done.returncode, done.stdout) == (1, "")
                assert done.stderr == (
                    "understudy: the running proxy still has the old certificate authority; run: understudy restart\n"
                )
            assert house.understudy("restart").returncode == 0
            assert WORDS in house.understudy("run", "--", *ASK).stdout
        finally:
            assert house.understudy("stop").returncode == 0

    def test_a_proxy_of_the_user_s_that_nobody_can_go_through(self, house: House) -> None:
        done = house.run("true", HTTPS_PROXY="socks5://ada:hidden@proxy.example:1080")
        assert done.returncode == 1 and "HTTPS_PROXY" in done.stderr and "hidden" not in done.stderr

    def test_a_password_that_others_could_read(self, house: House) -> None:
        done = house.run("true", HTTPS_PROXY="http://ada:hidden@proxy.example:3128")
        assert done.returncode == 1 and "upstream_auth" in done.stderr and "hidden" not in done.stderr


class TestSignals:
    """Each reaches the program once."""

    COUNTS = """
import signal, sys, time
seen = []
def take(number, frame):
    seen.append(number)
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, take)
print("ready", flush=True)
until = time.monotonic() + 20
while not seen and time.monotonic() < until:
    time.sleep(0.05)
time.sleep(0.3)
print(seen, flush=True)
sys.exit(9)
"""

    @pytest.mark.parametrize(
        "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1], ids=lambda n: n.name
    )
    def test_without_a_terminal_what_is_sent_to_us_is_passed_on(self, house: House, number: signal.Signals) -> None:
        with house.started(*python(self.COUNTS)) as running:
            assert running.stdout is not None and running.stdout.readline() == "ready\n"
            running.send_signal(number)
            out, err = running.communicate(timeout=30)
        assert (running.returncode, out, err) == (9, f"[{number.value}]\n", NONE)

    def test_what_we_ignore_the_program_ignores(self, house: House) -> None:
        see = python("import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)")
        done = subprocess.run(
            ["nohup", *house.command(*see)],
            env=house.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == "True\n"

    def test_nothing_is_blocked_in_the_program(self, house: House) -> None:
        see = python("import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))")
        assert house.run(*see).stdout == "set()\n"


class Terminal:
    """A terminal with a real shell on it, and a person who types."""

    def __init__(self, house: House) -> None:
        self.seen = ""
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], house.environment(PS1="$ ", TERM="dumb"))

    def types(self, text: str) -> None:
        os.write(self._file, text.encode())

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """Waits until the terminal shows it, behind what was waited for before."""
        until = time.monotonic() + 30
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < until, f"no {pattern!r} in:\n{self.seen}"
            if select.select([self._file], [], [], 0.2)[0]:
                self.seen += os.read(self._file, 65536).decode(errors="replace").replace("\r\n", "\n")
        self.seen = self.seen[found.end() :]
        return found

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)


class TestOnATerminal:
    """The keys are the program's."""

    @pytest.fixture
    def terminal(self, house: House) -> Iterator[Terminal]:
        terminal = Terminal(house)
        yield terminal
        terminal.close()

    def enter(self, terminal: Terminal, house: House, folder: Path, text: str) -> None:
        (folder / "program.py").write_text(text)
        (folder / "run").write_text(
            "#!/bin/sh\nexec "
            + " ".join(f"'{word}'" for word in house.command(sys.executable, str(folder / "program.py")))
        )
        (folder / "run").chmod(0o700)
        terminal.types(f"{folder}/run; echo code=$?\n")

    def test_it_is_in_the_foreground(self, terminal: Terminal, house: House, tmp_path: Path) -> None:
        self.enter(
            terminal,
            house,
            tmp_path,
            "import os, sys\n"
            "tty = os.open('/dev/tty', os.O_RDWR)\n"
            "here = all(map(os.isatty, (0, 1, 2))) and os.tcgetpgrp(tty) == os.getpgrp() == os.getpgid(os.getppid())\n"
            "print(f'foreground={here}')\n",
        )
        terminal.wait_for("foreground=True")
        terminal.wait_for("code=0")

    def test_ctrl_c_reaches_it_once_and_we_live_on(self, terminal: Terminal, house: House, tmp_path: Path) -> None:
        self.enter(terminal, house, tmp_path, TestSignals.COUNTS)
        terminal.wait_for("ready\n")
        terminal.types("\x03")
        terminal.wait_for(r"\[2\]\n")
        terminal.wait_for(re.escape(NONE))
        terminal.wait_for("code=9")

    def test_ctrl_z_stops_it_and_fg_goes_on(self, terminal: Terminal, house: House, tmp_path: Path) -> None:
        ticks = (
            "import select\n"
            "while not select.select([0], [], [], 0.1)[0]:\n"
            "    print('tick', flush=True)\n"
            "print('went', 'on')\n"
        )
        self.enter(terminal, house, tmp_path, ticks)
        for _ in range(3):
            terminal.wait_for("tick")
            terminal.types("\x1a")
            terminal.wait_for("Stopped(.*\n)+.*\\$ ")
            terminal.types("fg\n")
            terminal.wait_for("fg\n")
        terminal.wait_for("tick")
        terminal.types("x\n")
        terminal.wait_for("went on")
        terminal.wait_for(re.escape(NONE))

    def test_a_program_that_stops_itself_stops_us(self, terminal: Terminal, house: House, tmp_path: Path) -> None:
        self.enter(
            terminal, house, tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nprint('went', 'on')\n"
        )
        terminal.wait_for("Stopped")
        terminal.types("fg\n")
        terminal.wait_for("went on")
        terminal.wait_for(re.escape(NONE))

    def test_a_shell_in_it_has_its_own_jobs(self, terminal: Terminal, house: House, tmp_path: Path) -> None:
        shell = "import os\nos.execvpe('bash', ['bash', '--norc', '-i'], {**os.environ, 'PS1': 'inner> '})\n"
        self.enter(terminal, house, tmp_path, shell)
        terminal.wait_for("inner> ")
        terminal.types("sh -c 'echo asleep-$((6*7)); exec sleep 60'\n")
        terminal.wait_for("asleep-42")
        terminal.types("\x03")
        terminal.wait_for("inner> ")
        terminal.types("exit 5\n")
        terminal.wait_for("code=5")


class TestTheProxy:
    """Which one serves, and what becomes of it."""

    def test_it_does_not_outlive_us(self, house: House) -> None:
        with house.started(*python("print('ready', flush=True); input()")) as running:
            eventually(lambda: len(runtimes(house.home)) == 1)
            assert running.stdout is not None
            running.kill()
        eventually(lambda: runtimes(house.home) == ())

    def test_its_death_is_said_once_and_the_program_is_refused(self, house: House, tmp_path: Path) -> None:
        go = tmp_path / "go"
        wait = f"echo ready; while ! [ -e {go} ]; do sleep 0.1; done; curl -sS https://api.openai.com/; exit 4"
        with house.started("sh", "-c", wait) as running:
            assert running.stdout is not None and running.stderr is not None
            assert running.stdout.readline() == "ready\n"
            [proxy] = runtimes(house.home)
            os.kill(proxy.pid, signal.SIGKILL)
            said = running.stderr.readline()
            go.touch()
            out, err = running.communicate(timeout=30)
        log = house.home / "logs" / "run.log"
        assert said == (
            "understudy: the proxy has ended; the program's calls fail from now on. To go on, run it again; "
            f"the proxy's log: {log}\n"
        )
        assert (running.returncode, out) == (4, "")
        assert err.startswith("curl: (7)") and "understudy" not in err

    def test_a_run_within_a_run_has_the_same(self, house: House) -> None:
        inner = " ".join(f"'{word}'" for word in [sys.executable, "-m", "understudy", "run", "--", *ASK])
        see = f"echo; echo $HTTPS_PROXY; '{sys.executable}' -m understudy run -- sh -c 'echo $HTTPS_PROXY'"
        done = house.run("sh", "-c", f"{inner}; {see}")
        assert WORDS in done.stdout
        outer, within = done.stdout.splitlines()[-2:]
        assert outer == within
        assert done.stderr.splitlines() == [
            ONE.strip() + ", counting all programs of the running proxy",
            NONE.strip(),
            ONE.strip(),
        ]

    def test_the_running_one_serves_and_goes_on(self, house: House) -> None:
        assert house.understudy("start", "--background", "--port", str(free_port()), *house.options).returncode == 0
        try:
            running = shared_proxy(house.home)
            done = house.understudy("run", "--", *ASK)
            assert done.stderr == f"{ONE.strip()}, counting all programs of the running proxy\n"
            again = house.understudy("run", "--", *ASK)
            assert again.stderr == done.stderr
            assert running is not None
            by_hand = house.understudy("run", "--", *ASK, HTTPS_PROXY=f"http://localhost:{running.port}")
            assert by_hand.stderr == done.stderr
            assert shared_proxy(house.home) is not None
            own = house.run(*ASK)
            assert own.stderr == ONE
        finally:
            assert house.understudy("stop").returncode == 0

    def test_what_the_user_has_to_go_through_is_gone_through(
        self, house: House, tmp_path: Path, confdir_template: Path
    ) -> None:
        shutil.copytree(confdir_template, tmp_path / "confdir")
        with Proxy(tmp_path / "other", tmp_path / "confdir", {"flow_detail": 1}, script=None) as company:
            done = house.run(*ASK, HTTPS_PROXY=company.url)
            assert WORDS in done.stdout and done.stderr == ONE
            company.wait_for_log("/backend-api/codex/responses")
            within = house.run(
                sys.executable, "-m", "understudy", "env", "--unset", "--shell", "sh", HTTPS_PROXY=company.url
            )
            assert f"export HTTPS_PROXY='{company.url}'" in within.stdout

"""However a proxy or a command ends, short of SIGKILL, a refresh that is under way comes to its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.members import member
from support.proxy import SCRIPT, clean_environment
from support.theatre import eventually
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore

SCENARIO = {"accounts": {"work": {"first_life": 100.0, "token_steps": [{"do": "rotate", "wait": 2.0}]}}}


def enrol(home: Path, sandbox: Sandbox) -> None:
    AccountStore(home).update(over_accounts(lambda _: (member(sandbox, "work"),)))


def proxy(sandbox: Sandbox, confdir: Path) -> list[str]:
    mitmdump = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(SCRIPT), *options(sandbox)]
    return [*mitmdump, "--set", f"confdir={confdir}", "--set", "listen_host=127.0.0.1", "--set", "listen_port=0"]


def options(sandbox: Sandbox) -> list[str]:
    return ["--set", f"codex_issuer={sandbox.issuer}", "--set", f"codex_backend={sandbox.backend}"]


def command(sandbox: Sandbox, confdir: Path) -> list[str]:
    return [sys.executable, "-m", "understudy", "accounts", "refresh", *options(sandbox)]


@pytest.mark.parametrize("program", [proxy, command])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, "terminal closed"])
def test_a_refresh_comes_to_its_end(program: object, end: object, home: Path, tmp_path: Path) -> None:
    assert callable(program)
    with Sandbox(SCENARIO) as sandbox:
        enrol(home, sandbox)
        output, terminal = os.openpty()
        environment = clean_environment(UNDERSTUDY_HOME=str(home))
        running = subprocess.Popen(
            program(sandbox, tmp_path / "confdir"), env=environment, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        try:
            sandbox.journal.wait_for(lambda entry: entry.path == "/oauth/token", 30)
            if isinstance(end, signal.Signals):
                running.send_signal(end)
            os.close(output)
            eventually(lambda: sandbox.tokens("work").generation == 2)
            eventually(
                lambda: AccountStore(home).read().accounts[0].tokens.refresh.reveal() == sandbox.tokens("work").refresh
            )
        finally:
            running.kill()
            running.wait()

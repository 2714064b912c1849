"""`understudy sandbox` as a user runs it: as a process."""

import argparse
import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.client import connect
from understudy.cli import sandbox as command

PROGRAM = """
import argparse, sys
from understudy.cli import sandbox
parser = argparse.ArgumentParser()
sandbox.add_parser(parser.add_subparsers())
args = parser.parse_args(["sandbox", *sys.argv[1:]])
sys.exit(args.run(args))
"""


@contextmanager
def started(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The running command and its first line."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["sandbox", *arguments])


def test_it_serves_says_where_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    with started("--port", "0", "--write-auth", str(tmp_path / "logins")) as (process, first):
        found = re.match(r"Sandbox on (http://127\.0\.0\.1:\d+), accounts: work, home\.", first)
        assert found, first
        with connect() as client:
            assert client.get(f"{found[1]}/sandbox/journal").json() == {"entries": []}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0 and process.stdout is not None
        rest = process.stdout.read()
    assert f"--set codex_backend={found[1]}/backend-api/codex --set codex_issuer={found[1]}" in rest
    assert str(tmp_path / "logins" / "work" / "auth.json") in rest


def test_logins_are_for_their_owner_only(tmp_path: Path) -> None:
    (path,) = command.write_logins(tmp_path, {"work": "{}"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    command.write_logins(tmp_path, {"work": '{"again": 1}'})
    assert json.loads(path.read_text()) == {"again": 1}


@pytest.mark.parametrize("content", [None, "[]"], ids=["no file", "no scenario"])
def test_a_bad_scenario_is_wrong_use(content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scenario.json"
    if content is not None:
        path.write_text(content)
    args = parse("--scenario", str(path))
    assert args.run(args) == 2
    assert "scenario" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    with started("--port", "0") as (_, first):
        port = re.findall(r":(\d+)", first)[0]
        args = parse("--port", port)
        assert args.run(args) == 1
    assert "--port N takes another port" in capsys.readouterr().err

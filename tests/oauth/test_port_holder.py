"""Who holds a port is said by the program's name, where it can be seen."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.oauth.port_holder import listening, port_holder

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:05AF 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0 0 10 0
   1: 0100007F:05AF 0100007F:9C42 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 20 4 30 10 -1
   2: 0100007F:05B1 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 100 0 0 10 0
   3: torn
"""


def test_only_who_listens_holds_a_port() -> None:
    assert list(listening(TABLE, 1455)) == ["11"]
    assert list(listening(TABLE, 9999)) == list(listening("", 1455)) == []


def test_a_machine_that_shows_nothing_says_nothing(tmp_path: Path) -> None:
    assert port_holder(1455, tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not show it")
def test_a_program_is_named_without_its_arguments() -> None:
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "secret"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = port_holder(int(process.stdout.readline()))
        process.communicate("\n")
    assert holder == Path(sys.executable).name


def test_a_port_that_nobody_holds_has_no_holder() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert port_holder(free.getsockname()[1]) is None

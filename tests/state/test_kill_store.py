"""The short form of the campaign that kills the pool's writers; the long one has every step and 1000 rounds more."""

import subprocess
import sys

from support.proxy import ROOT


def test_writers_that_are_killed_leave_a_whole_pool_and_nothing_else() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "campaign.py"), "kill-store", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "0 torn, 0 lost" in done.stdout, done.stderr
    assert done.returncode == 0

"""The short form of the campaign that lets coding agents work through limits that come and go, and faults."""

import re
import subprocess
import sys

from support.proxy import ROOT


def test_no_request_fails_in_vain_and_no_session_moves_without_reason() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "campaign.py"), "policy", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    for figure in ("failed while somebody could", "moves without reason", "calls to an account known to be limited"):
        assert f"| {figure} | 0 | 0 |" in done.stdout, done.stdout
    answered = re.search(r"^\| answered \| (\d+) \| (\d+) \|$", done.stdout, re.MULTILINE)
    assert answered is not None and min(map(int, answered.groups())) > 60, done.stdout

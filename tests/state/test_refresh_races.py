"""The short forms of the campaigns that try to lose a login: processes that race, and processes that are killed."""

import re
import subprocess
import sys

import pytest

from support.proxy import ROOT


@pytest.mark.parametrize(
    ("campaign", "figures"),
    [
        pytest.param(
            "refresh", "4 processes, 24 expiries: 24 refreshes, 0 reuses", id="every expiry costs exactly one refresh"
        ),
        pytest.param(
            "kill-refresh", r"2\d of \d{4} steps were killed at", id="whoever is killed leaves a defined end behind"
        ),
    ],
)
def test_no_login_is_lost(campaign: str, figures: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "campaign.py"), campaign, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(f"^{figures}$", done.stdout, re.MULTILINE), done.stdout

"""The benchmark runs, and every answer comes whole. What it measures is no matter of tests."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_short_benchmark_measures_everything_and_completes_every_answer() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench.py"), "--quick"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answers = re.search(r"^(\d+) answers came whole, 0 did not\.$", done.stdout, re.MULTILINE)
    assert answers is not None and int(answers[1]) > 100, done.stdout
    for figure in (
        "proxy CPU per 1000 events",
        "time to first event",
        "memory after 40 requests",
        "replay after a 429",
        "40 KB: later turn, to its first event",
        "40 KB: upstream per later turn",
    ):
        assert f"| {figure}" in done.stdout

"""The doctor on what is installed: versions, libraries, the replaying layer, and whether all is of one version."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy.proxy.layers.http import HttpStream

from support.clinic import Clinic
from support.proxy import clean_environment
from understudy import __version__, needs
from understudy.doctor import software
from understudy.doctor.check import State
from understudy.doctor.software import judge_libraries, judge_step, judge_version
from understudy.needs import MITMPROXY


@pytest.mark.parametrize("version", ["3.10.19", "3.14.0"])
def test_a_python_that_is_not_supported_is_bad(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("platform.python_version", lambda: version)
    assert "what is: Python>=3.11,<3.14" in clinic.alone("python").said


@pytest.mark.parametrize("version", ["11.0.1", "12.3.1", "13.0.0.dev"])
def test_a_mitmproxy_that_is_not_supported_is_bad(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr("mitmproxy.version.VERSION", version)
    found = clinic.alone("mitmproxy")
    assert "mitmproxy>=11.0.2,<12.3" in found.command


@pytest.mark.parametrize("version", ["11.0.2", "11.1.0", "12.2.3"])
def test_a_mitmproxy_that_is_supported_is_well(version: str) -> None:
    assert judge_version("mitmproxy", version, MITMPROXY, "").state is State.OK


@pytest.mark.parametrize("absent", ["splintr", "mitmproxy", "pydantic"])
def test_where_a_library_is_missing_the_doctor_says_which_and_goes_on(tmp_path: Path, absent: str) -> None:
    """In a process of its own, which cannot import it."""
    program = (
        "import sys\n"
        f"sys.modules[{absent!r}] = None\n"
        "from understudy.cli.main import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environment(UNDERSTUDY_HOME=str(tmp_path / "home"), HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    package = {"splintr": "splintr-rs"}.get(absent, absent)
    assert re.search(rf"BAD libraries not there, or too old, for \S+: {package}>=", words)
    assert "shell: tls" in words


def test_a_library_that_is_too_old_is_bad(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(needs.PACKAGES, "httpx", "httpx>=99")
    assert "httpx>=99" in clinic.alone("libraries").said
    assert judge_libraries(()).state is State.OK


def test_a_mitmproxy_that_is_another_inside_is_bad(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpStream, "flow_done", lambda self, why: iter(()))
    found = clinic.alone("replaying layer")
    assert "HttpStream.flow_done is another" in found.said


def test_an_installation_without_a_script_is_bad(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "script_path", lambda: None)
    assert "there is no mitmproxy script" in clinic.alone("script").said


def test_a_running_proxy_of_another_version_is_bad(clinic: Clinic) -> None:
    with clinic.proxy(version="0.0.9"):
        found = clinic.alone("script")
    assert f"({__version__}): process {os.getpid()} has loaded 0.0.9" in found.said
    assert found.command == "understudy restart"


def test_without_a_proxy_script_and_package_are_enough() -> None:
    assert judge_step(Path("codex.py"), Path("understudy"), ()).state is State.OK

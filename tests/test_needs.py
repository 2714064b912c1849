"""What the package needs of the Python it is in: the same as its metadata says, and one line where it is not there."""

import sys
import tomllib
from pathlib import Path

import pytest

from support.proxy import ROOT
from understudy import needs

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this Python says that it is."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "mitmproxy"))
    (tmp_path / "mitmproxy").mkdir()
    return tmp_path / "mitmproxy"


def test_it_is_what_the_metadata_says() -> None:
    assert sorted([needs.MITMPROXY, *needs.PACKAGES.values()]) == sorted(PROJECT["dependencies"])
    assert PROJECT["requires-python"] == needs.PYTHON


def test_here_all_is_there() -> None:
    assert needs.trouble() is None


@pytest.mark.parametrize(
    ("module", "requirement"),
    [("no_such_module", "no-such-module>=1"), ("tornado", "tornado>=999"), ("tornado", "tornado>=6,<6.1")],
    ids=["absent", "too old", "too new"],
)
def test_what_is_lacking_is_named_with_the_place(
    monkeypatch: pytest.MonkeyPatch, module: str, requirement: str
) -> None:
    monkeypatch.setitem(needs.PACKAGES, module, requirement)
    said = needs.trouble()
    assert said is not None and "\n" not in said
    assert said.startswith(f"Understudy needs {requirement} in {sys.prefix}")
    assert f"pip install '{requirement}'" in said


def test_a_mitmproxy_that_is_not_supported_comes_before_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "MITMPROXY", "mitmproxy>=99")
    monkeypatch.setitem(needs.PACKAGES, "no_such_module", "no-such-module>=1")
    said = needs.trouble()
    assert said is not None
    assert said.startswith(f"Understudy needs mitmproxy>=99, and {sys.prefix} has 1")
    assert "no-such-module" not in said


def test_a_python_that_is_not_supported_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    monkeypatch.setattr(needs, "MITMPROXY", "mitmproxy>=99")
    assert needs.trouble() == f"Understudy needs Python >=3.11,<3.14, and {sys.executable} is 3.10.4"


def test_pipx_is_told_to_inject(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").touch()
    assert needs.cure(["httpx>=0.25", "pyjwt>=2.8"]) == "run: pipx inject mitmproxy 'httpx>=0.25' 'pyjwt>=2.8'"
    assert needs.cure([needs.MITMPROXY]) == "run: pipx install --force 'mitmproxy>=11.0.2,<12.3'"


def test_uv_is_told_to_install_with(prefix: Path) -> None:
    (prefix / "uv-receipt.toml").touch()
    told = "run: uv tool install 'mitmproxy>=11.0.2,<12.3'"
    assert needs.cure(["httpx>=0.25"]) == f"{told} --with 'httpx>=0.25'"
    assert needs.cure([needs.MITMPROXY]) == told


def test_a_venv_s_own_pip_is_told_to(prefix: Path) -> None:
    assert needs.cure(["httpx>=0.25"]) == f"run: {sys.executable} -m pip install 'httpx>=0.25'"


def test_a_distribution_s_python_is_left_alone(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(prefix))
    (prefix / "EXTERNALLY-MANAGED").touch()
    assert needs.cure(["httpx>=0.25"]).startswith("this Python is your distribution's: ")


def test_a_binary_takes_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert needs.cure(["httpx>=0.25"]).startswith("this mitmproxy takes no packages")

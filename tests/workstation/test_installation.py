"""mitmproxy's programs are those of this very installation, if it has any."""

from pathlib import Path

import pytest

from understudy.workstation.installation import program_path


def program(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "mitmdump"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_one_beside_this_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, elsewhere = program(tmp_path / "venv"), program(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(elsewhere.parent))
    assert program_path("mitmdump", str(tmp_path / "venv" / "python")) == beside
    assert program_path("mitmdump", str(tmp_path / "other" / "python")) == elsewhere


def test_where_there_is_none_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program_path("mitmdump", str(tmp_path / "python")) is None

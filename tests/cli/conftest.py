"""The command on a folder of its own."""

from pathlib import Path

import pytest

from support.terminal import Said, Understudy
from understudy.cli.main import main


@pytest.fixture
def understudy(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Understudy:
    """Runs commands in the folder `home`. There is nobody to ask."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run

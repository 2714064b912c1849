"""An export is private from its first byte, is written over nothing, and shows no token on a terminal."""

import json
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from support.logins import CANARY, NOW, account, auth_json
from understudy.cli.main import main
from understudy.pool.pool import Pool
from understudy.state.accounts import AccountStore


@pytest.fixture(autouse=True)
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, beside a pool of ada and bob."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    AccountStore(home).update(lambda _: Pool((account("ada"), account("bob"))))
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder


def refresh_tokens(path: Path) -> list[str]:
    return [one["tokens"]["refresh"] for one in json.loads(path.read_bytes())["accounts"]]


def test_an_export_is_named_by_its_day_and_private(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "export"]) == 0
    (path,) = folder.iterdir()
    assert path.name == f"understudy-accounts-{datetime.now():%Y-%m-%d}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert refresh_tokens(path) == [account(name).tokens.refresh.reveal() for name in ("ada", "bob")]
    said = capsys.readouterr().out
    assert f"exported ada, bob to {path.name}" in said
    assert "Whoever has this file can use the accounts" in said and CANARY not in said


def test_a_file_that_is_there_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "export.json"
    path.write_text("mine")
    assert main(["accounts", "export", str(path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_force_puts_it_in_the_place_of_an_earlier_export(folder: Path) -> None:
    main(["accounts", "export", "export.json", "--redacted"])
    (folder / "export.json").chmod(0o644)
    assert main(["accounts", "export", "export.json", "--force"]) == 0
    assert len(refresh_tokens(folder / "export.json")) == 2
    assert stat.S_IMODE((folder / "export.json").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["export.json"]


@pytest.mark.parametrize("content", [auth_json("ada"), "mine", ""])
def test_not_even_force_writes_over_what_is_no_export(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "auth.json"
    path.write_text(content)
    path.chmod(0o644)
    assert main(["accounts", "export", str(path), "--force"]) == 1
    assert "is no export" in capsys.readouterr().err
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o644)


@pytest.mark.parametrize("arguments", [[], ["--force"]])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_followed(folder: Path, arguments: list[str], there: bool) -> None:
    target = folder / "target.json"
    if there:
        main(["accounts", "export", str(target), "--redacted"])
    (folder / "link.json").symlink_to(target)
    before = target.read_bytes() if there else None
    assert main(["accounts", "export", "link.json", *arguments]) == 1
    assert (target.read_bytes() if there else None) == before
    assert (folder / "link.json").is_symlink()


def test_tokens_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "export", "-"]) == 2
    said = capsys.readouterr()
    assert "tokens are not printed" in said.err and said.out == ""


def test_what_is_redacted_may_be_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "export", "--redacted", "-"]) == 0
    said = capsys.readouterr().out
    assert [one["label"] for one in json.loads(said)["accounts"]] == ["ada", "bob"]
    assert CANARY not in said and "ada@" not in said and "ws-ada" not in said
    assert list(folder.iterdir()) == []


def test_a_redacted_file_says_so_in_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "export", "--redacted"]) == 0
    (path,) = folder.iterdir()
    assert path.name.endswith("-redacted.json")
    assert CANARY not in path.read_text()
    assert "Whoever has this file" not in capsys.readouterr().out


def test_an_empty_pool_is_not_exported(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AccountStore(home).update(lambda _: Pool())
    assert main(["accounts", "export"]) == 1
    assert "no accounts to export" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "export", "nowhere/export.json"]) == 1
    assert "cannot write nowhere/export.json: No such file" in capsys.readouterr().err


def test_an_export_leaves_the_pool_as_it_is(home: Path) -> None:
    before = AccountStore(home).read()
    main(["accounts", "export"])
    assert AccountStore(home).read() == before
    assert before.accounts[0].tokens.expires_at == NOW + 3600

"""Accounts come into the pool by the user's word alone, whole or not at all."""

from pathlib import Path

import pytest

from support.logins import CANARY, NOW, auth_json
from understudy.cli.main import main
from understudy.pool.health import needs_login
from understudy.pool.pool import over_accounts
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache

LATER = NOW + 20 * 365 * 86400


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))


@pytest.fixture
def logins(tmp_path: Path) -> Path:
    """A folder with the login files of ada, bob and cy, and one in the way that Codex keeps its own."""
    folder = tmp_path / "logins"
    (folder / "codex-home").mkdir(parents=True)
    for name in ("ada", "bob", "cy"):
        (folder / f"{name}.json").write_text(auth_json(name, expires_at=LATER))
    (folder / "codex-home" / "auth.json").write_text(auth_json("dee", expires_at=1.0))
    return folder


def labels(home: Path) -> list[str]:
    return [a.label for a in AccountStore(home).read().accounts]


def test_several_files_and_folders_are_imported_in_their_order(
    home: Path, logins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(logins / name) for name in ("bob.json", "codex-home", "ada.json")]
    assert main(["accounts", "import", *paths]) == 0
    assert labels(home) == ["plus-bob", "plus-dee", "plus-ada"]
    said = capsys.readouterr().out
    assert "added plus-bob (plus, b***@example.com, access token good for" in said
    assert "added plus-dee (plus, d***@example.com, access token expired" in said


def test_an_import_says_that_the_other_program_will_be_logged_out(
    logins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", str(logins / "ada.json")])
    said = " ".join(capsys.readouterr().out.split())
    assert "the next refresh here logs the program that this login came from out of it" in said


def test_an_import_leaves_the_file_as_it_is(logins: Path) -> None:
    path = logins / "ada.json"
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    main(["accounts", "import", str(path)])
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) == before


def test_an_import_of_what_is_there_says_so_truthfully(
    home: Path, logins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = logins / "ada.json"

    def imported() -> str:
        capsys.readouterr()
        assert main(["accounts", "import", str(path)]) == 0
        return capsys.readouterr().out

    assert imported().startswith("added plus-ada ")
    assert imported().startswith("unchanged plus-ada ")
    path.write_text(auth_json("ada", expires_at=LATER + 60, mark="newer"))
    assert imported().startswith("updated plus-ada ")
    path.write_text(auth_json("ada", expires_at=LATER, mark="older"))
    assert "newer than the file's" in imported()
    AccountStore(home).update(over_accounts(lambda accounts: (needs_login(accounts[0], "ended", 0.0),)))
    path.write_text(auth_json("ada", expires_at=LATER + 60, mark="newer"))
    assert "no longer works" in imported()
    assert labels(home) == ["plus-ada"]


def test_the_status_knows_the_new_accounts_at_once(home: Path, logins: Path) -> None:
    main(["accounts", "import", str(logins / "ada.json")])
    assert [e.label for e in QuotaCache(home).read() or ()] == ["plus-ada"]


def test_a_label_is_the_users_choice(home: Path, logins: Path) -> None:
    assert main(["accounts", "import", "--label", "work", str(logins / "ada.json")]) == 0
    assert labels(home) == ["work"]
    assert main(["accounts", "import", "--label", "home", str(logins / "ada.json")]) == 0
    assert labels(home) == ["home"]


def test_one_label_for_two_files_is_wrong_use(logins: Path) -> None:
    paths = [str(logins / "ada.json"), str(logins / "bob.json")]
    assert main(["accounts", "import", "--label", "work", *paths]) == 2


@pytest.mark.parametrize("label", ["work", "two words"])
def test_a_label_that_is_not_to_be_had_imports_nothing(
    home: Path, logins: Path, label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", "--label", "work", str(logins / "ada.json")])
    assert main(["accounts", "import", "--label", label, str(logins / "bob.json")]) == 1
    assert labels(home) == ["work"]
    assert "label" in capsys.readouterr().err


def write(path: Path, data: str) -> Path:
    path.write_text(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        pytest.param("none.json", None, "there is no such file", id="missing"),
        pytest.param("torn.json", auth_json()[:300], "not JSON", id="torn"),
        pytest.param("key.json", f'{{"OPENAI_API_KEY": "sk-{CANARY}"}}', "API key", id="API key"),
        pytest.param("huge.json", "x" * 2_000_000, "too large", id="huge"),
    ],
)
def test_a_file_that_is_no_login_is_named_and_nothing_is_imported(
    home: Path, logins: Path, name: str, data: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if data is not None:
        (logins / name).write_text(data)
    assert main(["accounts", "import", str(logins / "ada.json"), str(logins / name), str(logins)]) == 1
    error = capsys.readouterr().err
    assert f"{logins / name}: " in error and said in error
    assert f"{logins}: there is no auth.json in this folder" in error
    assert "nothing was imported" in error
    assert CANARY not in error
    assert labels(home) == []


def test_an_import_into_an_unreadable_pool_loses_nothing(
    home: Path, logins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", str(logins / "ada.json")])
    (home / "accounts.json").write_bytes(b"torn")
    for _ in range(2):
        assert main(["accounts", "import", str(logins / "bob.json")]) == 1
    error = capsys.readouterr().err
    assert "backup has 1 account" in error
    (home / "accounts.json.bak").rename(home / "accounts.json")
    assert labels(home) == ["plus-ada"]

"""An import shows before what it would do, tells the truth of what it did, and can be taken back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.login_files import codex_multi_auth, kyoli_gam, oc_codex_multi_auth, opencode, opencode_entry, pool_account
from support.logins import CANARY, NOW, access_token, auth_json
from understudy.cli.main import main
from understudy.pool.account import Account
from understudy.pool.edits import enable
from understudy.state.accounts import AccountStore

LATER = NOW + 20 * 365 * 86400


@pytest.fixture(autouse=True)
def own_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CODEX_HOME", "CODEX_MULTI_AUTH_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "OPENCODE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path, content: str | bytes) -> str:
    """A file with this in it; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.fixture
def codex(tmp_path: Path) -> str:
    """Codex's login file of ada."""
    return write(tmp_path / "codex.json", auth_json("ada", expires_at=LATER))


@pytest.fixture
def multi(tmp_path: Path) -> str:
    """The pool of codex-multi-auth with bob, whom it calls work and has disabled, and one that cannot be used."""
    bob = pool_account("bob", accountLabel="work", enabled=False)
    return write(tmp_path / "multi.json", codex_multi_auth(bob, pool_account("cy", refreshToken="")))


def accounts(home: Path) -> tuple[Account, ...]:
    return AccountStore(home).read().accounts


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    home: Path, codex: str, multi: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accounts", "import", "--dry-run", codex, multi]) == 0
    said = capsys.readouterr().out
    assert "would be added plus-ada (plus, a***@example.com, access token good for" in said
    assert "would be added work (plus, b***@example.com, disabled, access token" in said
    assert "from codex-multi-auth)" in said
    assert said.endswith("This was a dry run: nothing was changed.\n")
    assert not home.exists()


def test_several_programs_are_imported_at_once_with_what_they_say_of_an_account(
    home: Path, codex: str, multi: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accounts", "import", codex, multi]) == 0
    assert [(a.label, a.enabled) for a in accounts(home)] == [("plus-ada", True), ("work", False)]
    said = capsys.readouterr().out
    assert f"left out of {multi} (codex-multi-auth): account 2 (c***@example.com): it has no refresh token" in said
    assert CANARY not in said and "ada@" not in said


def test_a_shared_login_is_told_and_one_of_its_own_offered(codex: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--dry-run"], []):
        main(["accounts", "import", *arguments, codex])
        said = " ".join(capsys.readouterr().out.split())
        assert "the next refresh here logs the program that this login came from out of it" in said
        assert "To give Understudy a login of its own, run `understudy login`" in said
    main(["accounts", "import", codex])
    assert "refresh token" not in capsys.readouterr().out, "nothing was imported that could be shared"


def test_a_workspace_that_shares_anothers_login_is_told_to_get_its_own(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sibling = pool_account("ada", accountId="ws-other")
    path = write(tmp_path / "oc.json", oc_codex_multi_auth(pool_account("ada"), sibling))
    assert main(["accounts", "import", path]) == 0
    said = capsys.readouterr().out
    assert "account 2: it shares the login of account 1" in said and "understudy login" in said
    assert len(accounts(home)) == 1


def test_workspaces_that_share_a_login_over_several_files_are_told_too(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "first.json", oc_codex_multi_auth(pool_account("ada")))
    shared = pool_account("bob", refreshToken=pool_account("ada")["refreshToken"])
    second = write(tmp_path / "second.json", oc_codex_multi_auth(shared))
    assert main(["accounts", "import", first]) == 0
    assert main(["accounts", "import", second]) == 0
    assert f"left out of {second} (oc-codex-multi-auth): account ws-bob: it shares" in capsys.readouterr().out
    assert [a.label for a in accounts(home)] == ["plus-ada"]


def test_a_pool_that_is_not_empty_is_copied_before_it_is_changed(
    home: Path, codex: str, multi: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", codex])
    assert "the pool as it was" not in capsys.readouterr().out, "there was none"
    before = (home / "accounts.json").read_bytes()
    main(["accounts", "import", "--dry-run", multi])
    assert not (home / "backups").exists()
    main(["accounts", "import", multi])
    named = re.search(r"^the pool as it was: (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert named is not None and Path(named[1]).read_bytes() == before
    main(["accounts", "import", multi])
    assert "the pool as it was" not in capsys.readouterr().out, "nothing changed"
    assert len(list((home / "backups").iterdir())) == 1


def test_a_disabled_account_that_comes_again_stays_disabled(
    tmp_path: Path, home: Path, codex: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", codex])
    AccountStore(home).update(lambda pool: enable(pool, "plus-ada", False))
    newer = write(tmp_path / "newer.json", auth_json("ada", expires_at=LATER + 60, mark="newer"))
    assert main(["accounts", "import", newer]) == 0
    assert "updated plus-ada (plus, a***@example.com, disabled" in capsys.readouterr().out
    assert not accounts(home)[0].enabled


def test_an_older_login_does_not_take_the_place_of_the_pools(
    tmp_path: Path, home: Path, codex: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", codex])
    before = accounts(home)
    path = write(tmp_path / "opencode.json", opencode(openai=opencode_entry("ada")))
    assert main(["accounts", "import", path]) == 0
    said = capsys.readouterr().out
    assert "kept plus-ada" in said and "newer than the file's" in said
    assert accounts(home) == before


def test_one_unreadable_file_and_nothing_is_imported(
    tmp_path: Path, home: Path, codex: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "other.json", json.dumps({"accounts": [{"iban": CANARY}]}))
    assert main(["accounts", "import", codex, other]) == 1
    said = capsys.readouterr().err
    assert f"{other}: it is not a login file" in said and "kyoli-gam" in said and "nothing was imported" in said
    assert CANARY not in said
    assert not home.exists()


def test_a_label_is_for_one_login(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "two.json", kyoli_gam(pool_account("ada"), pool_account("bob")))
    assert main(["accounts", "import", "--label", "work", path]) == 1
    assert "there are several in the file; nothing was imported" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("arguments", [["--dry-run"], []])
def test_a_label_that_is_not_to_be_had_is_refused(
    home: Path, codex: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["accounts", "import", *arguments, "--label", "two words", codex]) == 1
    assert "not a label" in capsys.readouterr().err
    assert not home.exists()


def imported(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main(["accounts", "import", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_script_is_told_the_same(home: Path, codex: str, multi: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = imported(capsys, "--dry-run", codex, multi)
    assert (first["version"], first["dry_run"], first["backup"]) == (1, True, None)
    assert [(one["program"], one["change"], one["account"]["label"]) for one in first["logins"]] == [
        ("Codex", "added", "plus-ada"),
        ("codex-multi-auth", "added", "work"),
    ]
    assert [one["path"] for one in first["left_out"]] == [multi]
    assert not home.exists()
    imported(capsys, codex)
    second = imported(capsys, codex, multi)
    assert [(one["change"], one["reason"]) for one in second["logins"]] == [
        ("unchanged", "it is in the pool with this login already"),
        ("added", None),
    ]
    assert Path(second["backup"]).is_file()
    assert CANARY not in json.dumps(second) and "ada@" not in json.dumps(second)


def test_without_a_path_it_tells_which_files_there_are_and_imports_none(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    login = write(tmp_path / ".codex" / "auth.json", auth_json("ada"))
    other = write(tmp_path / ".claude" / "auth.json", json.dumps({"else": CANARY}))
    assert main(["accounts", "import"]) == 0
    said = capsys.readouterr().out
    assert f"{login}: Codex, logins: 1\n" in said
    assert f"{other}: codex-oauth, it is not a login file" in said
    assert "Nothing was imported." in said and CANARY not in said
    files = imported(capsys)["files"]
    assert [(file["program"], file["logins"], file["problem"] is None) for file in files] == [
        ("Codex", 1, True),
        ("codex-oauth", 0, False),
    ]
    assert not home.exists()


def test_without_a_path_and_without_a_file_it_offers_a_login(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts", "import"]) == 0
    assert "understudy login" in capsys.readouterr().out


def test_the_files_of_other_programs_are_left_as_they_are(multi: str) -> None:
    path = Path(multi)
    path.chmod(0o644)
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    main(["accounts", "import", multi])
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) == before


def test_an_export_is_imported_elsewhere(
    tmp_path: Path, home: Path, codex: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["accounts", "import", "--label", "home", codex])
    main(["accounts", "export", str(tmp_path / "export.json")])
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "elsewhere"))
    assert main(["accounts", "import", str(tmp_path / "export.json")]) == 0
    assert "added home (" in capsys.readouterr().out
    (there,) = accounts(tmp_path / "elsewhere")
    assert there.tokens == accounts(home)[0].tokens
    assert there.tokens.access.reveal() == access_token("ada", expires_at=LATER)

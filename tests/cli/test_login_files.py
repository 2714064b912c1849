"""Where other programs keep their logins, and what is said of a file that holds none for us."""

import os
from pathlib import Path

import pytest

from support.login_files import dump, opencode
from support.logins import CANARY, auth_json
from understudy.cli.login_files import places, present, read_file

HOME = Path("/home/ada")


def default(**environ: str) -> dict[str, list[str]]:
    """The default places of each program, relative to the user's home folder where they are in it."""
    found: dict[str, list[str]] = {}
    for program, folder, pattern in places(environ, HOME):
        place = folder / pattern
        found.setdefault(program, []).append(str(place.relative_to(HOME) if place.is_relative_to(HOME) else place))
    return found


def test_each_program_has_its_places() -> None:
    assert default() == {
        "Codex": [".codex/auth.json"],
        "OpenCode": [".local/share/opencode/auth.json"],
        "opencode-codex-auth": [
            ".config/opencode/codex-accounts.json",
            ".config/opencode/openai-codex-accounts.json",
        ],
        "oc-codex-multi-auth": [
            ".opencode/oc-codex-multi-auth-accounts.json",
            ".opencode/openai-codex-accounts.json",
            ".opencode/projects/*/oc-codex-multi-auth-accounts.json",
        ],
        "codex-multi-auth": [
            ".codex/multi-auth/openai-codex-accounts.json",
            ".codex/multi-auth/projects/*/openai-codex-accounts.json",
        ],
        "kyoli-gam": [".config/opencode/openai-multi-account-accounts.json"],
        "codex-oauth": [".claude/auth.json"],
    }


@pytest.mark.parametrize(
    ("variable", "program", "first"),
    [
        ("CODEX_HOME", "Codex", "/x/auth.json"),
        ("CODEX_HOME", "codex-multi-auth", "/x/multi-auth/openai-codex-accounts.json"),
        ("CODEX_MULTI_AUTH_DIR", "codex-multi-auth", "/x/openai-codex-accounts.json"),
        ("XDG_DATA_HOME", "OpenCode", "/x/opencode/auth.json"),
        ("XDG_CONFIG_HOME", "opencode-codex-auth", "/x/opencode/codex-accounts.json"),
        ("XDG_CONFIG_HOME", "kyoli-gam", "/x/opencode/openai-multi-account-accounts.json"),
        ("OPENCODE_CONFIG_DIR", "kyoli-gam", "/x/openai-multi-account-accounts.json"),
    ],
)
def test_the_programs_own_variables_move_them(variable: str, program: str, first: str) -> None:
    assert default(**{variable: "/x"})[program][0] == first
    assert default(**{variable: " "}) == default(**{variable: "relative"}) == default()


def test_only_files_that_are_there_are_named(tmp_path: Path) -> None:
    project = tmp_path / ".opencode" / "projects" / "site-0123456789ab"
    for path in (tmp_path / ".codex" / "auth.json", project / "oc-codex-multi-auth-accounts.json"):
        path.parent.mkdir(parents=True)
        path.touch()
    assert [(program, path.name) for program, path in present(places({}, tmp_path))] == [
        ("Codex", "auth.json"),
        ("oc-codex-multi-auth", "oc-codex-multi-auth-accounts.json"),
    ]


def test_a_file_is_read_by_its_name_or_by_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text(auth_json("ada"))
    assert read_file(tmp_path) == read_file(file)
    assert read_file(file).path == file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "there is no such file", id="missing"),
        pytest.param(b"{", "not JSON", id="torn"),
        pytest.param(b" " * 2_000_000, "too large", id="huge"),
        pytest.param(
            opencode(openai={"type": "api", "key": f"sk-{CANARY}"}),
            "it is of OpenCode, and holds no ChatGPT login that can be used (openai: an API key is no ChatGPT login",
            id="API key",
        ),
        pytest.param(dump({"version": 3, "accounts": []}), "holds no ChatGPT login that can be used", id="empty pool"),
    ],
)
def test_a_file_without_a_login_is_refused_with_the_reason(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_file(tmp_path / "file")
    assert said in str(caught.value) and CANARY not in str(caught.value)


def test_a_folder_without_a_login_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no auth\.json in this folder"):
        read_file(tmp_path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="no regular file"):
        read_file(tmp_path / "fifo")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="cannot read loop"):
        read_file(tmp_path / "loop")


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        read_file(Path("a" * 300))

"""The command line says what it can do, ends with 0, 1 or 2, and never with a traceback."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from understudy import __version__
from understudy.cli.accounts import COMMANDS as ACCOUNTS_COMMANDS
from understudy.cli.main import COMMANDS, main, parser
from understudy.workstation.installation import script_path

GROUPS: list[list[str]] = [[], ["accounts"], ["ca"], ["transparent"], ["service"], ["config"]]
"""What is not done by itself, but has commands of its own."""
HELP_PAGES = [
    *GROUPS,
    *(["ca", name] for name in ("create", "show", "trust", "untrust", "rotate", "doctor")),
    *(["transparent", name] for name in ("up", "down", "status")),
    *(["service", name] for name in ("install", "remove", "status", "logs")),
    *([name] for name in ("run", "env", "start", "stop", "restart", "doctor", "diag")),
    ["config", "show"],
    ["login"],
    ["logout"],
    ["status"],
    ["limits"],
    ["forecast"],
    ["why"],
    ["history"],
    ["history", "show"],
    ["history", "clear"],
    *(["accounts", name.strip("_")] for name in ACCOUNTS_COMMANDS),
    ["accounts", "quarantine", "restore"],
    ["accounts", "quarantine", "clear"],
    ["sandbox"],
    ["script"],
    ["version"],
]


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))


def run_process(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "understudy", *words],
        env={**os.environ, "UNDERSTUDY_HOME": str(home), **environment},
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("words", HELP_PAGES, ids=" ".join)
def test_every_command_explains_itself_within_a_hundred_columns(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: understudy")
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("words", [w for w in HELP_PAGES if w not in (*GROUPS, ["sandbox"])], ids=" ".join)
def test_every_page_of_help_ends_with_an_example_that_is_the_command(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*words, "--help"])
    assert f"understudy {' '.join(words)}" in capsys.readouterr().out.partition("example:")[2]


def test_the_first_page_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in text] == []


@pytest.mark.parametrize(
    "words",
    [[], ["bogus"], ["status", "--bogus"], ["accounts"], ["accounts", "bogus"], ["accounts", "label", "ada"]],
    ids=" ".join,
)
def test_wrong_use_is_2_and_says_what_is_wrong(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "usage: understudy" in capsys.readouterr().err


def test_a_command_that_is_given_too_much_shows_its_own_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--bogus"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: understudy status") and "unrecognized arguments: --bogus" in said


def test_to_load_one_command_makes_the_same_line_as_to_load_all() -> None:
    assert parser(["status"]).parse_args(["status", "--json"]) == parser().parse_args(["status", "--json"])


def test_trouble_with_the_folder_is_one_line_and_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "accounts.json").symlink_to("elsewhere")
    assert main(["accounts", "list"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("understudy: ") and said.err.count("\n") == 1


def test_bytes_that_are_no_text_are_no_traceback(home: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "understudy", "login", "--paste"],
        env={**os.environ, "UNDERSTUDY_HOME": str(home), "PYTHONIOENCODING": "utf-8:strict"},
        input=b"\xff\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (process.returncode, process.stderr.count(b"\n")) == (1, 1)


def test_a_reader_that_goes_away_is_no_traceback(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "understudy", "version"],
        env={**os.environ, "UNDERSTUDY_HOME": str(home)},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_disk_that_takes_no_output_is_one_line_and_1(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "understudy", "accounts", "list"],
            env={**os.environ, "UNDERSTUDY_HOME": str(home)},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr.startswith(b"understudy: ") and process.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("where", [">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("words", "code"), [(["version"], 0), (["status", "--bogus"], 2), (["logout", "nobody"], 1)])
def test_a_standard_file_that_is_closed_or_broken_changes_no_exit_code_and_is_no_traceback(
    home: Path, where: str, words: Sequence[str], code: int
) -> None:
    process = subprocess.run(
        ["sh", "-c", f'exec "$@" {where}', "sh", sys.executable, "-m", "understudy", *words],
        env={**os.environ, "UNDERSTUDY_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == code and b"Traceback" not in process.stderr
    assert b"understudy" not in process.stdout or words == ["version"]


def test_a_folder_below_a_home_that_nobody_has_is_one_line_and_1(home: Path) -> None:
    process = run_process(home, "status", UNDERSTUDY_HOME="~no-such-user/pool")
    assert process.returncode == 1
    assert process.stderr.startswith(b"understudy: UNDERSTUDY_HOME ") and process.stderr.count(b"\n") == 1


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"understudy {__version__} (mitmproxy ")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"understudy {__version__}\n"


def test_the_script_is_the_checkouts_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["script"]) == 0
    path = Path(capsys.readouterr().out.rstrip("\n"))
    assert path.is_file()
    assert (path.name, path.parent.name) == ("codex.py", "addon")


def test_an_installed_package_has_the_script_within_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "understudy"
    (package / "script").mkdir(parents=True)
    assert script_path(package) is None
    (package.parent / "codex.py").write_text("# of another distribution")
    (package / "script" / "codex.py").write_text("")
    assert script_path(package) == package / "script" / "codex.py"


def test_the_wheel_has_the_script_where_it_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"addon/codex.py": "understudy/script/codex.py"}


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["version"], ["script"], ["--help"]], ids=" ".join)
def test_what_only_reads_loads_nothing_heavy(home: Path, words: Sequence[str]) -> None:
    heavy = ("mitmproxy", "pydantic", "httpx", "jwt", "filelock", "starlette", "hypercorn", "zstandard", "brotli")
    program = (
        "import sys; from understudy.cli.main import main; main(sys.argv[1:]);"
        f"sys.stderr.write(' '.join(sorted(set({heavy!r}) & set(sys.modules))))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "UNDERSTUDY_HOME": str(home)},
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert process.stderr == b""


def test_nothing_that_only_reads_makes_the_folder(home: Path) -> None:
    for words in (["status"], ["status", "--json"], ["accounts", "list"], ["script"], ["version"]):
        assert run_process(home, *words).returncode == 0
    assert not home.exists()

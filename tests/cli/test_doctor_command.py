"""`understudy doctor`: what is well in a line, what is wrong in a paragraph with its remedy, and an exit code."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clinic import Clinic, healthy_clinic
from support.command import free_port
from support.logins import auth_json
from support.members import pool_of
from support.proxy import clean_environment
from support.terminal import Understudy
from understudy.doctor import live
from understudy.sandbox.server import Sandbox
from understudy.workstation import launch


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    clinic = healthy_clinic(tmp_path)
    monkeypatch.setattr(launch, "PORT", clinic.port)
    monkeypatch.setattr("os.environ", clean_environment(UNDERSTUDY_HOME=str(clinic.home), HOME=str(clinic.user_home)))
    yield clinic


def test_what_is_well_takes_a_line_each(understudy: Understudy, clinic: Clinic) -> None:
    said = understudy("doctor")
    assert (said.code, said.lines[-1]) == (0, "Nothing is broken."), said.out
    assert len(said.lines) == len(clinic.findings()) + 2
    assert max(map(len, said.lines)) <= 80
    assert said.out.isascii()


def test_what_is_wrong_says_why_and_how_it_is_mended(understudy: Understudy, clinic: Clinic) -> None:
    clinic.set_accounts()
    said = understudy("doctor")
    assert said.code == 1
    at = said.lines.index("BAD     accounts         there are no accounts")
    assert said.lines[at + 1 : at + 3] == [
        "        No request can be carried out.",
        "        To mend it: understudy login",
    ]
    assert said.lines[-1] == "1 thing is broken. Begin with the first: others may follow from it."


def test_warnings_are_healthy(understudy: Understudy, clinic: Clinic) -> None:
    (clinic.home / "quarantine").mkdir(mode=0o700)
    (clinic.home / "quarantine" / "accounts.json.1").touch(mode=0o600)
    said = understudy("doctor")
    assert (said.code, said.lines[-1]) == (0, "Nothing is broken, 1 warning.")
    assert max(map(len, said.lines)) <= 80


def test_json_has_all_of_it(understudy: Understudy, clinic: Clinic) -> None:
    assert understudy("doctor", "--json").json["healthy"] is True
    clinic.set_accounts()
    said = understudy("doctor", "--json")
    assert said.code == 1
    assert (said.json["version"], said.json["healthy"], said.json["fixed"]) == (1, False, [])
    assert {check["state"] for check in said.json["checks"]} == {"ok", "bad", "skipped"}
    assert [check["command"] for check in said.json["checks"] if check["state"] == "bad"] == ["understudy login"]


def test_fix_mends_what_is_safe_says_so_and_looks_again(understudy: Understudy, clinic: Clinic) -> None:
    (clinic.home / "accounts.json").chmod(0o644)
    before = (clinic.home / "accounts.json").read_bytes()
    for path in clinic.confdir.path.glob("*.pem"):
        path.unlink()
    assert "`understudy doctor --fix` does it." in understudy("doctor").words
    said = understudy("doctor", "--fix")
    assert said.code == 0
    fixed = [line for line in said.lines if line.startswith("fixed: ")]
    assert len(fixed) == 4
    assert said.lines[-1] == "Nothing is broken."
    assert (clinic.home / "accounts.json").read_bytes() == before
    assert understudy("doctor", "--fix", "--json").json["fixed"] == []


def test_what_cannot_be_mended_by_itself_is_left_to_the_user(understudy: Understudy, clinic: Clinic) -> None:
    clinic.confdir.authority.write_text("no PEM")
    said = understudy("doctor", "--fix")
    assert (said.code, "To mend it: understudy ca rotate" in said.words) == (1, True)
    assert clinic.confdir.authority.read_text() == "no PEM"


def test_the_login_file_of_codex_is_found(understudy: Understudy, clinic: Clinic) -> None:
    path = clinic.user_home / ".codex" / "auth.json"
    path.parent.mkdir()
    path.write_text(auth_json("ada", expires_at=clinic.now + 3600))
    before = path.stat()
    said = understudy("doctor")
    assert (said.code, f"another program has the same login: ada (Codex, {path})" in said.words) == (0, True)
    assert path.stat() == before


def test_live_asks(understudy: Understudy, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAUSE", 0.0)
    clinic.set_accounts()
    with Sandbox({"accounts": {"work": {}}}) as sandbox:
        pool_of(sandbox, clinic.home)
        said = understudy("doctor", "--live", "--set", f"codex_backend={sandbox.backend}")
    assert said.code == 0, said.out
    assert "ok      live: logins     ChatGPT takes the login" in said.lines
    unreachable = f"codex_backend=http://127.0.0.1:{free_port()}/codex"
    assert understudy("doctor", "--live", "--set", unreachable).code == 1


def test_options_are_for_live_alone(understudy: Understudy, clinic: Clinic) -> None:
    assert understudy("doctor", "--set", "codex_hold=1").code == 2


def test_it_is_quick(clinic: Clinic) -> None:
    """The time that its process works, without what others on this machine do meanwhile."""
    program = "import sys, time\nfrom understudy.cli.main import main\nmain(['doctor', '--json'])\n"
    program += "print(time.process_time(), file=sys.stderr)\n"
    env = clean_environment(UNDERSTUDY_HOME=str(clinic.home), HOME=str(clinic.user_home))
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert float(done.stderr) < 1.5
    assert time.monotonic() - began < 15
